"""Visemes: every sound has one, and what a face does between them can be played."""

import json
import re
import tomllib
import unicodedata
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from conftest import MODELS
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_timings import CONTENT, JOE, timed

from voicesvc import plan
from voicesvc.markup.ipa import X_SAMPA
from voicesvc.timings import TimedPhoneme, Timings, write
from voicesvc.timings.mouth import CLOSING_S, OPENING_S, PER_S, SILENCE_S, STEP_S, TOLERANCE
from voicesvc.timings.sounds import (
    DIPHTHONGS,
    POSES,
    SHAPES,
    TRACKS,
    VISEMES,
    letters,
    pose,
    viseme,
)

Floats = NDArray[np.float64]
SYMBOLS: list[str] = tomllib.loads((MODELS / "joe" / "pack.toml").read_text("utf-8"))["text"][
    "symbols"
]
# Apple's 52, in the order of Azure's table of blend shapes.
ARKIT = frozenset(
    re.findall(
        r"\w+",
        """
        eyeBlinkLeft eyeLookDownLeft eyeLookInLeft eyeLookOutLeft eyeLookUpLeft eyeSquintLeft
        eyeWideLeft eyeBlinkRight eyeLookDownRight eyeLookInRight eyeLookOutRight eyeLookUpRight
        eyeSquintRight eyeWideRight jawForward jawLeft jawRight jawOpen mouthClose mouthFunnel
        mouthPucker mouthLeft mouthRight mouthSmileLeft mouthSmileRight mouthFrownLeft
        mouthFrownRight mouthDimpleLeft mouthDimpleRight mouthStretchLeft mouthStretchRight
        mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper mouthPressLeft
        mouthPressRight mouthLowerDownLeft mouthLowerDownRight mouthUpperUpLeft
        mouthUpperUpRight browDownLeft browDownRight browInnerUp browOuterUpLeft
        browOuterUpRight cheekPuff cheekSquintLeft cheekSquintRight noseSneerLeft noseSneerRight
        tongueOut
        """,
    )
)
# Microsoft's en-US table: IPA and viseme ids.
EN_US = {
    **{"i": [6], "ɪ": [6], "eɪ": [4, 6], "ɛ": [4], "æ": [1], "ɑ": [2], "ɔ": [3], "ʊ": [4]},
    **{"oʊ": [8, 4], "u": [7], "ʌ": [1], "aɪ": [11], "aʊ": [9], "ɔɪ": [10], "ju": [6, 7], "ə": [1]},
    **{"ɪɹ": [6, 13], "ɛɹ": [4, 13], "ʊɹ": [4, 13], "aɪɹ": [11, 13], "aʊɹ": [9, 13]},
    **{"ɔɹ": [3, 13], "ɑɹ": [2, 13], "ɝ": [5], "ɚ": [1], "w": [7], "j": [6]},
    **{"p": [21], "b": [21], "t": [19], "d": [19], "k": [20], "ɡ": [20], "m": [21], "n": [19]},
    **{"ŋ": [20], "f": [18], "v": [18], "θ": [19], "ð": [17], "s": [15], "z": [15], "ʃ": [16]},
    **{"ʒ": [16], "h": [12], "tʃ": [19, 16], "dʒ": [19, 16], "l": [14], "ɹ": [13]},
}


def spoken(
    *sounds: tuple[str, float], lead_s: float = 0.3, tail_s: float = 0.3, gap_s: float = 0.0
) -> Timings:
    """A take of one word of these phonemes (symbol, length in s)."""
    at_s, phonemes = lead_s, []
    for symbol, length_s in sounds:
        end_s = round(at_s + length_s, 6)
        phonemes.append(TimedPhoneme(symbol=symbol, start_s=at_s, end_s=end_s))
        at_s = round(end_s + gap_s, 6)
    (word,) = timed(("word", lead_s, phonemes[-1].end_s)).words
    word = word.model_copy(update={"phonemes": tuple(phonemes)})
    document = timed(duration_s=round(phonemes[-1].end_s + tail_s, 6))
    return document.model_copy(update={"words": (word,)})


class Face:
    """What is played of a take."""

    def __init__(self, document: Timings | bytes, fps: Any = None) -> None:
        self.said = json.loads(write(document, "visemes", fps=fps)[0])
        self.keys = self.said["arkit"]["keyframes"]

    def at(self, shape: str, *times_s: float) -> Floats:
        """The weights of a shape at these times."""
        return np.interp(times_s, *zip(*self.keys[shape], strict=True))

    @property
    def ids(self) -> list[int]:
        """Azure's visemes in order, silence left out."""
        return [e["viseme_id"] for e in self.said["azure"] if e["viseme_id"]]


