"""A line that has been checked: what is left is to plan and to render it."""

import itertools
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from voicesvc import delivery, lineplan, markup, packs, reading, score, script
from voicesvc.delivery import Delivery, Prosody
from voicesvc.directions import Directed, EmotionName, Ignored, Style
from voicesvc.engines import Engine
from voicesvc.errors import BadMarkup, BadPlan, NothingSpeakable, TextTooLong
from voicesvc.lexicon import Lexicon
from voicesvc.line import Line
from voicesvc.lineplan import LineHead, LinePlan, VariabilityPlan
from voicesvc.perform import Asked, Performer, Stretch, needs_whole
from voicesvc.phonemes import Phonemizer
from voicesvc.score import Score

LONGEST_WHOLE = 20_000  # characters: some 20 minutes of speech
# What does a thing that is asked for: the model's own durations or noise, or DSP on its samples.
_BY_MODEL = ("rate", "pause_scale", "emphasis", "duration_s")
_BY_DSP = ("pitch_st", "pitch_hz", "pitch_delta_hz", "range", "energy_db", "tilt_db", "breathiness")


@dataclass(frozen=True, slots=True)
class Voice:
    """What a text is read with; `median_hz` is the pitch, known once the voice is loaded."""

    pack: packs.Pack
    phonemizer: Phonemizer
    lexicons: Sequence[Lexicon]
    median_hz: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Request:
    """A checked line; `plan` makes its score on its voice's engine."""

    pack: packs.Pack
    seed: int
    plan: Callable[[Engine], Score]
    skipped: tuple[script.Skipped, ...] = ()
    ignored: tuple[Ignored, ...] = ()  # markup that was skipped because it was asked to be
    sources: dict[str, str] | None = None  # what does each thing that was asked for
    lexicons: tuple[Lexicon, ...] = ()  # that the text was read with


def of_text(line: Line, seed: int, voice: Voice) -> Request:
    """A request of a text.

    Raises:
        NothingSpeakable: nothing in it can be said.
        TextTooLong: it is to be planned as a whole, and too long for that.
        VoiceError: its markup or a lexicon is not valid.
    """
    pack = voice.pack
    directed = markup.parse(line.text or "", line.markup, lenient=line.lenient)
    cleaned = script.clean(directed.text, script.scripts_of(pack.language))
    directed = replace(directed, text=cleaned.text)
    texts = reading.sentences(directed, pack, voice.phonemizer, voice.lexicons)
    first = next(texts, None)
    if first is None:
        raise NothingSpeakable(
            "nothing is left once what this voice cannot speak is taken out",
            where="text",
            valid="letters, digits and words of " + pack.language,
        )
    stretches = _stretches(line, directed, pack)
    styles = _styles(stretches, line, pack)
    if line.fit is not None or needs_whole(stretches):
        _check_short(line.text or "")

    def planned(engine: Engine) -> Score:
        pivot_hz = voice.median_hz()
        rows = delivery.rows_of(pack.emotion, styles)
        asked = Asked(directed, stretches, line.breaths, line.extreme, pivot_hz, rows)
        head = LineHead(
            actor=pack.actor_id,
            model_sha256=pack.model_sha256,
            sample_rate_hz=pack.sample_rate_hz,
            seed=seed,
            variability=VariabilityPlan(**line.variability.model_dump()),
            style=delivery.styled(line.emotion, styles),
            language=None if line.language is None else pack.language,
            pivot_hz=pivot_hz,
            room_tone=line.room_tone,
            extreme=line.extreme,
        )
        spoken = itertools.chain((first,), texts)
        return score.of_text(engine, head, spoken, Performer(asked), line.fit)

    sources = _sources(line, stretches, pack, styles)
    lexicons = tuple(voice.lexicons)
    return Request(pack, seed, planned, cleaned.skipped, directed.ignored, sources, lexicons)


