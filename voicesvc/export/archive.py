"""The zip: file after file as they are made, and the manifest last, when all hashes are known."""

import stat
from collections.abc import Generator, Iterable, Iterator, Sequence
from datetime import UTC, datetime

from stream_zip import ZIP_AUTO, MemberFile, stream_zip

from voicesvc import encode
from voicesvc.encode import Output
from voicesvc.export import files, manifest
from voicesvc.export.files import Made, Planned
from voicesvc.export.items import ExportItem, Options
from voicesvc.export.names import Names, Template

MANIFEST_CSV, MANIFEST_JSON = "manifest.csv", "manifest.json"
# Deflate takes 14 % off speech at 24 bits and 80 times as long as storing it.
_AUDIO_LEVEL, _TEXT_LEVEL = 0, 6
_MODE = stat.S_IFREG | 0o644
# A zip's two kinds of time stamps hold no others.
_FIRST, _LAST = datetime(1980, 1, 1, tzinfo=UTC), datetime(2038, 1, 1, tzinfo=UTC)


def zipped(items: Iterable[ExportItem], options: Options) -> Generator[bytes]:
    """A zip of one Broadcast Wave for each item, and the manifest as CSV and JSON.

    Everything that can be refused is refused before this returns: the items are gone through once,
    without their samples. Those are opened file by file while the bytes are taken; a file that is
    signed is whole before it leaves. A failure then raises out of the generator, which leaves a zip
    without the directory at its end: nothing opens it. Closing the generator closes what it reads.

    Raises:
        InvalidRequest: the template, rate or depth is none, or an item's timecode or length cannot
            be written.
        ValueError: from the generator: a take's stored samples are not what its item says.
    """
    template = Template(options.template)
    output = encode.choose(
        "wav", options.sample_rate_hz, options.bit_depth, native_rate_hz=options.sample_rate_hz
    )
    names = Names((MANIFEST_CSV, MANIFEST_JSON))
    planned = [
        files.plan(item, names.claim(template.stem(item), output.format.suffix), output)
        for item in items
    ]
    return _sent(planned, options, output)


def _sent(planned: Sequence[Planned], options: Options, output: Output) -> Generator[bytes]:
    yield from stream_zip(_members(planned, options, output))


def _members(planned: Sequence[Planned], options: Options, output: Output) -> Iterator[MemberFile]:
    made: list[Made] = []
    for file in planned:
        n_bytes, chunks = files.ready(file, made.append)
        method = ZIP_AUTO(n_bytes, level=_AUDIO_LEVEL)
        yield file.about.file_name, _stamp(file.item.created_at), _MODE, method, chunks
    for name, data in (
        (MANIFEST_CSV, manifest.to_csv(made)),
        (MANIFEST_JSON, manifest.to_json(made, options, output)),
    ):
        method = ZIP_AUTO(len(data), level=_TEXT_LEVEL)
        yield name, _stamp(options.now), _MODE, method, (data,)


def _stamp(at: datetime) -> datetime:
    return min(max(at.astimezone(UTC), _FIRST), _LAST)
