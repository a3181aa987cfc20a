"""Which take is it? What the fingerprint survives, whom it confuses, and how long it takes.

Each text is spoken several times by the demonstration voice, with other seeds. The first take of
each is in the register, among `--takes` synthetic ones of 4 s, whose words are real ones at other
pitches and speeds, cut up and with 6 % of their bits turned.

- **found**: how often the right take comes first, after the attacks of `marks.py` and at other
  speeds; `wrong` counts another one that came first.
- **confused**: stretches of 2 and of 3 s of each take, looked up among the other takes of its text
  alone: the same words by the same voice. Any answer is wrong. `bound` is what the rate is below,
  at 95 % (Clopper and Pearson); stretches of a take overlap by half, so it is a little bold.
- **strangers**: the same among the takes of all other texts.
- **time**: of one look-up at the right speed and of one at all eleven that finds nothing, and
  memory, at each size of the register.

Ends in one JSON line on stdout.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import marks
import numpy as np
from common import LINES_DIR, Pcm, arguments, report, say
from scipy.stats import beta

from voicesvc.config import Settings
from voicesvc.fingerprint import SURE_BER, WORDS_PER_S, Index, Words, queries, words
from voicesvc.line import Line
from voicesvc.studio import Studio

RATE_HZ = marks.RATE_HZ
EACH = 3  # takes of a text
AS_IT_IS = (1.0,)
LENGTHS_S = (2.0, 3.0)
ATTACKS: Mapping[str, marks.Attack] = {
    **marks.ATTACKS,
    "24/25 of the speed": marks.played(24 / 25),
    "1.05 of the speed": marks.played(1.05),
    "12 dB less": lambda pcm: 0.25 * pcm,
}


def spoken(n: int, kept: Path | None) -> list[list[Pcm]]:
    """`EACH` takes of the longest texts; from the file `kept`, where it is there."""
    if kept is not None and kept.exists():
        with np.load(kept) as arrays:
            return [[arrays[f"{i}_{k}"] for k in range(EACH)] for i in range(n)]
    texts = (LINES_DIR / "heldout.txt").read_text("utf-8").split("\n")
    studio = Studio(Settings.read({}, actors=("joe",), device="cpu"))
    made = [
        [_one(studio, text, 100 * i + k) for k in range(EACH)]
        for i, text in enumerate(sorted(texts, key=len)[-n:])
    ]
    studio.close()
    if kept is not None:
        arrays = {f"{i}_{k}": pcm for i, takes in enumerate(made) for k, pcm in enumerate(takes)}
        np.savez(kept, **arrays)
    return made


def _one(studio: Studio, text: str, seed: int) -> Pcm:
    rendering = studio.open(Line(actor="joe", text=text, seed=seed, format="pcm_f32le"))
    return np.frombuffer(b"".join(rendering.chunks()), np.float32)


def synthetic(lines: Sequence[Pcm], n: int) -> Iterable[tuple[str, Words]]:
    """`n` takes of 4 s that nobody made, with words as takes have them."""
    rng, length = np.random.default_rng(1), round(4 * WORDS_PER_S)
    whole = np.concatenate(list(lines))
    rates = np.linspace(0.75, 1.3, 40)  # pitch and speed of the voice
    pool = np.concatenate([words(whole, round(RATE_HZ * by)) for by in rates])
    for i in range(n):
        begins = rng.integers(0, len(pool) - 16, length // 4)
        parts = [pool[a : a + k] for a, k in zip(begins, rng.integers(4, 16, length), strict=False)]
        made = np.concatenate(parts)[:length]
        turned = np.packbits(rng.random((length, 32)) < 0.06, axis=1).view(">u4")[:, 0]
        yield f"synthetic {i}", np.where(made, made ^ turned, 0).astype(np.uint32)


def found(index: Index, takes: Sequence[Sequence[Pcm]]) -> dict[str, dict[str, float]]:
    """For each attack, how many are found, how many are taken for others, and the bit errors."""
    told = {}
    for name, attack in ATTACKS.items():
        first = [index.find(queries(attack(pcm), RATE_HZ))[:1] for pcm, *_ in takes]
        right = [m[0] for i, m in enumerate(first) if m and m[0].take == str(i)]
        told[name] = {
            "share": round(len(right) / len(takes), 3),
            "wrong": sum(map(len, first)) - len(right),
            "bit_errors": round(float(np.mean([m.bit_error_rate for m in right] or [1])), 3),
        }
        say(f"  {name:24} {told[name]['share']:6.0%}  bits {told[name]['bit_errors']:.3f}")
    return told


def stretches(pcm: Pcm, length_s: float) -> list[Pcm]:
    """All stretches of a length, each half a one after the one before."""
    n = round(length_s * RATE_HZ)
    return [pcm[at : at + n] for at in range(0, len(pcm) - n + 1, n // 2)]


def rate(wrong: int, tried: int) -> dict[str, float]:
    """A rate, with the upper end of its 95 % interval."""
    bound = float(beta.ppf(0.95, wrong + 1, tried - wrong)) if tried > wrong else 1.0
    return {"wrong": wrong, "tried": tried, "bound": round(bound, 4)}


def confused(takes: Sequence[Sequence[Pcm]]) -> dict[str, Any]:
    """How often an answer is given where the take is not in the register."""
    prints = [[words(pcm, RATE_HZ) for pcm in same] for same in takes]
    told: dict[str, Any] = {"confused": {}, "strangers": {}}
    for name, length_s in ((name, s) for name in told for s in LENGTHS_S):
        wrong = tried = 0
        for i, k in ((i, k) for i in range(len(takes)) for k in range(EACH)):
            index = Index()
            if name == "confused":
                index.add((str(n), w) for n, w in enumerate(prints[i]) if n != k)
            else:
                index.add((str(n), w) for n, same in enumerate(prints) if n != i for w in same)
            for part in stretches(takes[i][k], length_s):
                tried += 1
                wrong += bool(index.find(queries(part, RATE_HZ, AS_IT_IS)))
        told[name][f"{length_s:g} s"] = rate(wrong, tried)
        say(f"  {name}, {length_s:g} s: {wrong} of {tried}")
    return told


def timed(index: Index, recording: Pcm) -> dict[str, float]:
    """Seconds of processor time of a look-up, and bytes."""
    strange = np.random.default_rng(5).standard_normal(len(recording)).astype(np.float32)
    asked, unknown = queries(recording, RATE_HZ, AS_IT_IS), queries(strange, RATE_HZ)
    begin = time.process_time()
    assert index.find(asked), "a take that is in the register is found"
    between = time.process_time()
    index.find(unknown)
    return {
        "known_s": round(between - begin, 3),
        "unknown_s": round(time.process_time() - between, 3),
        "memory_bytes": index.n_bytes,
    }


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, lines=16)
    parser.add_argument("--takes", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--audio", type=Path, help="file that the takes are kept in for next time")
    options = parser.parse_args()
    takes = spoken(options.lines, options.audio)
    begin = time.process_time()
    registered = {str(i): words(first, RATE_HZ) for i, (first, *_) in enumerate(takes)}
    spent_s = time.process_time() - begin
    audio_s = sum(len(first) for first, *_ in takes) / RATE_HZ
    figures: dict[str, Any] = {"lines": len(takes), "sure_ber": SURE_BER}
    figures["rtf"] = round(spent_s / audio_s, 5)
    figures |= confused(takes)
    sizes = {}
    for n in options.takes or [0]:
        index = Index()
        index.add([*registered.items(), *synthetic([first for first, *_ in takes], n)])
        sizes[str(n)] = timed(index, takes[-1][0][: 4 * RATE_HZ])
        say(f"  among {n}: {sizes[str(n)]}")
    figures |= {"among": sizes, "found": found(index, takes)}
    report("fingerprints", figures, {"numpy": metadata.version("numpy")})


if __name__ == "__main__":
    main()
