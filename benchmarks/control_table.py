"""The tables of `docs/control.md`, from the figures of `control.py`."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

BEGIN = "<!-- measured by benchmarks/control.py: begin -->"
END = "<!-- measured by benchmarks/control.py: end -->"
DIMENSIONS = ("pitch", "range", "rate", "energy")


def written(document: str, tables: str) -> str:
    """A document with the tables between its marks.

    Raises:
        ValueError: it has not both marks, in order.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"


def markdown(figures: Mapping[str, Any]) -> str:
    """All tables that there are figures for."""
    parts = [f"{figures['lines']} lines."]
    if figures["controls"]:
        parts.append("\n".join(_controls(figures["controls"])))
    if figures["emotions"]:
        parts.append("\n".join(_emotions(figures)))
    others = [c for c in figures["costs"] if c["of"] not in _names(figures)]
    if others:
        parts.append("\n".join(_costs(others)))
    if "ttfa_ms" in figures:
        parts.append("\n".join(_times(figures["ttfa_ms"])))
    return "\n\n".join(parts)


def _names(figures: Mapping[str, Any]) -> set[str]:
    return {m["emotion"] for m in figures["emotions"]}


def _controls(found: list[dict[str, Any]]) -> Iterator[str]:
    yield "| control | asked | achieved, median | error: median | 95 % | worst | reach | lines |"
    yield "|---|---|---:|---:|---:|---:|---|---|"
    for control, rows in groupby(found, lambda f: f["control"]):
        for n, f in enumerate(rows):
            error, unit = f["error"], f["unit"]
            reach = "reported" if f["reach"] is None else f"{f['reach']:g} {unit}"
            yield (
                f"| {control if n == 0 else ''} | {f['setting']} | {f.get('achieved', '')} |"
                f" {error['median']:g} | {error['p95']:g} | {error['worst']:g} {unit} | {reach} |"
                f" {f['within']:.0%}{'' if f['reached'] else ' **missed**'} |"
            )


def _emotions(figures: Mapping[str, Any]) -> Iterator[str]:
    costs = {c["of"]: c for c in figures["costs"]}
    heads = ("pitch, st", "range, x", "rate, x", "energy, dB")
    yield f"| emotion | {' | '.join(heads)} | WER | DistillMOS | DNSMOS | |"
    yield f"|---|{'---:|' * 7}---|"
    for m in figures["emotions"]:
        cells = [_change(m, what) for what in DIMENSIONS]
        cost = costs.get(m["emotion"]) if m["intensity"] == 1.0 else None
        remarks = [] if m["reached"] else ["**side missed**"]
        if cost:
            cells += _falls(cost)
            remarks += _remarks(cost)
        else:
            cells += [""] * 3
        name = f"{m['emotion']} {m['intensity']:g}"
        yield f"| {name} | {' | '.join(cells)} | {', '.join(remarks)} |"


def _change(moved: Mapping[str, Any], what: str) -> str:
    """The median change, and in brackets the share of lines on the table's side."""
    value = moved["median"].get(what)
    if value is None:
        return ""
    factor = what in ("range", "rate")
    change = f"{2**value:.2f}" if factor else f"{value:+.1f}"
    share = moved["sides"].get(what)
    return change if share is None else f"{change} ({share:.0%})"


def _falls(cost: Mapping[str, Any]) -> list[str]:
    return [
        f"{100 * cost['wer_rise']:+.1f}",
        f"{-cost['distillmos_fall']:+.2f}",
        f"{-cost['dnsmos_fall']:+.2f}",
    ]


def _remarks(cost: Mapping[str, Any]) -> list[str]:
    missed = [] if cost["reached"] or not cost["promised"] else ["**quality missed**"]
    return missed + (["experimental"] if cost["experimental"] else [])


def _costs(costs: list[dict[str, Any]]) -> Iterator[str]:
    yield "| setting | WER | DistillMOS | DNSMOS | |"
    yield "|---|---:|---:|---:|---|"
    for c in costs:
        yield f"| {c['of']} | {' | '.join(_falls(c))} | {', '.join(_remarks(c))} |"


def _times(ttfa_ms: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    yield "| first audio, ms | plain | everything on | later |"
    yield "|---|---:|---:|---:|"
    for line, ms in ttfa_ms.items():
        yield f"| {line} | {ms['plain']:.0f} | {ms['everything']:.0f} | {ms['later']:+.0f} |"
