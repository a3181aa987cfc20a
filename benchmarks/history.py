"""What earlier runs measured: a file of JSON lines for each benchmark, only ever added to."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import ROOT

FOLDER = ROOT / "benchmarks" / "history"


def keep(line: Mapping[str, Any], folder: Path = FOLDER) -> Path:
    """Add one run to its benchmark's file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{line['benchmark']}.jsonl"
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    return path


def read(folder: Path = FOLDER) -> list[dict[str, Any]]:
    """Every run, the oldest first."""
    lines = [
        json.loads(line)
        for path in sorted(folder.glob("*.jsonl"))
        for line in path.read_text("utf-8").splitlines()
    ]
    return sorted(lines, key=lambda line: str(line["at"]))
