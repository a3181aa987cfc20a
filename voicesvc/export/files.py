"""One take as one Broadcast Wave: planned before anything is sent, then streamed and hashed."""

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC
from fractions import Fraction

import numpy as np

from voicesvc import bwf, credentials, timecode
from voicesvc.audio import Exactly, Pcm, Resampler, resampled_length
from voicesvc.bwf import About
from voicesvc.encode import Output
from voicesvc.export.items import ExportItem

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Planned:
    """A file that is to be made; `size_bytes` is its whole length, before it is signed."""

    item: ExportItem
    about: About
    output: Output
    samples: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Made:
    """A file that was made; `audio_sha256` is of the samples in it, without what is around them."""

    planned: Planned
    sha256: str
    audio_sha256: str
    size_bytes: int


def plan(item: ExportItem, name: str, output: Output) -> Planned:
    """Everything about a file that can be known, or be wrong, without its samples.

    Raises:
        InvalidRequest: the frame rate or the timecode is none, or the file would be too long.
    """
    rate_hz = output.sample_rate_hz
    frames = timecode.rate(item.fps)
    lead, begins = lead_of(item), 0
    if item.timecode_in is not None:
        where = f"timecode_in of line {item.number}"
        frame = timecode.frame_of(item.timecode_in, frames, where)
        # The take stays where it belongs: the file begins earlier, on the day before if need be.
        begins = (timecode.sample_of(frame, frames, rate_hz) - lead) % (_DAY_S * rate_hz)
    about = About(
        file_name=name,
        uid=item.take_id,
        at=item.created_at,
        frames=frames,
        time_reference=begins,
        native_rate_hz=item.sample_rate_hz,
        software=f"voicesvc {item.code}",
        made_of=f"seed {item.seed};model {item.model_sha256[:16]};take {item.take_id}",
        project=item.production,
        scene=item.scene,
        cue=item.cue,
        take="" if item.take is None else str(item.take),
        tape=tape(item),
        circled=item.circled,
        note=item.note,
        character=item.character,
        actor=item.actor,
        text=item.text,
        loudness=item.loudness,
    )
    samples = lead + _samples(item, rate_hz)
    head = bwf.encoder(about, output, samples).feed(np.zeros(0, np.float32))
    return Planned(item, about, output, samples, int.from_bytes(head[4:8], "little") + 8)


def tape(item: ExportItem) -> str:
    """The sound roll: the item's own, or the day of the take in UTC, as recorders name it."""
    return item.tape or f"{item.created_at.astimezone(UTC):%Y%m%d}"


def lead_of(item: ExportItem) -> int:
    """How many samples of the file come before the take's."""
    return 0 if item.lead is None else len(item.lead)


def _samples(item: ExportItem, rate_hz: int) -> int:
    """Length at a rate: that which was asked for, or what resampling makes of the stored one."""
    if item.exact_s is None:
        return resampled_length(item.samples, item.sample_rate_hz, rate_hz)
    return math.floor(item.exact_s * rate_hz + Fraction(1, 2))


def stream(planned: Planned, done: Callable[[Made], None]) -> Iterator[bytes]:
    """The bytes of the file; `done` is told when they are all there.

    The samples are those of `/v1/speech` at this rate and depth: resampled as a stream, rounded
    to the nearest step, without dither.

    Raises:
        ValueError: the stored samples are not those of the take; the file is not to be used.
    """
    whole, audio = hashlib.sha256(), hashlib.sha256()
    encoder = bwf.encoder(planned.about, planned.output, planned.samples)
    head = encoder.feed(np.zeros(0, np.float32))
    whole.update(head)
    yield head
    for pcm in _resampled(planned):
        data = encoder.feed(pcm)
        whole.update(data)
        audio.update(data)
        yield data
    end = encoder.flush()
    whole.update(end)
    yield end
    done(Made(planned, whole.hexdigest(), audio.hexdigest(), planned.size_bytes))


def ready(planned: Planned, done: Callable[[Made], None]) -> tuple[int, Iterator[bytes]]:
    """How many bytes the file has, and the bytes; one that is signed is made first.

    Raises:
        SigningFailed: it could not be signed.
        ValueError: the stored samples are not those of the take.
    """
    embed = planned.item.embed
    if embed is None:
        return planned.size_bytes, stream(planned, done)
    made: list[Made] = []
    file, n_bytes = credentials.finished(stream(planned, made.append), embed)

    def sent() -> Iterator[bytes]:
        whole = hashlib.sha256()
        for part in credentials.parts(file):
            whole.update(part)
            yield part
        done(replace(made[0], sha256=whole.hexdigest(), size_bytes=n_bytes))

    return n_bytes, sent()


def _resampled(planned: Planned) -> Iterator[Pcm]:
    """The samples at the file's rate, exactly as many as were planned."""
    resampler = Resampler(planned.item.sample_rate_hz, planned.output.sample_rate_hz)
    if planned.item.lead is not None:
        yield planned.item.lead
    exactly = Exactly(planned.samples - lead_of(planned.item))
    for pcm in _stored(planned.item):
        yield exactly.feed(resampler.feed(pcm))
    yield exactly.feed(resampler.flush())
    yield exactly.flush()


def _stored(item: ExportItem) -> Iterator[Pcm]:
    """The samples as they are kept; fails at their end if they are others than the take's."""
    digest, n = hashlib.sha256(), 0
    for pcm in item.pcm():
        digest.update(pcm.astype("<f4", copy=False).tobytes())
        n += len(pcm)
        yield pcm
    if n != item.samples:
        raise ValueError(f"take {item.take_id} has {item.samples} samples, {n} were stored")
    if digest.hexdigest() != item.pcm_sha256:
        raise ValueError(f"take {item.take_id}: the stored samples are not those that were made")
