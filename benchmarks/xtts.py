"""XTTS: voicesvc's decode loop and vocoder against coqui-tts's, on the same weights in one run.

What is measured, for lines of 5, 10 and 30 s (three sentences): seconds of waiting and of processor
time per second of audio, time to the first chunk, audio tokens per second, and how many frames went
through HiFi-GAN for each frame that was heard. Against coqui's `inference_stream` (chunks of 20
tokens, its default) and its `inference` (a sentence at once). Cost is to be linear:
`cpu_30s_over_5s` is processor time of the line of 30 s by that of the one of 5 s, 6 where it is,
and 6.6 at most. `--batch`: how many tokens a second 1, 2, 4 and 8 streams of one voice get in all
that run at once, each of 5 s, and whether each is what it is alone; and what 2, 4 and 8 of their
vocoder's cells cost at once, in times of one. `--layers 2` tries it out.

Why so: no trained weights are to be had here, so they are random, in the real size (467 million);
what they say is noise, but it costs what speech costs. Both are told to say an exact number of
tokens, since a model of noise does not stop. All in one process, in turns, with one thread in every
product; voicesvc decodes in one thread and makes sound in another. On a busy machine read the
processor's seconds. Memory: some 6 GB.

Ends in one JSON line on stdout; the table goes to stderr.
"""

import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from common import LINES, arguments, interleaved, median, report, say
from torch import Tensor
from torch.nn.utils import parametrize

from voicesvc.engines import gpt, xtts, xtts_network
from voicesvc.engines.device import pin
from voicesvc.engines.together import NUMBERS
from voicesvc.manifest import Text, Weights
from voicesvc.packs import Licence, Pack
from voicesvc.packs import Xtts as Shape

ROUNDED = ("bf16", "int8")
LAYERS = 30  # of XTTS v2's GPT
TOKENS = {"5 s": (108,), "10 s": (215,), "30 s": (215, 215, 216)}  # of sentences; 46.4 ms each
STREAMS = (1, 2, 4, 8)
VOICESVC, STREAM, WHOLE = "voicesvc", "coqui inference_stream", "coqui inference"
PEERS = {"stream": STREAM, "whole": WHOLE}
RATE_HZ = 24000
LETTERS = "abcdefghijklmnopqrstuvwxyz',."
SAMPLING: dict[str, Any] = {
    "temperature": 0.75,
    "top_k": 50,
    "top_p": 0.85,
    "repetition_penalty": 10.0,
}


@dataclass
class Runs:
    """One way's runs of one length."""

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    audio_s: float = 0.0
    frames: int = 0  # through HiFi-GAN, of one run


def vocabulary(path: Path) -> None:
    """A vocabulary of letters, as large as XTTS v2's."""
    named = ["[STOP]", "[UNK]", "[SPACE]", "[en]", *LETTERS]
    named += [f"[unused{i}]" for i in range(len(named), 6680)] + ["[START]"]
    ids = {token: i for i, token in enumerate(named)}
    said = {
        "version": "1.0",
        "added_tokens": [
            {
                "id": i,
                "content": t,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for t, i in ids.items()
            if t.startswith("[") and "unused" not in t
        ],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "BPE", "unk_token": "[UNK]", "vocab": ids, "merges": []},
    }
    path.write_text(json.dumps(said), "utf-8")


def coqui_model(folder: Path, layers: int) -> Any:
    """coqui's XTTS v2 with so many layers of GPT, otherwise of full size, random."""
    from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
    from TTS.tts.models.xtts import Xtts as CoquiXtts

    args = XttsArgs(
        gpt_layers=layers,
        gpt_num_audio_tokens=1026,
        gpt_start_audio_token=1024,
        gpt_stop_audio_token=1025,
        gpt_use_perceiver_resampler=True,
    )
    torch.manual_seed(0)
    model = CoquiXtts(XttsConfig(model_args=args))
    model.tokenizer = VoiceBpeTokenizer(folder / "vocab.json")
    model.init_models()
    model.gpt.eval().requires_grad_(False)
    model.hifigan_decoder.eval().requires_grad_(False)
    for module in model.modules():  # what they do at load
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")
    return model