def check_speakable(text: str, kind: markup.Kind) -> None:
    """That something in a text can be said, while it is not known by which voice.

    Markup that is not valid is left to `of_text`, which says where it is not.

    Raises:
        NothingSpeakable: nothing can.
    """
    try:
        directed = markup.parse(text, kind, lenient=True)
    except BadMarkup:
        return
    if not script.speakable(script.clean(directed.text).text):
        raise NothingSpeakable(
            "nothing is left once what no voice can speak is taken out",
            where="text",
            valid="letters, digits or words",
        )


def _check_short(text: str) -> None:
    """What is planned as a whole is planned before its first audio, so it cannot be a scene."""
    if len(text) > LONGEST_WHOLE:
        raise TextTooLong(
            f"{len(text)} characters: a length, a contour or a duration is worked out over all of"
            " the text before any of it is heard",
            where="text",
            valid=f"up to {LONGEST_WHOLE} characters, or ask for it line by line",
        )


def of_plan(line: Line, document: LinePlan, pack: packs.Pack) -> Request:
    """A request of a plan.

    Raises:
        BadPlan: it is for another actor or model, or has a symbol that the voice never learned.
    """
    symbols = frozenset(s for s in pack.text.symbols if s)
    lineplan.check(document, line.actor, pack.model_sha256, symbols)
    if unknown := sorted(document.style.keys() - pack.styles.keys()):
        raise BadPlan(
            f"{pack.actor_id} has no style {unknown[0]!r}",
            where="plan.style",
            valid=sorted(pack.styles),
        )

    def planned(engine: Engine) -> Score:
        return score.of_document(engine, document, line.fit)

    return Request(pack, document.seed, planned)


def _stretches(line: Line, directed: Directed, pack: packs.Pack) -> tuple[Stretch, ...]:
    """What the line, its spans, what is in capitals and the markup ask for, outer ones first."""
    whole = (Stretch(0, len(directed.text), line),) if any(_asked(line)) else ()
    spans = sorted(line.spans, key=lambda s: (s.start, -s.end))
    loud = () if line.markup == "plain" else reading.shouted(directed, pack.language)
    styled = (*loud, *directed.styled)
    return (
        *whole,
        *(Stretch(s.start, s.end, s) for s in spans),
        *(Stretch(s.start, s.end, s.style) for s in styled),
    )


def _asked(asks: Prosody | Style) -> Iterable[str]:
    """Names of what a stretch asks for."""
    names = ("emotion", *_BY_MODEL, *_BY_DSP)
    return (name for name in names if getattr(asks, name, None) is not None)


def _styles(stretches: Sequence[Stretch], line: Line, pack: packs.Pack) -> Collection[EmotionName]:
    """The styles that may be used: all of the pack's, if no part of the line has an emotion.

    A style is of a whole line; where parts are to differ, all of it is done by rules.
    """
    parts = (s.asks for s in stretches if s.asks is not line)
    return () if any(delivery.emotion_of(asks) is not None for asks in parts) else pack.styles


def _sources(
    line: Delivery,
    stretches: Sequence[Stretch],
    pack: packs.Pack,
    styles: Collection[EmotionName],
) -> dict[str, str]:
    """What does each thing that was asked for, and how good that is for emotions."""
    sources: dict[str, str] = {}
    for stretch in stretches:
        for name in _asked(stretch.asks):
            if name in _BY_MODEL:
                sources[name] = "model"
            elif name in _BY_DSP:
                sources["pitch_st" if name.startswith("pitch") else name] = "dsp"
        emotion = delivery.emotion_of(stretch.asks)
        if emotion is not None:
            found = delivery.source_of(emotion, pack.measured.emotion, styles)
            sources["emotion"] = str(found["source"])
            if found["quality"] is not None and sources.get("quality") != "experimental":
                sources["quality"] = str(found["quality"])
    if line.variability != delivery.Variability():
        sources["variability"] = "model"
    return sources
