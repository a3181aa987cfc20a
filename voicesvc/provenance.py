"""Which code makes the samples: the versions and the source that a take depends on.

Two processes with the same answer, the same weights and the same device class make the same
samples from the same plan.
"""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

_HERE = Path(__file__).parent
# Rooms between a plan and the samples, in the order of the names.
ROOMS = (
    *("audio.py", "calibration.py", "dsp", "engines", "gaps.py", "lineplan.py", "marks"),
    *("plan.py", "products.py", "render.py", "score.py", "sheet.py", "sounding.py", "splice.py"),
    "stretch.py",
)
LIBRARIES = ("torch", "numpy", "scipy")


@cache
def code() -> dict[str, str]:
    """The release, a sha256 over the source of `ROOMS`, and the libraries that compute."""
    digest = hashlib.sha256()
    for room in ROOMS:
        path = _HERE / room
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(f"{file.relative_to(_HERE).as_posix()}\0".encode())
            digest.update(file.read_bytes())
    found = {"voicesvc": version("voicesvc"), "render_sha256": digest.hexdigest()}
    return found | {name: version(name) for name in LIBRARIES}
