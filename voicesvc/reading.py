"""A directed text into sentences of words: lexicons, readings, phonemes. Nothing acoustic."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from voicesvc import lexicon, markup, packs, phonemes, plan, script, spoken
from voicesvc.directions import Directed, Said, Style, Styled
from voicesvc.errors import BadLexicon, BadMarkup, BadPlan, InvalidRequest, PackRefused

Sentence = tuple[script.Span, tuple[phonemes.Word, ...]]


def sentences(
    directed: Directed,
    pack: packs.Pack,
    phonemizer: phonemes.Phonemizer,
    lexicons: Sequence[lexicon.Lexicon],
) -> Iterator[Sentence]:
    """What can be spoken, sentence by sentence, as it is needed.

    Inline readings win over lexicons, lexicons over how figures and codes are read. Words in
    another language are phonemized in it, and said with what symbols the voice has.

    Raises:
        BadMarkup: inline phonemes have a symbol that the voice never learned, or a language is
            not known.
        BadLexicon: an entry has.
        EngineFailed: the phoneme program failed.
    """
    sounds = {s for s in pack.text.symbols if s and plan.kind_of(s, "phone") == "phone"}
    symbols = sounds | {s for s in pack.text.symbols if s and plan.kind_of(s, "phone") == "mark"}
    inline = [_known(s, symbols) for s in directed.said]
    inline = sorted((*inline, *_foreign(directed, pack, phonemizer)), key=lambda s: s.start)
    found = lexicon.hits(directed.text, lexicons, phonemizer, symbols, inline)
    said = tuple(sorted((*inline, *found), key=lambda s: s.start))
    for span in script.sentences(directed.text, said):
        read = spoken.with_readings(span.text, span.start, said, pack.language)
        words = phonemizer.words(span.text, span.start, read)
        if any(s in sounds for w in words for s in w.phones):
            yield span, words


def lacking(pack: packs.Pack, language: str | None = None) -> str | None:
    """Why a voice cannot speak a language of its model, or its own, here; None where it can."""
    if pack.xtts is None:
        return None
    language = language or pack.language
    words = pack.xtts.vocabulary
    if packs.tag_of(language) not in packs.tags(pack.folder / words.file, words.sha256):
        return f"the model's vocabulary has no {packs.tag_of(language)}"
    return phonemes.lacking(language)


def languages(pack: packs.Pack) -> dict[str, Any]:
    """What a voice can be asked for here, and why it cannot speak the others of its model."""
    missing = {name: lacking(pack, name) for name in pack.languages}
    spoken = [name for name, why in missing.items() if why is None]
    return {
        "languages": spoken,
        "languages_lacking": {name: why for name, why in missing.items() if why is not None},
    }


def demand(pack: packs.Pack) -> None:
    """That the pack's language can be spoken here.

    Raises:
        InvalidRequest: it cannot; says why, and what can.
    """
    why = lacking(pack)
    if why is not None:
        valid = languages(pack)["languages"]
        raise InvalidRequest(f"{pack.language}: {why}", where="language", valid=valid)


def anew(
    pack: packs.Pack, phonemizer: phonemes.Phonemizer, lexicons: Sequence[lexicon.Lexicon]
) -> Callable[[str, str | None], tuple[phonemes.Word, ...]]:
    """How text is read that is said in place of words: as it is written, or as IPA says.

    Reading it raises what `sentences` does, and BadMarkup for more than words and readings, and
    BadPlan where nothing in it can be spoken.
    """

    def read(text: str, ipa: str | None) -> tuple[phonemes.Word, ...]:
        if ipa is None:
            directed = markup.parse(text, "auto")
        else:
            directed = Directed(text, said=(Said(0, len(text), phones=tuple(ipa)),))
        if directed.events or directed.styled:
            raise BadMarkup(
                "pauses, breaths and styles in it would be lost",
                where="edits.say",
                valid="words and how they are read; pause_ms, breath and prosody of the edit",
            )
        found = sentences(directed, pack, phonemizer, lexicons)
        words = tuple(w for _, sentence in found for w in sentence)
        if not words:
            raise BadPlan("nothing in it can be spoken", where="edits.say")
        return words

    return read


def _known(said: Said, symbols: Collection[str]) -> Said:
    """Inline phonemes in the voice's own symbols."""
    if said.phones is None:
        return said
    try:
        return replace(said, phones=lexicon.phones_of("".join(said.phones), symbols))
    except BadLexicon as e:
        where = f"text, characters {said.start} to {said.end}, phoneme {e.where}"
        raise BadMarkup(e.detail, where=where, valid=e.valid) from e


def _foreign(
    directed: Directed, pack: packs.Pack, phonemizer: phonemes.Phonemizer
) -> Iterator[Said]:
    """Words of stretches in another language than the voice's, as that language says them."""
    taken = [(s.start, s.end) for s in directed.said]
    for stretch in reversed(directed.styled):  # the innermost first
        if stretch.style.language is None:
            continue
        language = stretch.style.language.lower()
        if language.partition("-")[0] != pack.language.partition("-")[0]:
            for word in _in_language(directed.text, stretch, language, phonemizer):
                if all(word.end <= b or e <= word.start for b, e in taken):
                    yield Said(word.start, word.end, phones=word.phones)
        taken.append((stretch.start, stretch.end))


def _in_language(
    text: str, stretch: Styled, language: str, phonemizer: phonemes.Phonemizer
) -> tuple[phonemes.Word, ...]:
    part = text[stretch.start : stretch.end]
    where = f"text, characters {stretch.start} to {stretch.end}, language"
    try:
        return phonemizer.foreign(part, stretch.start, language)
    except PackRefused as e:
        general = language.partition("-")[0]
        if general == language:
            raise BadMarkup(e.detail, where=where, valid=e.valid) from e
    try:
        return phonemizer.foreign(part, stretch.start, general)
    except PackRefused as e:
        raise BadMarkup(e.detail, where=where, valid=e.valid) from e


def shouted(directed: Directed, language: str) -> tuple[Styled, ...]:
    """Words in capitals, emphasised as what is shouted is."""
    if not language.startswith("en"):
        return ()
    loud = Style(emphasis="strong", energy_db=3.0)
    return tuple(Styled(b, e, loud) for b, e in spoken.shouted(directed.text, 0))
