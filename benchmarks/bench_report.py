"""`make bench-report`: what the runs in `benchmarks/history` say, as one HTML page and as Markdown.

The page holds everything it shows, so it can be sent: a table of what became slower or faster,
each ratio over the commits, and the newest figures against peers. Markdown, for a pull request,
goes to stdout. The exit status is 0 unless `--fail-on slower` is given and something is: that is
for a machine of one's own. A shared one is no judge.
"""

import argparse
import html
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import history
import numpy as np
from common import NAMES, ROOT
from regress import Interval, Judged, alike, interval, judge

PAGE = ROOT / "benchmarks" / "report.html"
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { padding: .2rem .8rem; border-bottom: 1px solid #ddd; text-align: right; }
td:first-child, th:first-child { text-align: left; }
.slower { color: #b00020; font-weight: bold; } .faster { color: #00695c; font-weight: bold; }
svg { max-width: 100%; height: auto; }
"""
Lines = Sequence[dict[str, Any]]


def _said(of: Interval | None) -> str:
    return "" if of is None else f"{of.middle:.3f} ({of.low:.3f} to {of.high:.3f})"


def rows(judged: Sequence[Judged]) -> list[tuple[str, ...]]:
    """A line for each ratio: where, what, now, before, now over before, verdict."""
    return [
        (j.benchmark, j.name, _said(j.now), _said(j.before), _said(j.quotient), j.verdict)
        for j in judged
    ]


HEADS = ("benchmark", "ratio", "now", "before", "now over before", "")


def markdown(lines: Lines, judged: Sequence[Judged]) -> str:
    """The summary for a pull request."""
    changed = [j for j in judged if j.verdict in ("slower", "faster")]
    newest = lines[-1]
    title = f"**{len(changed)} of {len(judged)} ratios changed**" if changed else "**No change**"
    told = [
        f"{title}, commit {newest['commit']}, {newest['machine']['cpu']}. Medians of ratios to what"
        " ran in turns with us, with 95 % intervals; lower is better.",
        "",
        f"| {' | '.join(HEADS)} |",
        f"|---|---|{'---:|' * 3}---|",
        *(f"| {' | '.join(row)} |" for row in rows(judged)),
    ]
    return "\n".join(told)


def _table(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    def row(tag: str, values: Sequence[str]) -> str:
        kind = f' class="{values[-1]}"' if values[-1] in ("slower", "faster") else ""
        inner = "".join(f"<{tag}>{html.escape(v)}</{tag}>" for v in values)
        return f"<tr{kind}>{inner}</tr>"

    return "<table>" + row("th", heads) + "".join(row("td", c) for c in cells) + "</table>"


def _svg(figure: Any) -> str:
    """A figure of matplotlib's as an element of a page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def over_commits(of: Lines) -> str:
    """Every ratio of one benchmark over its runs on machines like the newest's."""
    from matplotlib.figure import Figure

    runs = [line for line in of if alike(line, of[-1])]
    figure = Figure((9, 3.6))
    axes = figure.subplots()
    rng = np.random.default_rng(1)
    for name in of[-1]["ratios"]:
        at = [n for n, line in enumerate(runs) if line.get("ratios", {}).get(name)]
        found = [interval(runs[n]["ratios"][name], rng) for n in at]
        below = [f.middle - f.low for f in found]
        above = [f.high - f.middle for f in found]
        middles = [f.middle for f in found]
        axes.errorbar(at, middles, (below, above), marker="o", capsize=3, lw=1, label=name)
    axes.set_xticks(range(len(runs)), [line["commit"] for line in runs], rotation=45, ha="right")
    axes.set_ylabel("ratio")
    axes.set_yscale("log")
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    return _svg(figure)


def against_peers(values: dict[str, dict[str, float]], unit: str) -> str:
    """Bars: what each speaker needed for each case."""
    from matplotlib.figure import Figure

    cases = list(values["voicesvc"])
    figure = Figure((9, 3.2))
    axes = figure.subplots()
    width = 0.8 / len(values)
    for n, (speaker, of) in enumerate(values.items()):
        label = NAMES.get(speaker, speaker).replace("*", "").replace("`", "")
        at = np.arange(len(cases)) + n * width
        axes.bar(at, [of[case] for case in cases], width, label=label)
    axes.set_xticks(np.arange(len(cases)) + 0.4 - width / 2, cases)
    axes.set_ylabel(unit)
    axes.set_yscale("log")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    return _svg(figure)


def page(lines: Lines, judged: Sequence[Judged]) -> str:
    """The HTML page."""
    newest = {line["benchmark"]: line for line in lines}
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>voicesvc: benchmarks</title>",
        f"<style>{_STYLE}</style><h1>voicesvc: benchmarks</h1>",
        "<p>Ratios to what ran in turns with us in the same minutes: medians over rounds with 95 %"
        " bootstrap intervals; lower is better. How each is measured is said at the top of its"
        " program in <code>benchmarks/</code>.</p>",
        _table(HEADS, rows(judged)) if judged else "<p>No ratio is kept yet.</p>",
    ]
    for name, figure, unit in (
        ("rtf", "rtf", "seconds per second of audio"),
        ("first_byte", "ttfa_ms", "ms to first audio"),
    ):
        if name in newest:
            parts.append(f"<h2>{name}: against peers</h2>")
            parts.append(against_peers(newest[name][figure], unit))
    for name, line in newest.items():
        parts.append(f"<h2>{name}</h2>")
        if line.get("ratios"):
            parts.append(over_commits([x for x in lines if x["benchmark"] == name]))
        parts.append(_table(("", "newest run"), _facts(line)))
    return "\n".join(parts) + "\n</html>\n"


def _facts(line: dict[str, Any]) -> list[tuple[str, str]]:
    """What is said of one run."""
    left_out = ("ratios", "versions", "machine", "benchmark")
    told = {k: v for k, v in line.items() if k not in left_out}
    told["machine"] = ", ".join(map(str, line["machine"].values()))
    told["versions"] = ", ".join(f"{k} {v}" for k, v in line["versions"].items())
    return [(key, str(value)) for key, value in told.items()]


def main() -> None:
    """Read the history, write the page, say the rest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--history", type=Path, default=history.FOLDER)
    parser.add_argument("--html", type=Path, default=PAGE)
    parser.add_argument("--fail-on", choices=("never", "slower"), default="never")
    options = parser.parse_args()
    lines = history.read(options.history)
    if not lines:
        raise SystemExit(f"{options.history} has no runs; `make bench` makes some")
    judged = judge(lines)
    options.html.write_text(page(lines, judged), "utf-8")
    print(markdown(lines, judged))
    if options.fail_on == "slower" and any(j.verdict == "slower" for j in judged):
        sys.exit(1)


if __name__ == "__main__":
    main()
