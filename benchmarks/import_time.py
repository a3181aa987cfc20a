"""What the first command waits for: `import voicesvc`, `voicesvc --help`, and the server's modules.

What is measured: seconds of a fresh Python that does it, against one that does nothing, in turns.
torch, coqui-tts and FastAPI must not be imported before they are needed; that is counted, too.

Ends in one JSON line on stdout.
"""

import json
import subprocess
import sys
import time
from collections import defaultdict
from functools import partial
from importlib import metadata

from common import ROOT, BenchmarkFailed, arguments, interleaved, median, report, say

SERVER = "the server's modules"
CODE = {
    "nothing": "pass",
    "import voicesvc": "import voicesvc",
    "voicesvc --help": "import voicesvc.cli as c; c.app(['--help'], standalone_mode=False)",
    SERVER: "import voicesvc.api.server",
}
HEAVY = ("torch", "TTS", "fastapi", "sqlalchemy", "structlog")


def fresh(code: str) -> subprocess.CompletedProcess[str]:
    """A Python of its own that runs this."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise BenchmarkFailed(f"{code!r} ended with {done.returncode}: {done.stderr[-500:]}")
    return done


def heavy(code: str) -> list[str]:
    """What of HEAVY it imports."""
    tell = f"import json, sys; print(json.dumps([n for n in {HEAVY!r} if n in sys.modules]))"
    found: list[str] = json.loads(fresh(f"{code}\n{tell}").stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, rounds=15)
    parser.add_argument("--without-server", action="store_true", help="leave out the slowest")
    options = parser.parse_args()
    code = {n: c for n, c in CODE.items() if n != SERVER or not options.without_server}
    took_s: dict[str, list[float]] = defaultdict(list)

    def once(name: str, _: int) -> None:
        begin_s = time.perf_counter()
        fresh(code[name])
        took_s[name].append(time.perf_counter() - begin_s)

    imported = {name: heavy(said) for name, said in code.items()}  # and fills the file cache
    interleaved({name: partial(once, name) for name in code}, options.rounds)
    ratios = {
        f"{name}, over a bare Python": [
            round(a / b, 4) for a, b in zip(took_s[name], took_s["nothing"], strict=True)
        ]
        for name in code
        if name != "nothing"
    }
    figures = {
        "rounds": options.rounds,
        "ms": {name: median((1e3 * s for s in runs), 1) for name, runs in took_s.items()},
        "imported": imported,
        "ratios": ratios,
        "device": "cpu",
        "precision": None,
    }
    say({**figures["ms"], **imported})
    report("import_time", figures, {"voicesvc": metadata.version("voicesvc")})


if __name__ == "__main__":
    main()