# -- the tables ----------------------------------------------------------------------------------


PHONES = [s for s in SYMBOLS if plan.kind_of(s, "phone") == "phone"]


@pytest.mark.parametrize("symbol", [s for s in PHONES if not s.isdigit()])
def test_every_phoneme_of_the_demonstration_voice_is_mapped(symbol: str) -> None:
    marks = [s for s in SYMBOLS if plan.kind_of(s, "phone") == "mark"]
    for marked in (symbol, f"ˈ{symbol}ː", f"ˌ{symbol}", *(symbol + m for m in marks)):
        (letter,) = letters(marked)
        assert viseme(letter) in range(1, 22)
        assert pose(letter) is not None
    assert Face(spoken((symbol, 0.1))).said["unmapped_symbols"] == []


def test_the_face_goes_on_over_a_figure_or_a_tone() -> None:
    """Chinese is given to XTTS as pinyin with tones as figures."""
    assert {letters(s) for s in PHONES if s.isdigit()} == {()}
    assert Face(spoken(("a", 0.1), ("4", 0.1))).said["unmapped_symbols"] == ["4"]


def test_every_letter_that_a_lexicon_can_write_is_mapped() -> None:
    written = {c for ipa in X_SAMPA.values() for c in unicodedata.normalize("NFD", ipa)}
    phones = {c for c in written if letters(c)}
    assert len(phones) > 90
    assert [c for c in sorted(phones) if viseme(c) is None or pose(c) is None] == []


def test_a_letter_is_in_one_row() -> None:
    for rows in (VISEMES.values(), [p.letters for p in POSES.values()]):
        all_letters = "".join(rows)
        assert len(set(all_letters)) == len(all_letters)
    assert set("".join(VISEMES.values())) == set("".join(p.letters for p in POSES.values()))
    assert {*VISEMES, *DIPHTHONGS.values(), 0} == set(range(22))


@pytest.mark.parametrize("symbol", EN_US)
def test_visemes_are_those_of_microsofts_table(symbol: str) -> None:
    assert Face(spoken(*((c, 0.1) for c in symbol))).ids == EN_US[symbol]
    assert Face(spoken((f"ˈ{symbol}", 0.2))).ids == EN_US[symbol]


@pytest.mark.parametrize("tied", ["t͡ʃ", "d͜ʒ", "ˈt͡ʃʰ"])
def test_a_tied_affricate_is_two_sounds(tied: str) -> None:
    face = Face(spoken((tied, 0.1)))
    assert face.ids == [19, 16]
    assert [(p["start_s"], p["end_s"]) for p in face.said["phonemes"]] == [(0.3, 0.35), (0.35, 0.4)]


def test_vowels_of_two_syllables_are_no_diphthong() -> None:
    assert Face(spoken(("a", 0.1), ("ˈɪ", 0.1))).ids == [2, 6]


def test_shapes_are_apples() -> None:
    assert len(ARKIT) == 52
    assert set(SHAPES) <= ARKIT
    known = {p for found in POSES.values() for p in found.weights}
    assert known | {"mouthClose"} == set(TRACKS)
    assert all(0 < w <= 1 for found in POSES.values() for w in found.weights.values())


def test_what_is_no_sound_is_reported() -> None:
    face = Face(spoken(("ˈɑ", 0.15), ("ʞ", 0.1), ("5", 0.1), ("ɑ", 0.15)))
    assert face.said["unmapped_symbols"] == ["5", "ʞ"]
    assert face.ids == [2]
    assert face.at("jawOpen", 0.5) > 0.2  # the face goes on


# -- Azure ---------------------------------------------------------------------------------------


def test_visemes_come_when_their_sounds_begin() -> None:
    face = Face(CONTENT)
    first, *rest = face.said["azure"]
    assert first == {"viseme_id": 0, "start_s": 0.0, "audio_offset_ticks": 0}
    starts = [p["start_s"] for w in JOE["words"] for p in w["phonemes"]]
    assert {e["start_s"] for e in rest if e["viseme_id"]} <= set(starts)
    assert rest[0] == {"viseme_id": 12, "start_s": 0.03483, "audio_offset_ticks": 348_300}
    assert rest[-1] == {"viseme_id": 0, "start_s": 7.284717, "audio_offset_ticks": 72_847_170}
    assert all(a["start_s"] < b["start_s"] for a, b in pairwise(face.said["azure"]))
    assert all(a["viseme_id"] != b["viseme_id"] for a, b in pairwise(face.said["azure"]))