def our_engine(model: Any, folder: Path, device: str, precision: str) -> xtts.Xtts:
    """voicesvc's engine of the same weights."""
    args = model.args
    shape = Shape(
        **{n: getattr(args, n) for n in Shape.model_fields if hasattr(args, n)},
        **SAMPLING,
        vocabulary=Weights(file="vocab.json", sha256="0" * 64),
    )
    text = Text(
        phonemizer="graphemes",
        symbols=(" ", *LETTERS),
        add_blank=False,
        use_bos_eos=False,
        lowercase=True,
    )
    pack = Pack(
        folder=folder,
        actor_id="noise",
        name="noise",
        engine="xtts",
        language="en",
        sample_rate_hz=RATE_HZ,
        demonstration=True,
        resident_bytes=1,
        licence=Licence(weights="random", data="none"),
        text=text,
        xtts=shape,
        weights=Weights(file="model.safetensors", sha256="0" * 64),
    )
    state = model.state_dict()
    values = {n: state[n] for n in xtts_network.speaking(state)}
    values[xtts_network.CONDITIONING] = torch.randn(32, args.gpt_n_model_channels)
    values[xtts_network.SPEAKER] = torch.nn.functional.normalize(torch.randn(512), dim=0)
    return xtts.of_tensors(pack, values, pin(device), precision)


def saying(engine: xtts.Xtts, n_tokens: int, seed: int) -> gpt.Saying:
    """A text that takes exactly so many tokens."""
    return gpt.Saying(
        engine._tokens(LINES["medium"].lower()),
        gpt.Sampling(**SAMPLING),
        torch.Generator().manual_seed(seed),
        gpt.Bounds(n_tokens, n_tokens),
    )


def ours(engine: xtts.Xtts, sentences: Sequence[int], seed: int) -> Iterator[Tensor]:
    """Samples of exactly so many tokens."""
    for n_tokens in sentences:
        latents = engine.batch.latents(saying(engine, n_tokens, seed))
        yield from engine.vocoder.stream(latents)


def theirs(
    model: Any, engine: xtts.Xtts, whole: bool, sentences: Sequence[int], _: int
) -> Iterator[Any]:
    """The same by coqui's own loop; it takes no seed."""
    for n_tokens in sentences:
        asked: dict[str, Any] = {
            "text": LINES["medium"],
            "language": "en",
            "gpt_cond_latent": engine.conditioning[None],
            "speaker_embedding": engine.vocoder.speaker.transpose(1, 2),
            "min_new_tokens": n_tokens,
            "max_new_tokens": n_tokens,
            **SAMPLING,
        }
        if whole:
            yield model.inference(**asked)["wav"]
        else:
            yield from model.inference_stream(**asked)


def timed(runs: Runs, say_it: Callable[[int], Iterator[Any]], seed: int) -> None:
    """One run, in its place among the others."""
    begin_s, cpu_s = time.perf_counter(), time.process_time()
    first_s: float | None = None
    n_samples = 0
    for chunk in say_it(seed):
        first_s = first_s or time.perf_counter() - begin_s
        n_samples += len(chunk)
    runs.wall_s.append(time.perf_counter() - begin_s)
    runs.cpu_s.append(time.process_time() - cpu_s)
    runs.first_s.append(first_s or 0.0)
    runs.audio_s = n_samples / RATE_HZ


def counted(module: torch.nn.Module, axis: int, runs: Runs, work: Callable[[], object]) -> None:
    """Do the work; how many frames went through the module."""
    seen: list[int] = []
    hook = module.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape[axis]))
    try:
        work()
    finally:
        hook.remove()
    runs.frames = sum(seen)


