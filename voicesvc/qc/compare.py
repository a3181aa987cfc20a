"""What was asked for against what was heard, word by word."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from voicesvc.directions import Said
from voicesvc.qc.tokens import Text, Token, asked, heard, joined
from voicesvc.qc.verdict import HeardWord, Inserted, Status


@dataclass(frozen=True, slots=True)
class Compared:
    """`wer` is None where no word of the text can be judged."""

    wer: float | None
    words: tuple[HeardWord, ...]
    inserted: tuple[Inserted, ...]


@dataclass(frozen=True, slots=True)
class _Pair:
    """Asked token `at` and the heard ones that stand for it; or heard ones before token `at`."""

    at: int
    heard: tuple[int, ...]
    asked: bool = True
    same: bool = False

    @property
    def errors(self) -> int:
        """As the word error rate counts them."""
        return 0 if self.same else max(int(self.asked), len(self.heard))


def compare(text: str, transcript: str, language: str, said: Sequence[Said] = ()) -> Compared:
    """Words of `text` by what became of them in `transcript`.

    The word error rate is (substituted + missing + inserted) / asked, but 1 at most, over the
    alignment with the fewest errors (Levenshtein; jiwer). Fillers, stutters, noises and words
    broken off are not asked for, and whatever is heard where they are is no error.
    """
    want, got = asked(text, language, said), heard(transcript, language)
    wanted = joined(want.tokens, {t.text for t in got.tokens})
    given = joined(got.tokens, {t.text for t in wanted})
    wanted = joined(wanted, {t.text for t in given})
    judged = [t for t in wanted if t.judged]
    pairs = _aligned(judged, given, _noises(wanted))
    return Compared(
        wer=round(min(1.0, sum(p.errors for p in pairs) / len(judged)), 4) if judged else None,
        words=_words(want, got, judged, given, pairs),
        inserted=tuple(
            Inserted(
                at=judged[p.at].words[0] if p.at < len(judged) else len(want.written),
                heard=_as_written(got, given, p.heard),
            )
            for p in pairs
            if not p.asked
        ),
    )


def _noises(wanted: Sequence[Token]) -> set[int]:
    """Before which of the judged tokens, by their index among these, is one that is not judged."""
    before: set[int] = set()
    n = 0
    for token in wanted:
        if token.judged:
            n += 1
        else:
            before.add(n)
    return before


def _aligned(wanted: Sequence[Token], given: Sequence[Token], noises: set[int]) -> list[_Pair]:
    """What stands for what; what was inserted before a substituted word belongs to that."""
    import jiwer

    if not wanted or not given:
        inserted = [_Pair(0, tuple(range(len(given))), asked=False)] if given else []
        return [p for p in inserted if not noises] + [_Pair(i, ()) for i in range(len(wanted))]
    reference, hypothesis = (" ".join(t.text for t in side) for side in (wanted, given))
    pairs: list[_Pair] = []
    extra: tuple[int, ...] = ()
    for c in jiwer.process_words(reference, hypothesis).alignments[0]:
        if c.type == "insert":
            if c.ref_start_idx not in noises:
                extra = tuple(range(c.hyp_start_idx, c.hyp_end_idx))
            continue
        if extra and c.type != "substitute":
            pairs.append(_Pair(c.ref_start_idx, extra, asked=False))
            extra = ()
        for k, at in enumerate(range(c.ref_start_idx, c.ref_end_idx)):
            tokens = () if c.type == "delete" else (*extra, c.hyp_start_idx + k)
            pairs.append(_Pair(at, tokens, same=c.type == "equal"))
            extra = ()
    return [*pairs, _Pair(len(wanted), extra, asked=False)] if extra else pairs


def _words(
    want: Text, got: Text, judged: Sequence[Token], given: Sequence[Token], pairs: Sequence[_Pair]
) -> tuple[HeardWord, ...]:
    wrong: dict[int, list[int]] = {}  # of each written word: the heard tokens instead of it
    right: set[int] = set()
    for p in pairs:
        for word in judged[p.at].words if p.asked else ():
            if p.same:
                right.add(word)
            else:
                wrong.setdefault(word, []).extend(p.heard)
    out = []
    for i, w in enumerate(want.written):
        status: Status = "ok"
        if i in wrong:
            status = "substituted" if wrong[i] or i in right else "missing"
        instead = _as_written(got, given, wrong.get(i, ())) or None
        out.append(HeardWord(w.text, w.start, w.end, status, instead))
    return tuple(out)


def _as_written(got: Text, given: Sequence[Token], tokens: Iterable[int]) -> str:
    """Heard tokens as the recogniser wrote them."""
    words = dict.fromkeys(w for j in tokens for w in given[j].words)
    return " ".join(got.written[w].text for w in words)
