"""Run-ons and cut words, seen from what a voice attends to."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicesvc.engines.endguard import AFTER_END_TOKENS, EndGuard, Weights
from voicesvc.manifest import Xtts

Lengths = st.lists(st.integers(1, 6), min_size=4, max_size=60)  # tokens on each place


def looks(n_text: int, place: int, seed: int = 0, blur: float = 0.2) -> Weights:
    """Weights on a place, with a share of them anywhere."""
    noise = np.random.default_rng(seed).random(n_text)
    weights = blur * noise / noise.sum()
    weights[place] += 1 - blur
    return weights.astype(np.float32)


def read(lengths: list[int]) -> list[Weights]:
    """A voice that reads from place to place."""
    places = np.repeat(np.arange(len(lengths)), lengths)
    return [looks(len(lengths), int(p), i) for i, p in enumerate(places)]


@settings(max_examples=50)
@given(Lengths, st.integers(1, 3))
def test_it_is_held_until_the_last_word_and_ended_soon_after_the_last_place(
    lengths: list[int], last_word: int
) -> None:
    n = len(lengths)
    guard = EndGuard(n, n - last_word)
    verdicts = [guard.feed(w) for w in read(lengths)]
    reached = sum(lengths[: n - last_word])
    assert set(verdicts[:reached]) == {"hold"}
    ended = sum(lengths[:-1]) + 1 + AFTER_END_TOKENS
    assert "end" not in verdicts[: ended - 1]
    assert "hold" not in verdicts[reached:]
    later = [guard.feed(looks(n, n - 1)) for _ in range(ended - len(verdicts))]
    assert [*verdicts, *later][ended - 1] == "end"


@settings(max_examples=30)
@given(st.integers(30, 100), st.integers(0, 1000))
def test_attention_to_no_place_decides_nothing(n: int, seed: int) -> None:
    guard = EndGuard(n, n - 3)
    assert {guard.feed(looks(n, i % n, seed + i, blur=0.95)) for i in range(120)} == {"on"}
    assert {guard.feed(np.zeros(n, np.float32)) for _ in range(9)} == {"on"}


@settings(max_examples=50)
@given(st.lists(st.integers(2, 4), min_size=20, max_size=40), st.data())
def test_a_glance_ahead_or_back_is_none(lengths: list[int], data: Any) -> None:
    n = len(lengths)
    whole = read(lengths)
    guard, plain = EndGuard(n, n - 1), EndGuard(n, n - 1)
    at = data.draw(st.integers(1, len(whole) // 2))
    glance = looks(n, data.draw(st.sampled_from([0, n - 1])))
    seen = [guard.feed(glance if i == at else w) for i, w in enumerate(whole)]
    assert seen == [plain.feed(w) for w in whole]


def test_what_was_said_before_is_behind_it() -> None:
    guard = EndGuard(60, 58, begin=40)
    assert [guard.feed(looks(60, place)) for place in (3, 41, 50, 44)] == [
        "on",
        "hold",
        "hold",
        "hold",
    ]
    assert guard.feed(looks(60, 48)) == "hold"
    assert guard.feed(looks(60, 54)) == "hold"
    assert guard.feed(looks(60, 58)) == "on"


def test_heads_that_are_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match="end_guard_heads"):
        Xtts.model_validate(_shape() | {"end_guard_heads": ((2, 0),)})
    assert Xtts.model_validate(_shape() | {"end_guard_heads": ((1, 1),)}).end_guard_heads


def _shape() -> dict[str, Any]:
    numbers = {
        name: 64
        for name in Xtts.model_fields
        if name.startswith("gpt_") and "_token" in name and not name.endswith("_token")
    }
    return numbers | {
        "gpt_layers": 2,
        "gpt_n_heads": 2,
        "gpt_n_model_channels": 64,
        "gpt_start_text_token": 1,
        "gpt_stop_text_token": 0,
        "gpt_start_audio_token": 1,
        "gpt_stop_audio_token": 2,
        "gpt_code_stride_len": 1024,
        "input_sample_rate": 22050,
        "output_sample_rate": 24000,
        "output_hop_length": 256,
        "d_vector_dim": 512,
        "cond_d_vector_in_each_upsampling_layer": True,
        "vocabulary": {"file": "vocab.json", "sha256": "0" * 64},
    }