def measure(
    model: Any, engine: xtts.Xtts, rounds: int, lengths: Sequence[str], against: Sequence[str]
) -> dict[str, dict[str, Runs]]:
    """By way and length."""
    found: dict[str, dict[str, Runs]] = {}
    generator, decoder = model.hifigan_decoder.waveform_decoder, engine.vocoder.network.decoder
    for length in lengths:
        n = TOKENS[length]
        ways: dict[str, tuple[torch.nn.Module, int, Callable[[int], Iterator[Any]]]] = {
            VOICESVC: (decoder, 1, partial(ours, engine, n)),
            STREAM: (generator, -1, partial(theirs, model, engine, False, n)),
            WHOLE: (generator, -1, partial(theirs, model, engine, True, n)),
        }

        def job(name: str, length: str, seed: int) -> None:
            module, axis, way = ways[name]  # noqa: B023 - called within this turn of the loop
            runs = found.setdefault(name, {}).setdefault(length, Runs())
            counted(module, axis, runs, lambda: timed(runs, way, seed))
            say(f"{name:24}{length:>6}  {runs.wall_s[-1]:7.1f} s, {runs.cpu_s[-1]:7.1f} s of CPU")

        names = [VOICESVC, *(PEERS[peer] for peer in against)]
        interleaved({name: partial(job, name, length) for name in names}, rounds)
    return found


def together(engine: xtts.Xtts, rounds: int) -> dict[str, dict[str, dict[int, Any]]]:
    """Tokens a second of so many streams at once, by the clock and by the processor's time.

    And whether the first of them is, to the bit, what it was alone.
    """
    (n_tokens,) = TOKENS["5 s"]
    found: dict[str, dict[str, dict[int, Any]]] = {}
    for what in ("decoded", "decoded and vocoded"):
        by = found[what] = {"per_s": {}, "per_cpu_s": {}, "as_alone": {}}
        alone: Tensor | None = None
        for n in STREAMS:
            wall_s: list[float] = []
            cpu_s: list[float] = []

            def say_it(seed: int) -> Tensor:
                said = engine.batch.latents(saying(engine, n_tokens, seed))
                sound = said if what == "decoded" else engine.vocoder.stream(said)  # noqa: B023
                return torch.cat(list(sound))

            for _ in range(rounds):
                begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
                with ThreadPoolExecutor(n) as threads:
                    first, *_ = threads.map(say_it, range(n))
                wall_s.append(time.perf_counter() - begin_s)
                cpu_s.append(time.process_time() - begin_cpu_s)
            alone = first if alone is None else alone
            by["as_alone"][n] = torch.equal(first, alone)
            by["per_s"][n] = round(n * n_tokens / median(wall_s), 2)
            by["per_cpu_s"][n] = round(n * n_tokens / median(cpu_s), 2)
            say(
                f"{what:20} {n} at once: {by['per_s'][n]:6} tokens/s, {by['per_cpu_s'][n]:6} by CPU"
            )
    return found


