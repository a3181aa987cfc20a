"""Takes made from takes: once more by the model, or with one thing changed.

The order is the studio's: plan -> sound -> archive. What is changed is spliced into the samples
that were kept, so that all else stays as it was approved.
"""

import hashlib
import json
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

import numpy as np

from voicesvc import (
    delivery,
    encode,
    lineplan,
    provenance,
    reading,
    retake,
    score,
    sounding,
    splice,
)
from voicesvc.archive import Archive, Made, Origin
from voicesvc.audio import Pcm
from voicesvc.engines import Engine
from voicesvc.errors import (
    Drift,
    EngineFailed,
    NotMade,
    PackRefused,
    UnknownActor,
    VoiceError,
)
from voicesvc.lineplan import LinePlan, WordPlan
from voicesvc.packs import Pack
from voicesvc.rendering import Rendering
from voicesvc.retake import Editor, Retake
from voicesvc.splice import Part
from voicesvc.store import StoredTake
from voicesvc.store.takes import NewTake
from voicesvc.studio import Studio
from voicesvc.takes import Take, language_of, line_of_take, moved, said

EDITED = "edited"  # the document of a retake's plan, where a plan was sent


def begin(studio: Studio, take: StoredTake) -> Rendering:
    """Make a take that was queued.

    Raises:
        VoiceError: it cannot be made.
    """
    if take.made_by != "retake":
        return studio.begin(take)
    line = line_of_take(take)
    output = encode.choose("pcm_f32le", native_rate_hz=line_rate(studio, take))
    making = Take(take.id, take.actor, line, take.seed, output)
    making.model_sha256, making.mark = take.model_sha256, studio.mark
    making.permit = studio.door.again(take, "speak")
    return Rendering(making, _retaken(studio, take, making), studio.demand)


def line_rate(studio: Studio, take: StoredTake) -> int:
    """The rate in Hz of the take's voice."""
    return studio.cast.pack(take.actor).sample_rate_hz


def differences(studio: Studio, take: StoredTake) -> list[str]:
    """What is not as it was when the take was made: `model_sha256`, `code.torch`, `device`.

    Raises:
        UnknownActor, PackRefused: the voice is no longer here.
        NotReady: it cannot be loaded now.
    """
    found = (
        [] if studio.cast.pack(take.actor).model_sha256 == take.model_sha256 else ["model_sha256"]
    )
    found += _code_differences(studio, take)
    with studio.cast.leased(take.actor) as engine:
        for name in ("device", "precision"):
            if take.facts.get(name) != getattr(engine, name):
                found.append(name)
    return found


def known_differences(studio: Studio, take: StoredTake) -> list[str]:
    """The same as far as it is known without loading a voice, which may be gone for good."""
    if studio.is_ready(line_of_take(take)):
        try:
            return differences(studio, take)
        except (UnknownActor, PackRefused, EngineFailed):
            return ["model_sha256"]
    pack = studio.cast.packs[take.actor]
    same = isinstance(pack, Pack) and pack.model_sha256 == take.model_sha256
    return [*([] if same else ["model_sha256"]), *_code_differences(studio, take)]


def _code_differences(studio: Studio, take: StoredTake) -> list[str]:
    then, now = take.facts.get("code", {}), provenance.code()
    marked = [] if take.facts.get("watermark") == studio.mark else ["watermark"]
    return marked + [f"code.{n}" for n in sorted({*then, *now}) if then.get(n) != now.get(n)]


@dataclass(frozen=True, slots=True)
class Again:
    """A take made once more by the model; `drifted` says what was not as it was."""

    pcm: Pcm
    drifted: list[str]
    kept: StoredTake | None  # the new take, where the samples are others


def by_model(
    studio: Studio, take: StoredTake, *, allow_drift: bool, who: str | None, id: str | None = None
) -> Again:
    """The take's samples from its plan; if they are others, as a new take, of this id if given.

    If they are the take's and those that were kept are lost or damaged, they are put back.

    Raises:
        Drift: something is not as it was, or the samples came out otherwise, and neither is
            allowed.
        NotMade: it never was complete.
        VoiceError: the model cannot make it.
    """
    archive = _archive(studio)
    studio.cast.pack(take.actor)
    permit = studio.door.again(take, "speak")
    drifted = differences(studio, take)
    if drifted and not allow_drift:
        raise _drift(drifted)
    pcm, planned, timings = _sounded(studio, take, allow_drift=allow_drift)
    if hashlib.sha256(pcm.astype("<f4").tobytes()).hexdigest() == take.pcm_sha256:
        if not archive.is_whole(take):
            archive.put_back(pcm)
        return Again(pcm, drifted, None)
    if not allow_drift:
        raise _drift(["pcm_sha256"])
    with studio.cast.leased(take.actor) as engine:
        asked, use = take.facts["asked"], take.facts.get("use", {})
        facts = {"asked": asked, "use": use, "drifted": drifted}
        made = _made(studio, engine, take, planned, (timings, pcm))
    new = NewTake(
        id=id or studio.new_id("tk"),
        made_by="drift",
        state="open",
        actor=take.actor,
        text=take.text,
        seed=take.seed,
        model_sha256=permit.use.model_sha256,
        facts=facts,
        permit=permit,
        production=take.production,
        line=take.line,
        parent=take.id,
    )
    recording = archive.open(new, Origin(who=who))
    recording.feed(pcm)
    return Again(pcm, drifted, recording.complete(made))


