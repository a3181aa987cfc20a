"""Put uv into a folder with nothing but Python's standard library.

For a fresh Debian or Ubuntu, whose Python has neither pip nor ensurepip. Takes uv's wheel from the
package index, checks its sha256 and unpacks the one program in it.

    python3 scripts/get_uv.py .uv/bin
"""

import hashlib
import io
import json
import os
import platform
import sys
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from urllib.parse import urljoin

VERSION = "0.13.9"
INDEX = os.environ.get("UV_DEFAULT_INDEX", "https://pypi.org/simple")
TIMEOUT_S = 60


def tag(system: str, machine: str, libc: str) -> tuple[str, str]:
    """How the wheel's platform begins and ends: ("manylinux", "_x86_64")."""
    known = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
    arch = known.get(machine.lower())
    if arch is None or system not in ("Linux", "Darwin"):
        raise SystemExit(f"no uv is known for {system} on {machine}; see https://docs.astral.sh/uv")
    if system == "Darwin":
        return "macosx", "_arm64" if arch == "aarch64" else "_x86_64"
    return "manylinux" if libc == "glibc" else "musllinux", f"_{arch}"


def fetch(url: str, accept: str = "*/*") -> bytes:
    """What is at the address."""
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        content: bytes = answer.read()
        return content


def wheel(index: str, begin: str, end: str) -> bytes:
    """uv's wheel for this platform, its sha256 checked against the index."""
    page = f"{index.rstrip('/')}/uv/"
    files = json.loads(fetch(page, "application/vnd.pypi.simple.v1+json"))["files"]
    for file in files:
        platforms = file["filename"].removesuffix(".whl").rpartition("-")[2].split(".")
        fits = any(p.startswith(begin) and p.endswith(end) for p in platforms)
        if file["filename"].startswith(f"uv-{VERSION}-") and fits:
            content = fetch(urljoin(page, file["url"]))
            if hashlib.sha256(content).hexdigest() != file["hashes"]["sha256"]:
                raise SystemExit(f"{file['filename']} is not what {index} says it is")
            return content
    raise SystemExit(f"{index} has no uv {VERSION} for {begin}*{end}")


def main() -> None:
    """Fetch, check, unpack."""
    folder = Path(sys.argv[1])
    begin, end = tag(platform.system(), platform.machine(), platform.libc_ver()[0])
    try:
        content = wheel(INDEX, begin, end)
    except (urllib.error.URLError, TimeoutError) as e:
        raise SystemExit(f"cannot fetch uv from {INDEX}: {e}") from e
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        program = archive.read(f"uv-{VERSION}.data/scripts/uv")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "uv"
    target.write_bytes(program)
    target.chmod(0o755)
    print(f"{target}: uv {VERSION}", file=sys.stderr)


if __name__ == "__main__":
    main()
