"""Documents laid over the model's own plan: frames, silences, curves, timings."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_plan import SO_IT, plan, unit, word

from voicesvc.errors import BadPlan
from voicesvc.lineplan import LineHead, SentencePlan, WordPlan, describe
from voicesvc.sheet import Cut, Sheet, lay_out, sheet

FRAME_MS = 256 / 22.05
HEAD = LineHead(actor="ann", model_sha256="ab" * 32, sample_rate_hz=22050, seed=7)
# "so, it": a comma with its space, 3 + 4 frames, and the blank after them, 2
COMMA = (unit(",", "pause", 3), unit(" ", "pause", 4), unit("_", "blank", 2))
SO = (unit("s", "phone", 5), unit("ˈ", "mark", 1), unit("o", "phone", 7))
IT = (unit("ɪ", "phone", 4), unit("t", "phone", 3), unit(".", "pause", 6))
LAID = plan(
    word("", 0, unit("^", "blank", 2)),
    word("so", 0, *SO, *COMMA),
    word("it", 4, *IT),
    word("", 0, unit("$", "blank", 3)),
)
LAID = replace(LAID, words=tuple(replace(w, nth=i) for i, w in enumerate(LAID.words)))
OWN = describe(LAID, 0.0)


def edited(n: int, **changes: Any) -> SentencePlan:
    """The model's own plan with the word number `n` changed."""
    words = list(OWN.words)
    words[n] = words[n].model_copy(update=changes)
    return OWN.model_copy(update={"words": tuple(words)})


def lasting(word_plan: WordPlan, *durations_ms: float) -> dict[str, Any]:
    return {
        "phonemes": tuple(
            p.model_copy(update={"duration_ms": d})
            for p, d in zip(word_plan.phonemes, durations_ms, strict=True)
        )
    }


def frames(laid: Sheet) -> list[list[int]]:
    return [[u.frames for u in w.units] for w in laid.plan.words]


@pytest.mark.parametrize("natural", [LAID, SO_IT])
def test_an_unedited_plan_is_the_models_own(natural: Any) -> None:
    laid = sheet(HEAD, describe(natural, 0.0), natural)
    assert laid.plan == natural
    assert laid.cuts == ()
    assert laid.controls.identity
    assert laid.samples == natural.samples


def test_a_duration_moves_its_own_word_alone() -> None:
    so = OWN.words[0]
    laid = sheet(HEAD, edited(0, **lasting(so, 10 * FRAME_MS, 12 * FRAME_MS)), LAID)
    own = frames(sheet(HEAD, OWN, LAID))
    assert frames(laid)[1][:3] == [10, 2, 10]  # 1 and 7 frames, times 12 / 8
    assert frames(laid)[1][3:] == own[1][3:]
    assert [frames(laid)[i] for i in (0, 2, 3)] == [own[i] for i in (0, 2, 3)]


@given(st.lists(st.floats(24, 400), min_size=2, max_size=2))
def test_any_durations_come_out_to_half_a_frame(durations_ms: list[float]) -> None:
    laid = sheet(HEAD, edited(0, **lasting(OWN.words[0], *durations_ms)), LAID)
    made = sum(frames(laid)[1][:3])

    assert abs(made - sum(durations_ms) / FRAME_MS) <= 0.5 + 1e-6


def laid_out(pause_ms: float) -> SentencePlan:
    """As rate, scale or fit make a pause of the model's own."""
    return edited(0, pause_ms=pause_ms, own_pause_ms=pause_ms)


def test_a_longer_pause_is_the_models_and_silence_put_in() -> None:
    own_ms = OWN.words[0].pause_ms
    laid = sheet(HEAD, laid_out(own_ms + 100), LAID)
    assert frames(laid) == frames(sheet(HEAD, OWN, LAID))
    begin = (2 + 13) * 256
    assert laid.cuts == (Cut(begin, begin + 9 * 256, 2205, False),)
    assert laid.samples == LAID.samples + 2205
    so, it = laid.words
    assert so["end_s"] == pytest.approx(begin / 22050, abs=1e-6)
    assert it["start_s"] == pytest.approx((begin + 9 * 256 + 2205) / 22050, abs=1e-6)


def test_a_shorter_pause_takes_the_models_frames() -> None:
    laid = sheet(HEAD, laid_out(4 * FRAME_MS), LAID)
    assert sum(frames(laid)[1][3:]) == 4
    assert laid.cuts == ()
    assert sum(frames(sheet(HEAD, laid_out(0.0), LAID))[1][3:]) == 0


@pytest.mark.parametrize(("asked_ms", "frames_kept", "insert"), [(304.0, 9, 4730), (50.0, 6, 0)])
def test_a_pause_that_is_asked_for_is_laid_out_longer_and_to_be_heard(
    asked_ms: float, frames_kept: int, insert: int
) -> None:
    laid = sheet(HEAD, edited(0, pause_ms=asked_ms), LAID)
    (cut,) = laid.cuts
    begin = (2 + 13) * 256
    heard = round(asked_ms * 22.05)
    assert sum(frames(laid)[1][3:]) == frames_kept
    assert cut == Cut(begin, begin + frames_kept * 256, insert, False, heard)
    longer = frames_kept * 256 + insert - heard
    assert 0.010 * 22050 < longer < 0.025 * 22050  # to be taken out again


