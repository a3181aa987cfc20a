"""What became slower: found where it is, and not where it is chance."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def rounds(middle: float, n: int, rng: np.random.Generator, spread: float = 0.06) -> list[float]:
    """Ratios as a shared machine gives them: mostly close, now and then far too high."""
    hiccups = np.where(rng.random(n) < 0.1, rng.uniform(1.5, 4, n), 1.0)
    return list(middle * np.exp(rng.normal(0, spread, n)) * hiccups)


@pytest.mark.parametrize(
    ("factor", "says"), [(1.0, "same"), (1.03, "same"), (1.25, "slower"), (0.75, "faster")]
)
def test_what_changed_is_found(factor: float, says: str) -> None:
    from regress import quotient, verdict

    rng = np.random.default_rng(3)
    told = [
        verdict(quotient(rounds(0.4 * factor, 15, rng), rounds(0.4, 45, rng), rng))
        for _ in range(60)
    ]
    assert told.count(says) >= 57  # 95 %


def test_an_interval_has_the_median_in_it() -> None:
    from regress import interval

    rng = np.random.default_rng(5)
    held = sum(
        found.low <= 1.0085 <= found.high  # where hiccups move the median to
        for found in (interval(rounds(1.0, 21, rng), rng) for _ in range(200))
    )
    assert held >= 180


def line(commit: str, ratios: dict[str, list[float]], **more: Any) -> dict[str, Any]:
    return {
        "benchmark": "rtf",
        "at": f"2026-01-{len(commit):02}T00:00:00+00:00",
        "commit": commit,
        "machine": {"cpu": "Some CPU", "cores": 2, "system": "Linux"},
        "device": "cpu",
        "precision": "bfloat16",
        "load_1min": 0.5,
        "versions": {"python": "3.12", "voicesvc": "0.1.0"},
        "rtf": {"voicesvc": {"short": 0.05}, "onnxruntime": {"short": 0.08}},
        "ratios": ratios,
    } | more


def test_only_runs_of_the_same_kind_are_compared() -> None:
    from regress import judge

    slow, fast = [2.0, 2.01, 2.02] * 3, [1.0, 1.01, 1.02] * 3
    now = line("ccc", {"short": slow})
    (alone,) = judge([now])
    assert (alone.verdict, alone.before, alone.quotient) == ("new", None, None)
    (slower,) = judge([line("aa", {"short": fast}), now])
    assert slower.verdict == "slower"
    assert slower.quotient is not None
    assert slower.quotient.middle == pytest.approx(2, rel=0.02)
    elsewhere = (
        {"device": "cuda"},
        {"precision": "fp32"},
        {"machine": {"cpu": "Another"}},
        {"benchmark": "formats"},
    )
    for other in elsewhere:
        found = judge([line("aa", {"short": fast}, **other), now])
        assert next(j for j in found if j.benchmark == "rtf").verdict == "new"


def test_few_rounds_are_not_judged() -> None:
    from regress import judge

    (found,) = judge([line("a", {"short": [1.0, 1.0]}), line("bb", {"short": [9.0, 9.0]})])
    assert found.verdict == "new"


@pytest.mark.parametrize("per_hour", [0.0, 30.0])
def test_a_slope_is_told_from_noise_that_lasts(per_hour: float) -> None:
    from regress import slope

    right = grows = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        noise = np.zeros(180)
        for n in range(1, 180):  # each value drags the one before along
            noise[n] = 0.6 * noise[n - 1] + rng.normal(0, 1)
        hours = np.arange(180) * 10 / 3600
        found = slope(list(1000 + per_hour * hours + noise), 10 / 3600, rng)
        right += found.low <= per_hour <= found.high
        grows += found.low > 0
    assert right >= 24
    assert grows >= 29 if per_hour else grows <= 4


def test_history_is_added_to_and_read_in_order(tmp_path: Path) -> None:
    import history

    for commit in ("bb", "a", "ccc"):
        path = history.keep(line(commit, {}), tmp_path)
    history.keep(line("dddd", {}, benchmark="formats"), tmp_path)
    assert len(path.read_text().splitlines()) == 3
    assert [x["commit"] for x in history.read(tmp_path)] == ["a", "bb", "ccc", "dddd"]


def report(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, BENCHMARKS / "bench_report.py", "--history", folder]
    page = folder / "report.html"
    return subprocess.run([*command, "--html", page, *options], capture_output=True, text=True)


def test_the_report_says_what_became_slower(tmp_path: Path) -> None:
    import history

    assert "has no runs" in report(tmp_path).stderr
    history.keep(line("aa", {"short line, over onnxruntime": [0.6, 0.61, 0.62] * 3}), tmp_path)
    history.keep(line("bbb", {"short line, over onnxruntime": [0.8, 0.81, 0.82] * 3}), tmp_path)
    done = report(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("**1 of 1 ratios changed**, commit bbb")
    assert "| rtf | short line, over onnxruntime | 0.810" in done.stdout
    assert done.stdout.rstrip().endswith("| slower |")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.count("<svg") == 2  # over commits, and against peers
    assert 'class="slower"' in page
    fetched = re.findall(r"""(?:src|href)=["']?(https?:[^"' >]*)""", page)
    assert [url for url in fetched if "w3.org" not in url] == []
    assert report(tmp_path, "--fail-on", "slower").returncode == 1


def test_nothing_heavy_is_imported_with_the_package() -> None:
    program = BENCHMARKS / "import_time.py"
    command = [sys.executable, program, "--rounds", "1", "--without-server"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["imported"] == {"nothing": [], "import voicesvc": [], "voicesvc --help": []}
    assert set(told["ratios"]) == {
        "import voicesvc, over a bare Python",
        "voicesvc --help, over a bare Python",
    }


def test_kept_lines_have_what_they_are_compared_by() -> None:
    import history

    for kept in history.read():
        assert {"commit", "device", "precision", "versions", "machine", "at"} <= set(kept)
