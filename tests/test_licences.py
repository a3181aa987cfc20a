"""docs/licences.md against uv.lock, and the process that serves against the GPL."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from scripts_of import script

ROOT = Path(__file__).parent.parent
licences = script("licences")


def listed(heading: str) -> dict[tuple[str, str], str]:
    """(package, version) -> licence, from one section of docs/licences.md."""
    page = (ROOT / "docs" / "licences.md").read_text("utf-8")
    section = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return {(r[0].removeprefix("| "), r[1]): r[2] for r in rows[1:]}


RUNTIME, QC = "Packages that serving needs", "Packages that the extra [qc] adds"
OTEL = "Packages that the extra [otel] adds"
CJK = "Packages that the extra [cjk] adds"
DEV = "Packages that development adds"


@pytest.mark.parametrize(
    ("heading", "group"),
    [(RUNTIME, "runtime"), (QC, "qc"), (OTEL, "otel"), (CJK, "cjk"), (DEV, "dev")],
)
def test_every_locked_package_has_its_licence(heading: str, group: str) -> None:
    packages = licences.locked()
    names = licences.groups()[group]
    there = {(name, package["version"]) for name in names for package in packages[name]}
    assert there == set(listed(heading)), "run: make licences"
    assert all(listed(heading).values())


def test_licences_page_lists_every_model() -> None:
    page = (ROOT / "docs" / "licences.md").read_text("utf-8")
    assert page.startswith(licences.HEAD)
    for pack in (ROOT / "models").iterdir():
        assert f"| {pack.name} |" in page
        assert (pack / "MODEL_CARD.md").exists()


def test_files_of_others_are_listed_with_their_hashes() -> None:
    page = (ROOT / "docs" / "licences.md").read_text("utf-8")
    assert licences.vendored() in page, "run: make licences"
    for folder in licences.VENDOR.iterdir():
        assert (folder / "LICENSE").exists()


def test_texts_of_our_licences_are_there() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text("utf-8")[:200]
    assert "END OF TERMS AND CONDITIONS" in (ROOT / "LICENSE").read_text("utf-8")
    copying = (ROOT / "espeak-words" / "COPYING").read_text("utf-8")
    assert "GNU GENERAL PUBLIC LICENSE" in copying


SPEAK_AND_TELL = """
import json, pkgutil, sys
from importlib.metadata import packages_distributions
from pathlib import Path
import voicesvc
from voicesvc.config import Settings
for module in pkgutil.walk_packages(voicesvc.__path__, "voicesvc."):
    if not module.name.endswith("__main__"):
        __import__(module.name)
import cutlet, pypinyin
from voicesvc.line import Line
from voicesvc.studio import Studio
studio = Studio(Settings.read({}, actors="joe", device="cpu"))
for format in ("wav", "opus", "mp3", "flac"):
    rendering = studio.open(Line(actor="joe", text="Hold.", format=format))
    for _ in rendering.chunks(): pass
studio.close()
known = packages_distributions()
tops = {name.partition(".")[0] for name in sys.modules}
maps = Path("/proc/self/maps")
print(json.dumps({
    "packages": sorted({d for top in tops for d in known.get(top, ())}),
    "libraries": maps.read_text() if maps.exists() else "",
}))
"""


def test_no_gpl_code_is_in_the_process_that_serves() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SPEAK_AND_TELL],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    names = {re.sub(r"[-_.]+", "-", name).lower() for name in told["packages"]}
    assert {"torch", "coqui-tts", "soundfile", "fastapi", "fugashi", "pypinyin"} <= names
    of_name = {
        name: licence
        for (name, _), licence in (
            listed(DEV) | listed(CJK) | listed(OTEL) | listed(QC) | listed(RUNTIME)
        ).items()
    }
    gpl = {n for n in names if re.search(r"(?<!L)GPL", of_name.get(n, ""))}
    assert gpl == set()
    assert "espeak-words" not in names
    assert not re.search(r"espeak|x264|x265|libavcodec", told["libraries"])
    assert "GPL" in of_name["espeakng-loader"]
    assert "GPL" in of_name["av"]
