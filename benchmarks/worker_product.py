"""The peers that share our phonemes, and voicesvc itself without HTTP; run by `worker.py`.

onnxruntime and coqui get exactly the phoneme ids that voicesvc's own text side makes, so that a
difference between them is the model's running, not the text's reading. Sentence by sentence, as
each one's own front end does it; the audio is handed over when the whole text is done, as both do.
"""

from collections.abc import Iterator
from importlib import metadata
from typing import Any

import numpy as np
from worker import Say

from voicesvc import packs, phonemes, script
from voicesvc.audio import Pcm
from voicesvc.config import Settings
from voicesvc.packs import Pack

TRAINING_ONLY = ("posterior_encoder.", "duration_predictor.post_", "duration_predictor.flows.1.")
LINE = {"actor": "joe", "format": "pcm_s16le"}
NOISE = (0.667, 1.0, 0.8)  # the voice's own: noise, length, duration noise


def _pack() -> Pack:
    pack = packs.find(Settings.read().models_dir)["joe"]
    if not isinstance(pack, Pack):
        raise pack
    return pack


class _Ids:
    """Text to one list of ids per sentence: bos, then blanks between and around, then eos."""

    def __init__(self, pack: Pack) -> None:
        self.text = pack.text
        self.ids = {s: i for i, s in enumerate(pack.text.symbols) if s}
        self.phonemizer = phonemes.phonemizer(pack.text.phonemizer, pack.language)

    def __call__(self, text: str) -> Iterator[list[int]]:
        edges = (self.text.bos, self.text.eos, self.text.blank)
        bos, eos, blank = (self.ids[s or ""] for s in edges)
        for span in script.sentences(script.clean(text).text):
            words = self.phonemizer.words(span.text, span.start)
            symbols = [self.ids[s] for w in words for s in (*w.phones, *w.after) if s in self.ids]
            yield [bos, blank, *(i for s in symbols for i in (s, blank)), eos]


def onnxruntime(noise: str = "") -> tuple[Say, int, str]:
    """The ONNX voice on onnxruntime; `noise` "0" turns all randomness off."""
    import onnxruntime as ort

    from voicesvc.engines import convert

    pack = _pack()
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    providers = ["CPUExecutionProvider"]
    model = str(convert.source_path(pack))
    session = ort.InferenceSession(model, options, providers=providers)
    ids_of = _Ids(pack)
    scales = np.array((0.0, 1.0, 0.0) if noise == "0" else NOISE, np.float32)

    def say(text: str, seed: int) -> Iterator[Pcm]:
        parts: list[Pcm] = []
        for ids in ids_of(text):
            x = np.array([ids], np.int64)
            lengths = np.array([len(ids)], np.int64)
            inputs = {"input": x, "input_lengths": lengths, "scales": scales}
            parts.append(np.asarray(session.run(None, inputs)[0], np.float32).reshape(-1))
        yield np.concatenate(parts)

    return say, pack.sample_rate_hz, metadata.version("onnxruntime")


def _coqui_model(pack: Pack) -> Any:
    """coqui-tts's `Vits` as its own loader leaves it for inference, with the pack's weights.

    Weight norm is folded, which is the faster of the two ways coqui runs it.
    """
    from safetensors.torch import load_file
    from torch.nn.utils import parametrize
    from TTS.tts.configs.shared_configs import CharactersConfig
    from TTS.tts.configs.vits_config import VitsArgs, VitsConfig
    from TTS.tts.models.vits import Vits

    shape = pack.vits_network.model_dump(mode="json")
    shape["inference_noise_scale"] = shape.pop("noise_scale")
    shape["inference_noise_scale_dp"] = shape.pop("noise_scale_dp")
    # It counts its ids in the config's characters; ours come in as ids, so any characters will do.
    any_characters = CharactersConfig(
        characters_class="TTS.tts.models.vits.VitsCharacters",
        characters="".join(map(chr, range(0xE000, 0xE000 + pack.vits_network.num_chars - 2))),
        punctuations="",
        pad="_",
    )
    config = VitsConfig(
        model_args=VitsArgs(**shape, init_discriminator=False), characters=any_characters
    )
    model = Vits(config).eval()
    for module in model.modules():
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")
    missing, unknown = model.load_state_dict(load_file(pack.weights_path), strict=False)
    needed = [name for name in missing if not name.startswith(TRAINING_ONLY)]
    if needed or unknown:
        raise SystemExit(f"coqui: missing {needed[:5]}, unknown {unknown[:5]}")
    return model


def coqui() -> tuple[Say, int, str]:
    """coqui-tts's own `Vits.inference` with the pack's weights."""
    import torch

    from voicesvc.engines import convert

    torch.set_num_threads(1)
    pack = convert.ensure(_pack(), Settings.read().cache_path / "packs")
    model, ids_of = _coqui_model(pack), _Ids(pack)

    def say(text: str, seed: int) -> Iterator[Pcm]:
        torch.manual_seed(seed)
        with torch.inference_mode():
            parts = [
                model.inference(torch.tensor([ids]))["model_outputs"].reshape(-1).numpy()
                for ids in ids_of(text)
            ]
        yield np.concatenate(parts)

    return say, pack.sample_rate_hz, metadata.version("coqui-tts")


def voicesvc(kept: str = "") -> tuple[Say, int, str]:
    """The product's own order of a take, without HTTP; "kept": takes are kept, as the service's."""
    from voicesvc import archive
    from voicesvc.line import Line
    from voicesvc.studio import Studio

    settings = Settings.read()
    place = archive.open_in(settings, "in_benchmark") if kept == "kept" else None
    studio = Studio(settings, archive=place)
    studio.cast.warm()

    def say(text: str, seed: int) -> Iterator[Any]:
        rendering = studio.open(Line.model_validate({**LINE, "text": text, "seed": seed}))
        for data in rendering.chunks():
            yield np.frombuffer(data, "<i2").astype(np.float32) / 32768.0

    return say, _pack().sample_rate_hz, metadata.version("voicesvc")


KINDS = {"onnxruntime": onnxruntime, "coqui": coqui, "voicesvc": voicesvc}