def test_a_gap_is_silence_when_it_is_long_enough() -> None:
    silences = {e["start_s"] for e in Face(CONTENT).said["azure"] if e["viseme_id"] == 0}
    ends = {
        a["end_s"]
        for a, b in pairwise(JOE["words"])
        if round(b["start_s"] - a["end_s"], 6) >= SILENCE_S
    }
    assert len(ends) == 6
    assert silences == {0.0, *ends, JOE["words"][-1]["end_s"]}


# -- faces ---------------------------------------------------------------------------------------

SOUNDS = st.lists(
    st.tuples(st.sampled_from(list("".join(VISEMES.values()))), st.floats(0.0, 0.3)),
    min_size=1,
    max_size=25,
)


@given(SOUNDS, st.floats(0.0, 0.5), st.floats(0.0, 0.5), st.sampled_from([0.0, 0.03, 0.25]))
def test_any_sounds_give_a_face_that_can_be_played(
    sounds: list[tuple[str, float]], lead_s: float, tail_s: float, gap_s: float
) -> None:
    document = spoken(*sounds, lead_s=round(lead_s, 6), tail_s=tail_s, gap_s=gap_s)
    face = Face(document, fps=60)
    grid = np.array(face.said["arkit"]["frames"]["weights"])
    assert grid.min() >= 0
    assert grid.max() <= 1
    assert not grid[0].any()
    assert not grid[-1].any()
    assert len(grid) < 2 or np.abs(np.diff(grid, axis=0)).max() <= PER_S / 60 + 3e-4
    for keys in face.keys.values():
        times, weights = np.array(keys).T
        assert (times[0], times[-1]) == (0.0, document.end_s)
        assert (weights[0], weights[-1]) == (0.0, 0.0)
        assert (np.diff(times) > 0).all()
    close, jaw = (grid[:, SHAPES.index(s)] for s in ("mouthClose", "jawOpen"))
    assert (close <= jaw + 2 * TOLERANCE).all()  # lips never pass through each other


BILABIALS = "pbm"


@pytest.mark.parametrize("symbol", BILABIALS)
@pytest.mark.parametrize("length_s", [0.02, 0.05, 0.15])
@pytest.mark.parametrize("around", ["ɑ", "æ", "u", "s"])
def test_lips_close_for_bilabials(symbol: str, length_s: float, around: str) -> None:
    face = Face(spoken((around, 0.12), (symbol, length_s), (around, 0.12)))
    before, middle, after = 0.36, 0.42 + length_s / 2, 0.48 + length_s
    seen = middle + np.linspace(-1 / 48, 1 / 48, 9)  # a frame of film
    opened = face.at("jawOpen", *seen) - face.at("mouthClose", *seen)
    assert opened.max() <= 2 * TOLERANCE
    for shape in ("mouthLowerDownLeft", "mouthUpperUpRight", "mouthFunnel"):
        assert face.at(shape, middle) <= 0.02
    assert face.at("mouthPressLeft", middle) >= 0.28
    for vowel in (before, after):
        assert face.at("mouthClose", middle) > face.at("mouthClose", vowel) + 0.05
        assert face.at("mouthPressLeft", vowel) < 0.1
    if around in "ɑæ":
        assert face.at("jawOpen", middle) < face.at("jawOpen", before) / 2


def test_lips_close_in_every_frame_of_film_of_the_demonstration_voice() -> None:
    face = Face(CONTENT, fps=24)
    grid = np.array(face.said["arkit"]["frames"]["weights"])
    opened = grid[:, SHAPES.index("jawOpen")] - grid[:, SHAPES.index("mouthClose")]
    sounds = [p for w in JOE["words"] for p in w["phonemes"] if p["symbol"] in BILABIALS]
    assert len(sounds) == 10
    for p in sounds:
        nearest = round((p["start_s"] + p["end_s"]) / 2 * 24)
        assert opened[nearest] <= 2 * TOLERANCE, p
    open_frames = opened > 0.1
    assert open_frames.mean() > 0.3


@pytest.mark.parametrize("symbol", ["f", "v"])
def test_lip_meets_teeth(symbol: str) -> None:
    face = Face(spoken(("ɑ", 0.12), (symbol, 0.05), ("ɑ", 0.12)))
    middle = face.at("mouthRollLower", 0.36, 0.445, 0.53)
    assert middle[1] > 0.44
    assert max(middle[0], middle[2]) < 0.1
    assert face.at("jawOpen", 0.445) < 0.1


