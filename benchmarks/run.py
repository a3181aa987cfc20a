"""`make bench`: the suite; each benchmark is a program of its own, one after the other.

Their JSON lines are added to `benchmarks/history`, from which `make bench-report` tells how things
go. Those of rtf, first_byte and quality are also kept as `benchmarks/results/<date>-<commit>.json`,
and their table for the README goes to stdout as Markdown; `--from FILE` prints an earlier run's.

`--short` is for CI: some rounds of what needs no peer, in less than a minute, kept nowhere.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bench_report
import history
from common import LINES, NAMES, ROOT, commit, say
from regress import judge

RESULTS_DIR = ROOT / "benchmarks" / "results"
ENOUGH_LINES = 50  # with fewer, chance moves the scores by more than the targets allow


SUITE = {  # what is run by default, and with what
    "rtf": (),
    "first_byte": (),
    "overhead": (),
    "import_time": (),
    "formats": (),
    "churn": (),
}
SHORT = {
    "import_time": ("--rounds", "3", "--without-server"),
    "overhead": ("--rounds", "3"),
}
TABLED = ("rtf", "first_byte")


def run(program: str, *options: str) -> dict[str, Any]:
    """One benchmark's JSON line; ends the program when the benchmark fails."""
    say(f"== {program} {' '.join(options)}")
    command = [sys.executable, str(ROOT / "benchmarks" / f"{program}.py"), *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            out, _ = process.communicate()
        except BaseException:
            process.terminate()  # it ends its servers, then itself
            raise
    if process.returncode:
        raise SystemExit(f"{program} ended with {process.returncode}")
    result: dict[str, Any] = json.loads(out.splitlines()[-1])
    return result


def table(results: dict[str, dict[str, Any]]) -> str:
    """The Markdown table: first audio / whole, in ms, for each line; wall seconds per audio second.

    Figures of a speaker that could not be set up are not there.
    """
    rtf, first = results["rtf"], results["first_byte"]
    audio_s = first["audio_s"]
    heads = [f"{c}, {s:.1f} s" if c in LINES else f"{c} ({s:.1f} s)" for c, s in audio_s.items()]
    rows = [
        f"| first audio, ms | {' | '.join(heads)} |",
        f"|---|{'---:|' * len(heads)}",
        *(
            f"| {NAMES[name]} {first['versions'].get(name, '')} | "
            + " | ".join(f"{ms:.0f}" for ms in by_case.values())
            + " |"
            for name, by_case in first["ttfa_ms"].items()
        ),
        "",
        f"| seconds per second of audio | {' | '.join(LINES)} | processor, long line |",
        f"|---|{'---:|' * (len(LINES) + 1)}",
        *(
            f"| {NAMES[name]} {rtf['versions'].get(name, '')} | "
            + " | ".join(
                f"{value:.3f}" for value in (*by_line.values(), rtf["cpu_rtf"][name]["long"])
            )
            + " |"
            for name, by_line in rtf["rtf"].items()
        ),
    ]
    machine = rtf["machine"]
    rows += [
        "",
        f"One compute thread each, in turns, medians of {rtf['rounds']} rounds;"
        f" {machine['cpu']}, {machine['cores']} cores, {machine['system']};"
        f" commit {rtf['commit']}, {rtf['at'][:10]}.",
    ]
    return "\n".join(rows)


def targets(results: dict[str, dict[str, Any]]) -> list[tuple[str, float, float]]:
    """What the product sets out to reach: (what, figure, at most)."""
    rtf, first, quality = results["rtf"]["rtf"], results["first_byte"], results.get("quality")
    ttfa, http = first["ttfa_ms"], first["http_ms"]["first"]
    found = [
        (f"RTF, {line} line, of {peer}'s", rtf["voicesvc"][line] / rtf[peer][line], most)
        for peer, most in (("onnxruntime", 0.55), ("coqui", 0.4))
        for line in ("medium", "long")
        if peer in rtf
    ]
    at_end = [ttfa[peer] for peer in ("onnxruntime", "coqui", "piper-tts") if peer in ttfa]
    streaming = [ms for peer, ms in ttfa.items() if peer.startswith("streaming-vits")]
    for what, case, peers_ms, most in (
        ("the best of those that speak at the end", "15 s", at_end, 1 / 9),
        ("the best of those that speak at the end", "3 x 15 s", at_end, 1 / 16),
        ("streaming-vits, its better setting", "15 s", streaming, 0.5),
    ):
        if peers_ms:
            share = ttfa["voicesvc"][case] / min(ms[case] for ms in peers_ms)
            found.append((f"first audio of {case}, as a share of {what}", share, most))
    found += [(f"ms that HTTP adds, {line} line", ms["added"], 5.0) for line, ms in http.items()]
    if quality and quality["lines"] >= ENOUGH_LINES:
        wer = quality["wer"]
        above = wer["voicesvc"] - wer["onnxruntime"]
        found.append(("word error rate above onnxruntime's", above, 0.01))
        found += [
            (f"{score} below onnxruntime's", -quality[score]["difference"]["mean"], 0.05)
            for score in ("dnsmos", "distillmos")
        ]
    return found


def say_targets(results: dict[str, dict[str, Any]]) -> None:
    """One line for each target, for people."""
    for what, figure, most in targets(results):
        say(f"{'reached' if figure <= most else 'MISSED ':8} {figure:8.3f} <= {most:<6.3f} {what}")


def main() -> None:
    """Run all, keep, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", default="7", help="of rtf and first_byte")
    parser.add_argument("--lines", default="10", help="of quality; 0 leaves it out")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of programs that keep history")
    parser.add_argument("--short", action="store_true", help="less than a minute; keeps nothing")
    parser.add_argument("--from", dest="earlier", type=Path, help="print an earlier run's table")
    options = parser.parse_args()
    # Not the folder of somebody's own service, which may be running and is no place for such takes.
    data = tempfile.TemporaryDirectory(prefix="voicesvc-bench-")
    os.environ.setdefault("VOICESVC_DATA_DIR", data.name)
    if options.earlier:
        results = json.loads(options.earlier.read_text())
        print(table(results))
        say_targets(results)
        return
    if options.short:
        lines = [run(name, *given) for name, given in SHORT.items()]
        print(bench_report.markdown(lines, judge([*history.read(), *lines])))
        return
    results = {}
    for name in options.only or SUITE:
        given = ("--rounds", options.rounds) if name in TABLED else SUITE.get(name, ())
        results[name] = run(name, *given)
        say(f"kept in {history.keep(results[name]).relative_to(ROOT)}")
    if not set(TABLED) <= set(results):
        return
    if options.lines != "0":
        results["quality"] = run("quality", "--lines", options.lines)
    path = RESULTS_DIR / f"{datetime.now(UTC):%Y-%m-%d}-{commit()}.json"
    RESULTS_DIR.mkdir(exist_ok=True)
    kept = {name: results[name] for name in (*TABLED, "quality") if name in results}
    path.write_text(json.dumps(kept, indent=1) + "\n")
    say(f"kept in {path.relative_to(ROOT)}")
    print(table(results))
    say_targets(results)


if __name__ == "__main__":
    main()