def test_a_plan_without_the_models_own_pauses_is_laid_out_as_it_is() -> None:
    laid = sheet(HEAD, edited(0, pause_ms=304.0, own_pause_ms=None), LAID)
    assert [c.heard for c in laid.cuts] == [None]


def test_times_are_those_of_the_cuts_as_they_came_out() -> None:
    document = edited(0, pause_ms=50.0)
    laid = sheet(HEAD, document, LAID)
    (cut,) = laid.cuts
    begin, end = cut.begin, cut.end
    done = replace(cut, left_out=(end - 500, end - 100))
    made = sheet(HEAD, document, LAID, [done])
    assert made.samples == laid.samples - 400
    assert made.words[0] == laid.words[0]
    earlier_s = laid.words[1]["start_s"] - made.words[1]["start_s"]
    assert earlier_s == pytest.approx(400 / 22050, abs=1e-6)
    # What is left out beyond the pause is of the next word's own silence, and begins it later.
    made = sheet(HEAD, document, LAID, [replace(cut, left_out=(end - 100, end + 300))])
    assert made.words[1]["start_s"] == pytest.approx((end - 100) / 22050, abs=1e-6)
    assert made.words[1]["end_s"] == pytest.approx(laid.words[1]["end_s"] - 400 / 22050, abs=1e-6)
    assert begin < end - 500


def test_a_pause_between_words_without_punctuation_is_put_at_their_border() -> None:
    words = list(describe(SO_IT, 0.0).words)
    words[0] = words[0].model_copy(update={"pause_ms": 50.0, "own_pause_ms": 50.0})
    document = describe(SO_IT, 0.0).model_copy(update={"words": tuple(words)})
    border = (5 + 31) * 256
    laid = sheet(HEAD, document, SO_IT)
    assert laid.cuts == (Cut(border, border, round(2.205 * 500), False),)
    assert laid.words[1]["start_s"] == pytest.approx((border + 1102) / 22050, abs=1e-4)
    assert laid.words[0]["end_s"] < border / 22050


def test_silence_around_the_sentence() -> None:
    document = OWN.model_copy(update={"lead_ms": 2 * FRAME_MS + 200, "tail_ms": FRAME_MS})
    laid = sheet(HEAD, document, LAID)
    assert laid.cuts == (Cut(0, 0, 4410, False),)
    assert frames(laid)[-1] == [1]
    assert laid.words[0]["start_s"] == pytest.approx((2 * 256 + 4410) / 22050, abs=1e-6)
    layout = lay_out(document, LAID)
    assert layout.samples == laid.samples
    assert sheet(HEAD, document, LAID, laid=layout).words == laid.words
    cut = Cut(0, 0, 4000, False)
    assert sheet(HEAD, document, LAID, [cut], layout).samples == laid.samples - 410
    assert layout.samples == laid.samples  # as it was


def test_marks_have_the_times_of_their_words() -> None:
    document = edited(1, marks=("here", "there")).model_copy(update={"marks": ("end",)})
    laid = sheet(HEAD, document, LAID)
    (here, at), (there, also), (end, last) = laid.marks
    assert (here, there, end) == ("here", "there", "end")
    assert at == also == laid.words[1]["start_s"]
    assert last == pytest.approx(LAID.samples / 22050, abs=1e-6)


def test_curves_have_each_phonemes_value_at_its_middle() -> None:
    so = OWN.words[0]
    raised = tuple(
        p.model_copy(update={"pitch_st": v, "energy_db": -v})
        for p, v in zip(so.phonemes, (1.0, 3.0), strict=True)
    )
    controls = sheet(HEAD, edited(0, phonemes=raised, range=0.5), LAID).controls
    middles = np.array([2 + 2.5, 2 + 5 + 4]) * 256
    assert controls.pitch_st(middles) == pytest.approx([1, 3])
    assert controls.energy_db(middles) == pytest.approx([-1, -3])
    assert controls.pitch_st(np.array([middles.mean()])) == pytest.approx([2])
    inside, outside = np.array([8 * 256]), np.array([26 * 256])
    assert (controls.range(inside), controls.range(outside)) == (0.5, 1.0)
    assert controls.tilt_db.is_constant(0.0)


def test_a_breath_needs_room() -> None:
    pause_ms = OWN.words[0].pause_ms
    with pytest.raises(BadPlan) as refused:
        sheet(HEAD, edited(0, breath=True, pause_ms=pause_ms + 100), LAID)
    assert refused.value.where == "plan.words.0.pause_ms"
    (cut,) = sheet(HEAD, edited(0, breath=True, pause_ms=pause_ms + 400), LAID).cuts
    assert cut.breath


def test_other_words_than_the_models_are_refused() -> None:
    with pytest.raises(BadPlan, match="no symbol"):
        sheet(HEAD, OWN.model_copy(update={"words": OWN.words[:1]}), LAID)
    other = OWN.words[1].phonemes
    with pytest.raises(BadPlan, match="phonemes"):
        sheet(HEAD, edited(0, phonemes=other), LAID)
