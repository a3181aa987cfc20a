"""The tone engine: the tests' engine must itself be what an engine has to be."""

import itertools
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicesvc.engines import Engine, going_on
from voicesvc.engines.cells import CELL_FRAMES
from voicesvc.engines.tone import CHUNK_FRAMES, Tone
from voicesvc.errors import BadPlan
from voicesvc.phonemes import Word
from voicesvc.plan import Plan

SHA256 = "ab" * 32
WORDS = (
    Word("so", 0, 2, ("s", "ˈ", "o", "ː"), (",", " ")),
    Word("it", 4, 6, ("ɪ", "t"), (" ",)),
    Word("is", 7, 9, ("ɪ", "s"), (".",)),
)


def tone(**options: int) -> Tone:
    return Tone(frozenset("soːɪtˈ,. "), SHA256, **options)


def samples(engine: Tone, plan: Plan, chunks: tuple[int, ...] = CHUNK_FRAMES) -> list[float]:
    return list(np.concatenate(list(engine.stream(plan, chunks))))


@given(st.lists(st.integers(1, 70), min_size=1, max_size=5).map(tuple), st.integers(1, 20))
def test_chunked_equals_whole(chunks: tuple[int, ...], frames_per_symbol: int) -> None:
    engine = tone(frames_per_symbol=frames_per_symbol)
    plan = engine.plan(WORDS, seed=3)
    whole = samples(engine, plan, (plan.frames,))
    assert len(whole) == plan.samples
    assert samples(engine, plan, chunks) == whole


@pytest.mark.parametrize(("before", "chunks"), [(0, CHUNK_FRAMES), (300, (128,))])
def test_it_is_an_engine_whose_chunks_grow_as_the_real_ones(
    before: int, chunks: tuple[int, ...]
) -> None:
    engine: Engine = tone(frames_per_symbol=60)
    assert CHUNK_FRAMES == CELL_FRAMES
    plan = replace(engine.plan(WORDS, seed=0), frames_before=before)
    frames = [len(pcm) // plan.hop for pcm in engine.stream(plan)]
    assert frames[:-1] == list(itertools.islice((*chunks, 256, 256), len(frames) - 1))
    assert sum(frames) == plan.frames


@pytest.mark.parametrize(
    ("before", "first"), [(0, 0), (23, 0), (24, 1), (63, 1), (64, 2), (127, 2), (128, 3), (999, 3)]
)
def test_what_comes_later_begins_with_no_longer_chunk_than_was_heard(
    before: int, first: int
) -> None:
    assert going_on(CHUNK_FRAMES, before) == CHUNK_FRAMES[first:]


def test_the_seed_and_nothing_else_changes_the_samples() -> None:
    one, two = tone(), tone()
    assert samples(one, one.plan(WORDS, 1)) == samples(two, two.plan(WORDS, 1))
    assert samples(one, one.plan(WORDS, 1)) != samples(one, one.plan(WORDS, 2))


def test_symbols_have_their_own_pitch_and_pauses_are_silent() -> None:
    engine = tone(frames_per_symbol=40)
    heard = np.concatenate(list(engine.stream(engine.plan(WORDS, 0)))).reshape(-1, 40 * 256)
    symbols = [s for w in WORDS for s in (*w.phones, *w.after)]
    pitch = {s: np.abs(np.fft.rfft(part)).argmax() for s, part in zip(symbols, heard, strict=True)}
    sounding = {s: p for s, p in pitch.items() if s not in " ,."}
    assert len(set(sounding.values())) == len(sounding)
    for symbol, part in zip(symbols, heard, strict=True):
        assert (np.abs(part[256:]).max() > 0.2) == (symbol not in " ,.")


def test_unknown_symbols_are_dropped() -> None:
    engine = tone(frames_per_symbol=6)
    plan = engine.plan((Word("box", 0, 3, ("b", "o", "x"), ()),), 0)
    assert plan.dropped == ("b", "x")
    assert plan.frames == 6
    with pytest.raises(BadPlan, match="no symbol"):
        engine.plan((Word("x", 0, 1, ("x",), (".",)),), 0)


def test_it_counts_its_work_and_fails_where_it_is_told_to() -> None:
    engine = tone(frames_per_symbol=60, fail_at=3)
    stream = engine.stream(engine.plan(WORDS, 0))
    next(stream)
    assert (engine.planned, engine.chunks, engine.open_streams) == (1, 1, 1)
    next(stream)
    with pytest.raises(RuntimeError, match="chunk 3"):
        next(stream)
    assert (engine.chunks, engine.open_streams) == (3, 0)


def test_a_plan_for_another_model_is_refused() -> None:
    engine = tone()
    other = Tone(engine.symbols, "cd" * 32)
    with pytest.raises(BadPlan, match="abababababab"):
        next(other.stream(engine.plan(WORDS, 0)))


def test_it_needs_no_torch() -> None:
    probe = "import sys, voicesvc.engines.tone; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", probe], check=True)
