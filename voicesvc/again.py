"""A take that is heard again from what is kept of it: other rates and formats, no model.

Knows nothing of engines or HTTP.
"""

import math
from collections.abc import Generator, Iterable
from fractions import Fraction

import numpy as np

from voicesvc import encode
from voicesvc.archive import Archive
from voicesvc.audio import Exactly, Pcm, Resampler, resampled_length
from voicesvc.errors import NotMade
from voicesvc.store import StoredTake


def rate_of(take: StoredTake) -> int:
    """The rate in Hz that the take is kept at.

    Raises:
        NotMade: it has no audio.
    """
    if take.sample_rate_hz is None or take.samples is None:
        raise NotMade(f"take {take.id} is {take.state}", where="take", valid="a complete take")
    return take.sample_rate_hz


def samples_at(take: StoredTake, rate_hz: int) -> int:
    """How many samples the take has at a rate: its exact length, where it was made to one.

    Raises:
        NotMade: it has no audio.
    """
    native_hz, length = rate_of(take), take.facts.get("length")
    if length is not None:
        return math.floor(Fraction(length["samples"], length["at_hz"]) * rate_hz + Fraction(1, 2))
    return resampled_length(take.samples or 0, native_hz, rate_hz)


def stored(
    archive: Archive, take: StoredTake, output: encode.Output, lead: Pcm | None = None
) -> Generator[bytes]:
    """The take as a file, chunk by chunk: the samples that were heard when it was made.

    `lead`, at the rate of the file, comes before them.

    Raises:
        BlobDamaged: its samples are no longer what they were.
        NotMade: it has no audio.
        StoreFailed: its samples are lost.
    """
    n_samples = samples_at(take, output.sample_rate_hz)
    return encoded(archive.pcm(take), rate_of(take), output, n_samples, lead)


def encoded(
    pcm: Iterable[Pcm],
    rate_hz: int,
    output: encode.Output,
    n_samples: int,
    lead: Pcm | None = None,
) -> Generator[bytes]:
    """Samples at `rate_hz` as a file of `n_samples`; a stream that is made has the same samples.

    `lead`, at the rate of the file, comes before them.
    """
    resampler = Resampler(rate_hz, output.sample_rate_hz)
    n_lead = 0 if lead is None else len(lead)
    exactly, encoder = Exactly(n_samples), encode.encoder(output, n_lead + n_samples)
    if lead is not None:
        yield encoder.feed(lead)
    for part in pcm:
        yield encoder.feed(exactly.feed(resampler.feed(part)))
    yield encoder.feed(exactly.feed(resampler.flush()))
    yield encoder.feed(exactly.flush()) + encoder.flush()


def plain_bytes(output: encode.Output, n_samples: int) -> int | None:
    """How many bytes the file of so many samples has; None where that depends on the samples."""
    if output.bit_depth is None or output.format.name == "flac":
        return None
    head = encode.encoder(output, n_samples).feed(np.zeros(0, np.float32))
    data_bytes = n_samples * (4 if output.bit_depth == "32f" else int(output.bit_depth) // 8)
    return len(head) + data_bytes + (data_bytes % 2 if output.format.name == "wav" else 0)
