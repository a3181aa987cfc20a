"""`/v1/productions/{production}/export`: takes as Broadcast Waves in a zip, as it is made."""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from voicesvc import measure, provenance
from voicesvc.api import reach
from voicesvc.api.changes import who
from voicesvc.api.scopes import needs
from voicesvc.api.stream import AudioStream, Beside, Pools
from voicesvc.archive import Archive
from voicesvc.audio import Pcm
from voicesvc.bwf import Loudness
from voicesvc.credentials import EMBEDDED
from voicesvc.disclosure import Disclosures
from voicesvc.errors import BlobDamaged, StoreFailed, UnknownBlob
from voicesvc.export import DEFAULT_TEMPLATE, ExportItem, Options, zipped
from voicesvc.rendering import Stream
from voicesvc.rights import Permit
from voicesvc.store import Cut, Production, ScriptLine, StoredTake, Within, lines
from voicesvc.store import takes as take_rows
from voicesvc.store.lines import LineFilter
from voicesvc.store.takes import TakeFilter
from voicesvc.studio import Studio

router = APIRouter(tags=["productions"])
ZIP = "application/zip"
_PAGE = 500  # rows read at once
_SIZES_AT_ONCE = 16  # asked of a bucket, where each takes a round trip
_SAMPLE_BYTES = 4
_log = logging.getLogger(__name__)
_LEVELS = {  # of bext, by what is measured of a take
    "integrated_lufs": "loudness_lufs",
    "range_lu": "loudness_range_lu",
    "true_peak_dbtp": "true_peak_dbtp",
    "momentary_lufs": "momentary_max_lufs",
    "short_term_lufs": "short_term_max_lufs",
}


class ExportAsked(BaseModel):
    """Which takes, and how the files are made and named."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    takes: Literal["circled", "all"] = Field("circled", description="circled, or all complete ones")
    template: str = Field(DEFAULT_TEMPLATE, max_length=300, description="of the files' names")
    sample_rate_hz: int = Field(48_000, description="8000 to 96000")
    bit_depth: Literal["16", "24", "32f"] = Field("24", description="16, 24 or 32f")


@router.get(
    "/v1/productions/{production}/export",
    response_class=Response,
    responses={200: {"content": {ZIP: {"schema": {"type": "string", "format": "binary"}}}}},
)
@needs("export")
async def export(
    production: str, asked: Annotated[ExportAsked, Query()], request: Request
) -> Response:
    """Takes as 48 kHz/24-bit Broadcast Waves with bext and iXML, and a manifest, in a zip."""
    studio: Studio = request.app.state.studio
    found = await asyncio.to_thread(reach.production, request, production)
    options = Options(
        now=datetime.now(UTC),
        template=asked.template,
        sample_rate_hz=asked.sample_rate_hz,
        bit_depth=asked.bit_depth,
    )
    pools: Pools = request.app.state.pools
    wanted = _Wanted(
        studio,
        found,
        asked.takes == "circled",
        who(request),
        request.app.state.disclosures,
        asked.sample_rate_hz,
        reach.within(request),
    )
    await asyncio.to_thread(wanted.check)
    takes = await asyncio.to_thread(lambda: list(_takes(wanted)))
    await asyncio.to_thread(_demand_audio, wanted.archive, [take for _, take in takes])
    stream = await asyncio.to_thread(lambda: Stream(zipped(_items(wanted, takes), options)))
    headers = {
        "Content-Disposition": f'attachment; filename="{found.slug}.zip"',
        "Cache-Control": "no-store",
    }
    return AudioStream(stream, ZIP, headers, Beside(pools.loading), studio.settings.stall_s)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The takes of a production that are asked for, by whom."""

    studio: Studio
    production: Production
    circled: bool
    who: str | None
    disclosures: Disclosures
    rate_hz: int
    within: Within

    @property
    def archive(self) -> Archive:
        assert self.studio.archive is not None, "asked before"
        return self.studio.archive

    def check(self) -> None:
        """Every voice, model and character among them is covered, before anything is sent.

        Raises:
            Unlicensed: one is not.
        """
        which = partial(
            take_rows.one_of_each,
            production=self.production.id,
            circled=self.circled,
            within=self.within,
        )
        for take in self.archive.database.read(which):
            self.studio.door.again(take, "export")


def _takes(wanted: _Wanted) -> Iterator[tuple[ScriptLine, StoredTake]]:
    """The takes in the order of the script, each with its line."""
    archive, circled = wanted.archive, True if wanted.circled else None
    for line in _lines(archive, wanted.production.id):
        which = TakeFilter(line=line.id, states=("complete",), circled=circled)
        read = partial(take_rows.find, which=which, cut=Cut(None, _PAGE), within=wanted.within)
        for take in archive.database.read(read).items:
            yield line, take