def test_a_bilabial_between_rounded_vowels_stays_rounded() -> None:
    face = Face(spoken(("u", 0.12), ("b", 0.06), ("u", 0.12)))
    assert face.at("mouthPucker", 0.45) > 0.5
    assert Face(spoken(("i", 0.12), ("b", 0.06), ("i", 0.12))).at("mouthPucker", 0.45) < 0.02


def test_rounded_vowels_round_ahead_of_time() -> None:
    stew = Face(spoken(("s", 0.09), ("t", 0.06), ("ˈuː", 0.2)))
    steep = Face(spoken(("s", 0.09), ("t", 0.06), ("ˈiː", 0.2)))
    peak = stew.at("mouthPucker", 0.55)
    assert peak > 0.7
    assert stew.at("mouthPucker", 0.42) > peak / 2  # in the middle of the t
    assert stew.at("mouthPucker", 0.345) > peak / 4  # and of the s
    assert max(steep.at("mouthPucker", 0.345, 0.42, 0.55)) < 0.01
    late = Face(spoken(("ˈuː", 0.2), ("t", 0.06), ("s", 0.09)))
    assert late.at("mouthPucker", 0.53) > peak / 3  # and go back late, though less so
    assert late.at("mouthPucker", 0.605) < stew.at("mouthPucker", 0.345)


def test_sounds_of_the_tongue_take_the_lips_of_their_neighbours() -> None:
    for shape, vowel in (("mouthPucker", "u"), ("mouthSmileLeft", "i")):
        face = Face(spoken((vowel, 0.12), ("t", 0.05), (vowel, 0.12)))
        assert face.at(shape, 0.445) > 0.8 * face.at(shape, 0.36)


def test_silence_is_neutral_and_speech_opens_before_it_sounds() -> None:
    document = spoken(("ˈɑ", 0.2), ("ɑ", 0.2), gap_s=0.5, lead_s=0.5, tail_s=0.5)
    face = Face(document)
    closed = (0.0, 0.5 - OPENING_S, 0.7 + CLOSING_S, 1.2 - OPENING_S, 1.4 + CLOSING_S, 1.9)
    for shape in SHAPES:
        for begin, end in zip(closed[::2], closed[1::2], strict=True):
            assert not face.at(shape, *np.linspace(begin + STEP_S, end - STEP_S, 20)).any(), (
                shape,
                begin,
            )
    assert face.at("jawOpen", 0.5) > 0.3
    assert face.at("jawOpen", 0.6) > face.at("jawOpen", 1.3) > 0.5  # the first is stressed


def test_a_short_gap_belongs_to_the_speech_around_it() -> None:
    face = Face(spoken(("ɑ", 0.2), ("ɑ", 0.2), gap_s=SILENCE_S - 0.05))
    assert face.at("jawOpen", 0.3 + 0.2 + (SILENCE_S - 0.05) / 2) > 0.4


def test_each_phoneme_says_what_it_wants() -> None:
    m, i = Face(spoken(("m", 0.1), ("ˈiː", 0.1))).said["phonemes"]
    assert (m["symbol"], m["letter"], m["viseme_id"], m["word"]) == ("m", "m", 21, 0)
    assert m["shapes"]["mouthPressLeft"] == m["shapes"]["mouthPressRight"] == 0.3
    assert i["shapes"]["mouthSmileLeft"] == 0.35
    assert set(i["shapes"]) <= set(SHAPES)


# -- frames --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fps", "rate"), [(24, 24.0), ("29.97", 30000 / 1001), ("60", 60.0)])
def test_a_frame_grid_is_read_off_the_keyframes(fps: Any, rate: float) -> None:
    face = Face(CONTENT, fps=fps)
    frames = face.said["arkit"]["frames"]
    top, bottom = map(int, frames["fps"].split("/"))
    assert top / bottom == pytest.approx(rate)
    assert frames["names"] == list(SHAPES)
    grid = np.array(frames["weights"])
    times = np.arange(len(grid)) / rate
    assert times[-2] < JOE["duration_s"] <= times[-1]
    for column, shape in zip(grid.T, SHAPES, strict=True):
        np.testing.assert_allclose(column, face.at(shape, *times), atol=1e-4)
    assert "frames" not in Face(CONTENT).said["arkit"]


def test_both_sides_move_alike() -> None:
    keys = Face(CONTENT).keys
    assert list(keys) == list(SHAPES)
    for shape in SHAPES:
        assert keys[shape] == keys[shape.replace("Left", "Right")]
