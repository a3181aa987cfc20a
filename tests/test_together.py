"""Cells of several streams at once: each has the samples that it has alone, or it is not done."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
import torch
from test_cells import CHANNELS, NETWORKS, TOLERANCE, chunks, prior_of

from voicesvc.engines import Batching
from voicesvc.engines.cells import CELL_FRAMES, WHOLE_FRAMES, Speech
from voicesvc.engines.together import Measured, Sound, choose

LENGTHS = (60, 300, 700, 900)  # frames: of two to six cells
KINDS = sorted(NETWORKS)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """A network whose cells are computed alone again afterwards."""
    yield request.param
    NETWORKS[request.param][2].rows = (1,)


def noise(n_frames: int) -> torch.Tensor:
    drawn = torch.Generator().manual_seed(n_frames)
    return torch.randn(1, CHANNELS, n_frames, generator=drawn)


def sound(kind: tuple[str, int], z: torch.Tensor, known: int | None = None) -> Sound:
    _, _, speech, g = NETWORKS[kind]
    n_frames = z.shape[2]
    speaker = None if g is None else g.mT
    cells = speech.stream(
        prior_of(z), lambda _: n_frames, speaker, CELL_FRAMES, lambda: known or n_frames
    )
    return Sound(cells)


def side_by_side(sounds: Sequence[Sound]) -> tuple[list[torch.Tensor], list[int]]:
    """The samples of streams in step, and how many cells were computed at once each time."""
    parts: list[list[torch.Tensor]] = [[] for _ in sounds]
    shared: list[int] = []
    left = dict(enumerate(sounds))
    while left:
        cells = [cell for s in left.values() if (cell := s.cell()) is not None]
        for of in {c.kind for c in cells}:
            same = [c for c in cells if c.kind == of]
            same[0].together(same)
            shared.append(len(same))
        for i, one in list(left.items()):
            pcm = next(one, None)
            if pcm is None:
                del left[i]
            else:
                parts[i].append(torch.from_numpy(pcm))
    return [torch.cat(p) for p in parts], shared


def test_side_by_side_every_stream_has_the_samples_that_it_has_alone(
    kind: tuple[str, int],
) -> None:
    """As near as another order of sums leaves them; `measure` says where that is to the bit."""
    lines = [noise(n) for n in LENGTHS]
    alone = [torch.cat(chunks(NETWORKS[kind], z, CELL_FRAMES)) for z in lines]
    NETWORKS[kind][2].rows = (1, 2, 4)
    got, shared = side_by_side([sound(kind, z) for z in lines])
    assert max(shared) == 3  # the shortest has no whole cell
    assert len(shared) >= 4
    for one, expected in zip(got, alone, strict=True):
        assert one.shape == expected.shape
        assert (one - expected).abs().max() <= TOLERANCE


def test_in_rows_of_one_number_samples_are_the_same_bits_whatever_is_beside(
    kind: tuple[str, int],
) -> None:
    speech = NETWORKS[kind][2]
    speech.rows = (4,)
    lines = [noise(n) for n in LENGTHS]
    alone = [torch.cat(chunks(NETWORKS[kind], z, CELL_FRAMES)) for z in lines]
    for order in (lines, lines[::-1], lines[1:3]):
        got, shared = side_by_side([sound(kind, z) for z in order])
        assert max(shared) > 1
        for z, one in zip(order, got, strict=True):
            assert torch.equal(one, alone[LENGTHS.index(z.shape[2])])


def test_first_and_last_cells_and_what_is_not_known_yet_are_computed_alone() -> None:
    NETWORKS[KINDS[0]][2].rows = (1, 2)
    try:
        known, guessed = sound(KINDS[0], noise(700)), sound(KINDS[0], noise(700), known=60)
        found: list[int | None] = []
        while True:
            cell = known.cell()
            found.append(None if cell is None else cell.kind[1])  # type: ignore[index]
            assert guessed.cell() is None
            if next(known, None) is None:
                break
            next(guessed)
        assert found == [None, *CELL_FRAMES[1:], None, None]
    finally:
        NETWORKS[KINDS[0]][2].rows = (1,)


def test_cells_that_fail_at_once_are_left_to_their_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = KINDS[0]
    alone = torch.cat(chunks(NETWORKS[kind], noise(300), CELL_FRAMES))
    NETWORKS[kind][2].rows = (1, 2)

    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("no room for two")

    one = Speech.together
    monkeypatch.setattr(Speech, "together", lambda self, s: fail() if len(s) > 1 else one(self, s))
    try:
        got, shared = side_by_side([sound(kind, noise(300)), sound(kind, noise(300))])
    finally:
        NETWORKS[kind][2].rows = (1,)
    assert max(shared) == 2
    assert all(torch.equal(g, alone) for g in got)


def test_a_stream_that_is_closed_ends_and_holds_nothing() -> None:
    one = sound(KINDS[0], noise(300))
    next(one)
    one.close()
    assert next(one, None) is None
    assert not one._cells.state


class Told:
    """A device of which it is known what cells at once cost and which rows are alike."""

    def __init__(self, costs: Mapping[int, float], *alike: int) -> None:
        self.costs, self._alike = costs, alike
        self.asked: list[int] = []

    def cost(self, rows: int, most: float) -> float:
        self.asked.append(rows)
        return self.costs[rows]

    def alike(self, rows: int) -> tuple[int, ...]:
        return tuple(n for n in self._alike if n <= rows)


GAINS = {2: 1.1, 4: 1.2, 8: 1.5}


@pytest.mark.parametrize(
    ("asked", "costs", "alike", "exact", "rows", "why"),
    [
        ("auto", GAINS, (1, 2, 4, 8), True, (1, 2, 4, 8), "8 at once cost 1.50 times one"),
        ("auto", GAINS | {8: 7.0}, (1, 2, 4), True, (1, 2, 4), "4 at once"),
        ("auto", {2: 2.1}, (1, 2), True, (1,), "2 at once cost 2.10 times one"),
        ("auto", {2: 1.61}, (1, 2), True, (1,), "2 at once cost 1.61 times one"),
        ("auto", GAINS, (2, 4, 8), True, (1,), "other samples than alone"),
        ("auto", GAINS, (2, 4, 8), False, (2, 4, 8), "8 at once"),
        ("auto", GAINS, (8,), False, (1,), "a lone cell would cost 1.50 times as much"),
        ("auto", GAINS, (), False, (1,), "other samples"),
        ("off", GAINS, (1, 2, 4, 8), True, (1,), "off by VOICESVC_BATCH"),
        ("4", {2: 2.1, 4: 4.2}, (1, 2, 4), True, (1, 2, 4), "4 by VOICESVC_BATCH"),
        ("4", {4: 4.2}, (4,), True, (4,), "4 by VOICESVC_BATCH"),
        ("4", {4: 4.2}, (), True, (1,), "other samples beside others"),
    ],
)
def test_as_many_cells_at_once_as_pay_with_samples_that_stay(
    asked: str,
    costs: dict[int, float],
    alike: tuple[int, ...],
    exact: bool,
    rows: tuple[int, ...],
    why: str,
) -> None:
    found = choose(asked, Told(costs, *alike), exact=exact)
    assert found.rows == rows
    assert why in found.reason
    assert found.most == rows[-1]
    assert found.factors[rows[0]] == 1.0
    assert found.factors[rows[-1]] == ({1: 1.0} | costs)[rows[-1]] / ({1: 1.0} | costs)[rows[0]]


def test_what_loses_with_two_is_not_tried_with_more() -> None:
    told = Told({2: 2.1, 4: 1.0, 8: 1.0}, 1, 2, 4, 8)
    assert choose("auto", told, exact=True).rows == (1,)
    assert told.asked == [2]


def measured(speech: Speech, asked: str, **how: Any) -> Batching:
    where = torch.device("cpu")
    begun = speech.noise(CHANNELS, None, where)
    return choose(asked, Measured(speech, begun, WHOLE_FRAMES, where, **how), exact=True)


def test_a_device_is_measured_by_its_clock_and_its_samples() -> None:
    speech = NETWORKS["2", 0][2]
    still = measured(speech, "auto", clock=iter(range(10**6)).__next__)
    assert still.most in (1, 8)  # whatever is computed takes one tick: it is the samples that tell
    assert still.most == 8 or "other samples" in still.reason
    forced = measured(speech, "4")
    assert forced.rows[-1] == 4
    assert all(math.isfinite(c) for c in forced.costs.values())
    assert speech.rows == (1,)