def _drift(names: Sequence[str]) -> Drift:
    return Drift(f"not as it was: {', '.join(names)}", where="allow_drift", valid=list(names))


def _archive(studio: Studio) -> Archive:
    assert studio.archive is not None, "takes are made from takes that are kept"
    return studio.archive


def _sounded(
    studio: Studio, take: StoredTake, *, allow_drift: bool
) -> tuple[Pcm, LinePlan, dict[str, Any]]:
    """A take's samples from its plan, and for a retake from its parent's too."""
    archive = _archive(studio)
    planned = lineplan.read(archive.document(take.id, "plan"))
    if allow_drift:
        planned = planned.model_copy(
            update={"model_sha256": studio.cast.pack(take.actor).model_sha256}
        )
    pcm, timings = _whole(studio, take, planned)
    joint = take.facts.get("splice")
    if joint is None:
        return pcm, planned, timings
    parent, rate_hz = archive.take(joint["parent"]), line_rate(studio, take)
    if archive.is_whole(parent):
        kept = archive.whole(parent)
    else:
        kept, _, _ = _sounded(studio, parent, allow_drift=allow_drift)
    parts = [Part(*part) for part in joint["parts"]]
    joined = splice.joined(parts, kept, pcm, rate_hz)
    return joined, planned, archive.json_document(take.id, "timings")


def _whole(studio: Studio, take: StoredTake, planned: LinePlan) -> tuple[Pcm, dict[str, Any]]:
    """All samples of a plan, and its timings."""
    making = _plain(studio, take, planned)
    pcm = np.concatenate([np.zeros(0, np.float32), *_sounding(studio, making, planned)])
    making.outcome = "complete"
    return pcm, json.loads(making.timings_json())


def _plain(studio: Studio, take: StoredTake, planned: LinePlan) -> Take:
    output = encode.choose("pcm_f32le", native_rate_hz=line_rate(studio, take))
    making = Take(take.id, take.actor, line_of_take(take), take.seed, output)
    making.model_sha256, making.mark = planned.model_sha256, studio.mark
    return making


def _sounding(studio: Studio, making: Take, planned: LinePlan) -> Iterator[Pcm]:
    """The samples of a plan; its words' times go to `making`."""
    pack = studio.cast.pack(making.actor)
    symbols = frozenset(s for s in pack.text.symbols if s)
    lineplan.check(planned, making.actor, pack.model_sha256, symbols)
    with studio.cast.leased(making.actor) as engine:
        found = score.of_document(engine, planned)
        voice = studio.cast.calibration(making.actor)
        for one in sounding.sentences(engine, found, voice, studio.mark):
            from_s = making.audio_s
            for pcm in one.chunks():
                making.audio_s += len(pcm) / engine.sample_rate_hz
                yield pcm
            making.planned(one, from_s)


def _retaken(studio: Studio, take: StoredTake, making: Take) -> Generator[bytes]:
    """Makes a retake; gives the new rendering's bytes, so that it can be stopped between them."""
    archive = _archive(studio)
    origin = Origin(take_id=take.id, queued=True)
    recording = archive.open(making.opened(origin), origin)
    state, reason = "failed", "the engine failed"
    try:
        parent = archive.take(take.parent or "", deleted=True)
        kept = archive.whole(parent)
        old = lineplan.read(archive.document(parent.id, "plan"))
        new = edited(studio, take, old)
        parts: list[Pcm] = []
        for pcm in _sounding(studio, making, new):
            studio.demand(making)
            parts.append(pcm)
            yield pcm.tobytes()
        joint = _Joint(old, new, archive.json_document(parent.id, "timings"), making)
        fresh = np.concatenate(parts)
        placed, timings = joint.placed(kept, fresh)
        pcm = splice.joined(placed, kept, fresh, making.output.sample_rate_hz)
        recording.feed(pcm)
        making.outcome, making.audio_s = "complete", len(pcm) / making.output.sample_rate_hz
        with studio.cast.leased(take.actor) as engine:
            made = _made(studio, engine, take, new, (timings, pcm))
        given = [[p.source, p.begin, p.end] for p in placed]
        facts = {**made.facts, "splice": {"parent": parent.id, "parts": given}}
        text = (
            said(new)
            if [w.text for w in words_of(new)] != [w.text for w in words_of(old)]
            else None
        )
        recording.complete(replace(made, facts=facts, compute_s=making.compute_s, text=text))
        state = "complete"
    except GeneratorExit:
        state, reason = "cancelled", "it was stopped"
        raise
    except VoiceError as e:
        state, reason = "refused" if e.status < HTTPStatus.INTERNAL_SERVER_ERROR else state, str(e)
        raise
    finally:
        if state != "complete":
            recording.drop(state, reason)