def _demand_audio(archive: Archive, takes: Sequence[StoredTake]) -> None:
    """The audio of every take is there and as long as it was.

    Raises:
        BlobDamaged: `takes` in it names those whose audio is not.
    """

    def is_there(take: StoredTake) -> bool:
        try:
            size_bytes = archive.blobs.size(take.pcm_sha256 or "")
        except UnknownBlob:
            return False
        return size_bytes == _SAMPLE_BYTES * (take.samples or 0)

    with ThreadPoolExecutor(_SIZES_AT_ONCE) as pool:
        found = list(pool.map(is_there, takes))
    lost = [take.id for take, there in zip(takes, found, strict=True) if not there]
    if lost:
        error = BlobDamaged(
            f"the audio of {len(lost)} of {len(takes)} takes is lost or damaged",
            where="takes",
            valid="POST /v1/takes/{take}/render makes it again",
        )
        error.extra = {"takes": lost}
        raise error


def _items(wanted: _Wanted, takes: Sequence[tuple[ScriptLine, StoredTake]]) -> Iterator[ExportItem]:
    for line, take in takes:
        permit = wanted.studio.door.again(take, "export")
        wanted.studio.door.notes.use("exported", take, permit, wanted.who)
        pcm = partial(_pcm, wanted, take, permit)
        sealed = wanted.studio.seal
        embed = None if sealed is None else sealed.embed(take, EMBEDDED["wav"])
        said = wanted.disclosures.before(take, permit, wanted.rate_hz)
        first = None if said is None else said.pcm
        item = _item(wanted.archive, wanted.production, line, take)
        yield replace(item, pcm=pcm, embed=embed, lead=first)


def _pcm(wanted: _Wanted, take: StoredTake, permit: Permit) -> Iterator[Pcm]:
    return wanted.studio.door.guarded(permit, _stored(wanted.archive, take))


def _stored(archive: Archive, take: StoredTake) -> Iterator[Pcm]:
    """The take's samples; that they cannot be read is put on the record: the zip only ends."""
    try:
        yield from archive.pcm(take)
    except (BlobDamaged, StoreFailed) as e:
        _log.error("an export breaks off at take %s: %s", take.id, e)
        by = archive.by()
        archive.database.write(lambda c: take_rows.damaged(c, take.id, by))
        raise


def _lines(archive: Archive, production: str) -> Iterator[ScriptLine]:
    cut: Cut | None = Cut(None, _PAGE)
    while cut is not None:
        read = partial(lines.find, which=LineFilter(production=production), cut=cut)
        page = archive.database.read(read)
        yield from page.items
        cut = None if page.next is None else Cut(page.next, _PAGE)


def _levels(archive: Archive, take: StoredTake) -> Mapping[str, Any]:
    """As they are kept; where nobody has come to measure the take yet, as they are found now."""
    if take.measured is not None:
        return take.measured
    pcm = np.concatenate(list(_stored(archive, take)))
    return measure.measure(pcm, take.sample_rate_hz or 0).json()


def _item(
    archive: Archive, production: Production, line: ScriptLine, take: StoredTake
) -> ExportItem:
    length: dict[str, Any] | None = take.facts.get("length")
    levels = _levels(archive, take)
    return ExportItem(
        production=production.title,
        production_id=production.id,
        slug=production.slug,
        fps=production.fps,
        line_id=line.id,
        number=line.number,
        text=take.text,
        scene=line.scene,
        cue=line.cue,
        character=line.character,
        timecode_in=line.timecode_in,
        timecode_out=line.timecode_out,
        line_notes=line.notes,
        take_id=take.id,
        take=take.number,
        actor=take.actor,
        seed=take.seed,
        created_at=datetime.fromtimestamp(take.created_ms / 1000, UTC),
        created_by=take.created_by,
        model_sha256=take.model_sha256,
        plan_sha256=take.plan_sha256,
        code=take.facts.get("code", provenance.code())["voicesvc"],
        circled=take.circled,
        rating=take.rating,
        note=take.note,
        tags=tuple(take.tags),
        loudness=Loudness(**{ours: levels.get(theirs) for ours, theirs in _LEVELS.items()}),
        sample_rate_hz=take.sample_rate_hz or 0,
        samples=take.samples or 0,
        pcm_sha256=take.pcm_sha256 or "",
        exact_s=None if length is None else Fraction(length["samples"], length["at_hz"]),
        pcm=partial(archive.pcm, take),
    )
