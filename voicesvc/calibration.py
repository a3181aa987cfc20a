"""What is measured of a voice once, from fixed sentences through its engine, and kept as JSON.

Emotions and intonation are shaped about the voice's own median pitch, pauses are filled at its own
floor. How pitch answers to rate is not measured: it was found to be next to nothing, see
docs/decisions.md.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voicesvc.audio import Pcm
from voicesvc.dsp import Floor, floor_of, track
from voicesvc.dsp.curves import Floats
from voicesvc.engines import Engine
from voicesvc.errors import PackRefused
from voicesvc.packs import Pack
from voicesvc.phonemes import Word
from voicesvc.plan import Plan

VERSION = 1  # of what is measured and how: `Calibration.version`; another one measures anew
# Statements, a question, short and long, with a pause inside: the voice's everyday spread.
SENTENCES = (
    "The morning train was late again, so we walked along the river.",
    "Nobody had told the children about the garden behind the wall.",
    "Would you leave a light on in the hall?",
    "My brother lives in a small town near the sea.",
    "They opened the window, looked down, and saw an empty road.",
    "All of this will be gone in a hundred years.",
    "I wrote you a letter every week.",
    "The doctor listened, nodded, and closed his bag.",
    "What time does the last ferry leave?",
    "Keep to the left until you reach the bridge.",
    "She has never been afraid of the dark.",
    "There is a key under the third stone.",
    "After the war, my father opened a shop.",
    "It was not the wind that woke us.",
    "We have enough water for two more days.",
    "Tell them I will be there at noon.",
)
_SEED = 1
UNVOICED_HZ = 120.0  # the pitch that a voice without any is shaped about
_VOICED_FRAMES = 40  # of 5 ms in a sentence: below it a median says little
_SILENT_DB = -200.0
Words = Callable[[str], Sequence[Word]]


class Calibration(BaseModel):
    """One voice's own middle, at the pack's noise and pace."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Literal[1] = 1
    f0_median_hz: float = Field(gt=0, allow_inf_nan=False)  # of its sentences' medians, in log
    f0_range_st: float = Field(ge=0, allow_inf_nan=False)  # 10th to 90th percentile of a sentence
    level_db: float = Field(allow_inf_nan=False)  # RMS of speech without its pauses, dBFS
    articulation_hz: float = Field(ge=0, allow_inf_nan=False)  # phonemes a second, without pauses
    floor_db: float | None  # RMS of the noise in pauses, dBFS; null: digital silence
    floor_bands_db: tuple[float, ...] = Field(strict=False)  # the same in octave bands from 63 Hz

    @property
    def floor(self) -> Floor | None:
        """The noise floor, to fill pauses with."""
        return None if self.floor_db is None else Floor(self.floor_db, self.floor_bands_db)


def known(f0_hz: float) -> Calibration:
    """The calibration of an engine whose pitch is known without listening."""
    return Calibration(
        f0_median_hz=f0_hz,
        f0_range_st=0.0,
        level_db=0.0,
        articulation_hz=0.0,
        floor_db=None,
        floor_bands_db=(),
    )


def measure(engine: Engine, words: Words) -> Calibration:
    """Say the sentences and listen. A voice without a pitch, as a whisperer's, is given one."""
    plans = [engine.plan(words(text), _SEED + i) for i, text in enumerate(SENTENCES)]
    spoken = [np.concatenate(list(engine.stream(line))) for line in plans]
    heard_hz = [track(pcm, engine.sample_rate_hz) for pcm in spoken]
    voiced_hz = [f0_hz[f0_hz > 0] for f0_hz in heard_hz]
    median_hz, range_st = _middle([f for f in voiced_hz if len(f) >= _VOICED_FRAMES])
    sounds = [_sounding(line, pcm) for line, pcm in zip(plans, spoken, strict=True)]
    speech = np.concatenate([pcm for _, pcm in sounds])
    power = float(np.mean(np.square(speech, dtype=np.float64)))
    floor = floor_of(np.concatenate(spoken), engine.sample_rate_hz)
    return Calibration(
        f0_median_hz=round(median_hz, 3),
        f0_range_st=round(range_st, 3),
        level_db=round(10 * np.log10(power), 3) if power > 0 else _SILENT_DB,
        articulation_hz=round(sum(n for n, _ in sounds) / (len(speech) / engine.sample_rate_hz), 3),
        floor_db=None if floor is None else floor.level_db,
        floor_bands_db=() if floor is None else floor.bands_db,
    )


def _middle(voiced_hz: Sequence[Floats]) -> tuple[float, float]:
    """Median pitch in Hz and its range in semitones, over sentences' voiced frames."""
    if not voiced_hz:
        return UNVOICED_HZ, 0.0
    # [sentences, 3]: 10th percentile, median, 90th
    marks_st = np.array([np.percentile(12 * np.log2(f), [10, 50, 90]) for f in voiced_hz])
    range_st = float(np.median(marks_st[:, 2] - marks_st[:, 0]))  # octave errors widen a few
    return float(2 ** (marks_st[:, 1].mean() / 12)), range_st


def _sounding(line: Plan, pcm: Pcm) -> tuple[int, Pcm]:
    """How many phonemes a line has, and its samples without pauses."""
    kept, at, in_pause = np.zeros(len(pcm), bool), 0, True
    for unit in line.units():
        if unit.kind != "blank":  # a blank's time belongs to what is before it
            in_pause = unit.kind == "pause"
        end = at + unit.frames * line.hop
        kept[at:end] = not in_pause
        at = end
    return sum(u.kind == "phone" for u in line.units()), pcm[kept]


def ensure(engine: Engine, pack: Pack, words: Words, folder: Path) -> Calibration:
    """The voice's calibration: known, or kept in `folder`, or measured now and kept there.

    Raises:
        PackRefused: `folder` cannot be written.
    """
    if engine.f0_hz is not None:
        return known(engine.f0_hz)
    path = folder / f"{pack.actor_id}-{_key(pack)[:16]}.json"
    try:
        return Calibration.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        pass  # the first time
    except ValidationError:
        pass  # written by another version, or damaged: measured anew
    found = measure(engine, words)
    try:
        _write(path, found.model_dump_json(indent=1))
    except OSError as e:
        raise PackRefused(f"pack {pack.folder}: the cache cannot be used: {e}") from e
    return found


def _key(pack: Pack) -> str:
    """Whatever changes what the voice sounds like; sha256 in hex."""
    parts = (str(VERSION), pack.model_sha256, pack.language, pack.text.phonemizer)
    said = "\0".join((*parts, pack.network.model_dump_json()))
    return hashlib.sha256(said.encode()).hexdigest()


def _write(path: Path, text: str) -> None:
    """Write all of it or nothing: others may read at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, scratch = tempfile.mkstemp(dir=path.parent, prefix=".")
    with os.fdopen(fd, "w", encoding="utf-8") as f:
        f.write(text)
    Path(scratch).rename(path)