def rounding(exact: gpt.Gpt, rounded: gpt.Gpt, engine: xtts.Xtts) -> dict[str, float]:
    """How far a rounded GPT's odds are off, where both have heard and said the same."""
    n_tokens = sum(TOKENS["5 s"])
    one, other = (saying(engine, n_tokens, 1) for _ in range(2))
    exact.begin(one)
    rounded.begin(other)
    off, spread, same_best, same_drawn = [], [], 0, 0
    for _ in range(n_tokens - 1):
        other.tokens[-1] = one.tokens[-1]
        other.heard.copy_(one.heard)
        (odds,), (odds_rounded,) = exact.step([one])[1], rounded.step([other])[1]
        off.append(float((odds - odds_rounded).square().mean().sqrt()))
        spread.append(float(odds.std()))
        same_best += int(odds.argmax() == odds_rounded.argmax())
        for said, heard in ((one, odds), (other, odds_rounded)):
            said.hear(heard.clone(), exact.shape.gpt_stop_audio_token)
        same_drawn += one.tokens[-1] == other.tokens[-1]
    return {
        "odds_off_rms": median(off),
        "odds_std": median(spread),
        "same_likeliest": round(same_best / len(off), 3),
        "same_drawn": round(same_drawn / len(off), 3),
    }


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, rounds=1)
    choices = ("auto", "fp32", "bf16", "int8")
    parser.add_argument("--precision", default="auto", choices=choices, help="voicesvc's")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--lengths", nargs="+", default=list(TOKENS), choices=list(TOKENS))
    parser.add_argument("--against", nargs="*", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--batch", action="store_true", help="streams that run at once")
    parser.add_argument("--rounding", action="store_true", help="of the GPT in bf16 and int8")
    parser.add_argument("--layers", type=int, default=LAYERS, help="of the GPT; fewer for a trial")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        vocabulary(Path(scratch) / "vocab.json")
        model = coqui_model(Path(scratch), options.layers)
        engine = our_engine(model, Path(scratch), options.device, options.precision)
        model.to(engine.where)
        model.gpt.init_gpt_for_inference()
        model.gpt.eval()
        engine.warm()
        rounded = {}
        for precision in ROUNDED if options.rounding else ():
            other = our_engine(model, Path(scratch), options.device, precision)
            rounded[precision] = rounding(engine.batch.gpt, other.batch.gpt, engine)
            say(f"GPT in {precision}: {rounded[precision]}")
            del other
        streams = together(engine, options.rounds) if options.batch else None
        check = engine.check()
        at_once = {n: round(check.cost(n, math.inf), 2) for n in NUMBERS if options.batch}
        say(f"cells at once, in times of one: {at_once}")
        found = measure(model, engine, options.rounds, options.lengths, options.against)
    figures: dict[str, Any] = {"rounds": options.rounds, "threads": 1, "layers": options.layers}
    figures |= {"precision": engine.precision, "together": streams, "rounding": rounded}
    figures["cells_at_once"] = at_once
    for name, value in (
        ("rtf", lambda r: median(w / r.audio_s for w in r.wall_s)),
        ("cpu_rtf", lambda r: median(c / r.audio_s for c in r.cpu_s)),
        ("first_chunk_s", lambda r: median(r.first_s, 2)),
        ("audio_s", lambda r: round(r.audio_s, 2)),
        ("vocoded", lambda r: round(r.frames / (r.audio_s * RATE_HZ / 256), 2)),
    ):
        figures[name] = {w: {n: value(r) for n, r in by.items()} for w, by in found.items()}
    figures["tokens_per_cpu_s"] = {
        way: {n: round(sum(TOKENS[n]) / median(r.cpu_s), 1) for n, r in by.items()}
        for way, by in found.items()
    }
    figures["cpu_30s_over_5s"] = {
        way: round(median(by["30 s"].cpu_s) / median(by["5 s"].cpu_s), 2)
        for way, by in found.items()
        if {"5 s", "30 s"} <= by.keys()
    }
    say("\n" + f"{'':41}" + "".join(f"{n:>12}" for n in options.lengths))
    for name in ("rtf", "cpu_rtf", "first_chunk_s", "vocoded", "tokens_per_cpu_s"):
        for way, by in figures[name].items():
            say(f"{name:17}{way:24}" + "".join(f"{v:>12}" for v in by.values()))
    cpu_rtf = figures["cpu_rtf"]
    figures["over_coqui_stream_cpu"] = {
        n: round(cpu_rtf[VOICESVC][n] / cpu_rtf[STREAM][n], 3)
        for n in options.lengths
        if STREAM in cpu_rtf
    }
    figures["over_coqui_stream"] = {
        n: round(figures["rtf"][VOICESVC][n] / figures["rtf"][STREAM][n], 3)
        for n in options.lengths
        if STREAM in cpu_rtf
    }
    report(
        "xtts", figures, {"coqui-tts": metadata.version("coqui-tts"), "torch": torch.__version__}
    )


if __name__ == "__main__":
    main()
