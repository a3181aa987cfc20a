"""What a take says of the code that made it: nothing that shapes samples is left out."""

import ast
from pathlib import Path

import voicesvc
from voicesvc.provenance import ROOMS

HERE = Path(voicesvc.__file__).parent
# What those rooms use that has no part in how a plan becomes samples: it makes plans, reads packs
# and settings, or carries words.
APART = {
    *("config", "deltas", "directions", "errors", "fit", "manifest", "metrics", "packs", "perform"),
    *("phonemes", "reading"),
}


def imported(file: Path) -> set[str]:
    """Rooms of ours that a file imports from, by name."""
    found = set[str]()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "voicesvc":
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("voicesvc."):
            found.add((node.module or "").split(".")[1])
    return found


def test_what_makes_samples_is_all_in_the_hash() -> None:
    rooms = [HERE / name for name in ROOMS]
    files = [file for room in rooms for file in (room.rglob("*.py") if room.is_dir() else [room])]
    used = set[str]().union(*map(imported, files))
    assert "products" in used  # or nothing was looked at
    assert used - {r.removesuffix(".py") for r in ROOMS} == APART