def words_of(line: LinePlan) -> Iterator[WordPlan]:
    """All words of a plan."""
    return (word for sentence in line.sentences for word in sentence.words)


def edited(studio: Studio, take: StoredTake, old: LinePlan) -> LinePlan:
    """The plan that a retake is to have, from its parent's.

    Raises:
        VoiceError: an edit cannot be done.
    """
    archive = _archive(studio)
    asked = Retake.model_validate_json(archive.document(take.id, EDITED))
    if asked.plan is not None:
        return asked.plan.model_copy(update={"length": None})
    pack = studio.cast.pack(take.actor)
    pack = pack.speaking(language_of(take, pack))
    lexicons = studio.lexicons.of(asked.lexicons, pack.folder)
    read = reading.anew(pack, studio.cast.phonemizer(pack), lexicons)
    with studio.cast.leased(take.actor) as engine:
        rows = delivery.rows_of(pack.emotion)
        editor = Editor(engine, read, line_of_take(take), rows)
        return editor.edited(old, asked.edits)


def _made(
    studio: Studio,
    engine: Engine,
    take: StoredTake,
    planned: LinePlan,
    sounded: tuple[dict[str, Any], Pcm],
) -> Made:
    timings, pcm = sounded
    making = _plain(studio, take, planned)
    making.heard(pcm)
    made = making.made(engine, planned.model_dump_json().encode(), planned.length)
    documents = {**made.documents, "timings": json.dumps(timings, ensure_ascii=False).encode()}
    return replace(made, documents=documents)


class _Joint:
    """Where the rendering that was there and the new one are joined."""

    def __init__(
        self, old: LinePlan, new: LinePlan, kept_times: dict[str, Any], making: Take
    ) -> None:
        self._rate_hz = making.output.sample_rate_hz
        self._kept = kept_times["words"]
        self._times = json.loads(making.timings_json())
        self._new = self._times["words"]
        for line, timed in ((old, self._kept), (new, self._new)):
            if sum(len(s.words) for s in line.sentences) != len(timed):
                raise NotMade("a word of the take has no time", where="take", valid="another take")
        self._same = retake.same(old, new)

    def placed(self, kept: Pcm, new: Pcm) -> tuple[list[Part], dict[str, Any]]:
        """The parts, and the words' times in what they are joined to."""
        parts: list[Part] = []
        words: list[tuple[int, list[dict[str, Any]]]] = []  # part, and its words
        at_new, word_new = 0, 0
        for run in self._same:
            begin = self._edge(self._kept, run.begin, run.lead, len(kept))
            end = self._edge(self._kept, run.end, not run.tail, len(kept))
            n_words = run.end - run.begin
            new_begin = self._edge(self._new, run.other, run.lead, len(new))
            new_end = self._edge(self._new, run.other + n_words, not run.tail, len(new))
            if new_begin > at_new or run.other > word_new:
                words.append((len(parts), self._new[word_new : run.other]))
                parts.append(Part("new", at_new, new_begin))
            words.append((len(parts), self._kept[run.begin : run.end]))
            parts.append(Part("kept", begin, end))
            at_new, word_new = new_end, run.other + n_words
        if at_new < len(new) or word_new < len(self._new):
            words.append((len(parts), self._new[word_new:]))
            parts.append(Part("new", at_new, len(new)))
        placed = splice.fitted(parts, kept, new, self._rate_hz)
        return placed, self._timed(placed, words)

    def _edge(self, timed: Sequence[dict[str, Any]], i: int, before: bool, n: int) -> int:
        """The sample between word `i - 1` and word `i`: before the silence there, or after it."""
        if before:
            return round(timed[i - 1]["end_s"] * self._rate_hz) if i > 0 else 0
        return round(timed[i]["start_s"] * self._rate_hz) if i < len(timed) else n

    def _timed(
        self, placed: Sequence[Part], words: Sequence[tuple[int, list[dict[str, Any]]]]
    ) -> dict[str, Any]:
        starts = np.cumsum([0, *(p.samples for p in placed)])
        heard = [
            moved(word, (int(starts[i]) - placed[i].begin) / self._rate_hz, within)
            for i, some in words
            for within in [(starts[i] / self._rate_hz, starts[i + 1] / self._rate_hz)]
            for word in some
        ]
        total_s = round(int(starts[-1]) / self._rate_hz, 6)
        return {
            **self._times,
            "words": heard,
            "outcome": "complete",
            "complete": True,
            "duration_s": total_s,
        }
