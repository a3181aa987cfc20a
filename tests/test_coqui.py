"""coqui-tts's checkpoints become packs that speak as the checkpoint did; nothing in them runs."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from TTS.tts.configs.shared_configs import CharactersConfig
from TTS.tts.utils.text.characters import BaseCharacters
from TTS.tts.utils.text.tokenizer import TTSTokenizer
from voice_files import (
    BLOCKS,
    GRANTED,
    coqui_of,
    edit_config,
    edit_state,
    ids_of,
    speak,
    tiny,
)

from voicesvc import packs
from voicesvc.engines.convert import from_coqui, import_coqui
from voicesvc.errors import PackRefused


@pytest.mark.parametrize("use_sdp", [True, False])
@pytest.mark.parametrize("block", ["1", "2"])
def test_a_coqui_checkpoint_speaks_as_before(tmp_path: Path, block: str, use_sdp: bool) -> None:
    args = {**BLOCKS[block], "use_sdp": use_sdp, "init_discriminator": use_sdp}
    model = tiny(tmp_path / "in", model_args=args)
    pack = import_coqui(tmp_path / "in", "mia", tmp_path / "out", licence=GRANTED)
    assert packs.read(tmp_path / "out") == pack
    assert pack.vits.resblock_type_decoder == block
    assert pack.vits.noise_scale == 0.5
    assert pack.resident_bytes == sum(v.nbytes for v in packs.tensors(pack).values())
    ids = ids_of(pack.text, "Hello, world.")
    assert ids == model.tokenizer.text_to_ids("Hello, world.")
    ours, theirs = speak(coqui_of(pack), ids), speak(model, ids)
    assert ours.shape == theirs.shape
    assert np.abs(theirs).max() > 1e-3
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_older_weight_norm_names_are_folded_too(tmp_path: Path) -> None:
    tiny(tmp_path)
    _, before = from_coqui(tmp_path, "mia")

    def rename(state: dict[str, Any]) -> None:
        for name in list(state):
            new = name.replace(".parametrizations.weight.original0", ".weight_g")
            new = new.replace(".parametrizations.weight.original1", ".weight_v")
            state[new] = state.pop(name)

    edit_state(tmp_path, rename)
    _, after = from_coqui(tmp_path, "mia")
    assert after.keys() == before.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)


def test_the_best_checkpoint_is_taken_from_a_training_folder(tmp_path: Path) -> None:
    for step in (900, 1000):
        tiny(tmp_path, f"checkpoint_{step}.pth")
    (tmp_path / "checkpoint_900.pth").write_bytes(b"the older one")
    assert from_coqui(tmp_path, "mia")[0].actor_id == "mia"
    tiny(tmp_path, "best_model.pth")
    (tmp_path / "checkpoint_1000.pth").write_bytes(b"not the best one")
    assert from_coqui(tmp_path, "mia")[0].actor_id == "mia"
    assert from_coqui(tmp_path / "best_model.pth", "mia")[0].actor_id == "mia"


VOCABULARIES: list[tuple[str, dict[str, Any]]] = [
    ("IPAPhonemes", {"characters": "həlɛoʊ", "punctuations": " ,.", "blank": "_", "bos": "^"}),
    ("IPAPhonemes", {"characters": "x", "phonemes": "həlɛoʊ", "punctuations": " ,."}),
    ("Graphemes", {"characters": "ollehHw", "punctuations": " .", "is_sorted": False}),
    ("Graphemes", {"characters": "holew", "punctuations": " .", "is_unique": True}),
    ("VitsCharacters", {"characters": "helow", "phonemes": "həlɛoʊ", "punctuations": " ,."}),
]


@pytest.mark.parametrize(("kind", "said"), VOCABULARIES)
def test_ids_are_those_of_coquis_tokenizer(tmp_path: Path, kind: str, said: dict[str, Any]) -> None:
    module = "TTS.tts.models.vits" if kind == "VitsCharacters" else BaseCharacters.__module__
    said = {"pad": "<PAD>", "eos": "$", "bos": "^", "blank": "_", "is_unique": False, **said}
    characters = CharactersConfig(characters_class=f"{module}.{kind}", **said)
    bos_eos = kind != "VitsCharacters"
    model = tiny(tmp_path, characters=characters, enable_eos_bos_chars=bos_eos)
    description, _ = from_coqui(tmp_path, "mia")
    letters = [c for c in "hello hɛləʊ." if c in description.text.ids()]
    assert len(letters) > 4
    tokenizer: TTSTokenizer = model.tokenizer
    assert ids_of(description.text, "".join(letters)) == tokenizer.text_to_ids("".join(letters))
    assert description.vits.num_chars == tokenizer.characters.num_chars


def test_coquis_default_characters_stand_where_the_config_has_none(tmp_path: Path) -> None:
    tiny(tmp_path)
    saved = from_coqui(tmp_path, "mia")[0]
    edit_config(tmp_path, lambda c: c.update(characters=None))
    assert from_coqui(tmp_path, "mia")[0] == saved


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("cleaner", "phonemes", "lowercase"),
    [
        (None, False, False),
        ("basic_cleaners", False, True),
        ("english_cleaners", False, True),
        ("english_cleaners", True, False),
        ("phoneme_cleaners", True, False),
    ],
)
def test_what_the_cleaner_did_to_the_letters_is_kept(
    tmp_path: Path, cleaner: str | None, phonemes: bool, lowercase: bool
) -> None:
    tiny(tmp_path)
    edit_config(tmp_path, lambda c: c.update(text_cleaner=cleaner))
    if phonemes:
        # The vocabulary stays the saved one; only the way from text to it changes.
        edit_config(tmp_path, lambda c: c.update(use_phonemes=True, phonemizer="gruut"))
    text = from_coqui(tmp_path, "mia")[0].text
    assert text.lowercase == lowercase
    assert text.phonemizer == ("gruut" if phonemes else "graphemes")


def test_the_language_can_be_given(tmp_path: Path) -> None:
    tiny(tmp_path)
    assert from_coqui(tmp_path, "mia")[0].language == "en-us"
    edit_config(tmp_path, lambda c: c.update(phoneme_language=None))
    with pytest.raises(PackRefused, match="names no language"):
        from_coqui(tmp_path, "mia")
    assert from_coqui(tmp_path, "mia", language="en_GB")[0].language == "en-gb"
    edit_config(tmp_path, lambda c: c.update(datasets=[{"language": "de"}]))
    assert from_coqui(tmp_path, "mia")[0].language == "de"


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.update(model="xtts"), "model 'xtts' is not served.*vits"),
        (lambda c: c.pop("model"), "has no 'model'"),
        (lambda c: c["model_args"].update(num_flows=6), "unknown key model_args.num_flows"),
        (lambda c: c["characters"].update(tones="12"), "unknown key characters.tones"),
        (lambda c: c["model_args"].update(use_speaker_embedding=True), "several speakers"),
        (lambda c: c.update(use_d_vector_file=True), "several speakers"),
        (lambda c: c["model_args"].update(num_speakers=4), "num_speakers is 4"),
        (lambda c: c["model_args"].update(use_language_embedding=True), "several languages"),
        (lambda c: c["model_args"].update(encoder_sample_rate=22050), "second sample rate"),
        (lambda c: c["model_args"].update(max_inference_len=100), "cut lines short"),
        (lambda c: c["model_args"].update(kernel_size_flow=4), "must be odd"),
        (lambda c: c["model_args"].update(num_layers_flow=3), "flow.*is missing"),
        (lambda c: c["model_args"].update(hidden_channels=16), "has shape"),
        (lambda c: c["audio"].update(hop_length=256), "hop_length 256 is not 32"),
        (lambda c: c.update(text_cleaner="french_cleaners"), "text_cleaner 'french_cleaners'"),
        (
            lambda c: c.update(use_phonemes=True, phonemizer="ja_jp_phonemizer"),
            "phonemizer 'ja_jp_phonemizer'",
        ),
        (
            lambda c: c.update(use_phonemes=True, phoneme_language="ko-kr"),
            "phonemizer 'ko_kr_phonemizer' is not served; valid",
        ),
        (
            lambda c: c["characters"].update(characters_class="os.path.Graphemes"),
            "characters_class 'os.path.Graphemes'",
        ),
        (
            lambda c: c["characters"].update(is_unique=True, is_sorted=False),
            "change by the run",
        ),
        (lambda c: c["characters"].update(vocab_dict=["a"]), "vocab_dict"),
        (lambda c: c["characters"].update(blank=None), "add_blank needs|has shape|blank"),
    ],
)
def test_a_coqui_config_that_is_not_served_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], says: str
) -> None:
    tiny(tmp_path)
    edit_config(tmp_path, change)
    with pytest.raises(PackRefused, match=says):
        from_coqui(tmp_path, "mia")


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.pop("text_encoder.emb.weight"), "text_encoder.emb.weight is missing"),
        (
            lambda s: s.update({"emb_g.weight": torch.ones(2, 8)}),
            "emb_g.weight is not part of this network",
        ),
        (
            lambda s: s.pop("waveform_decoder.ups.0.parametrizations.weight.original0"),
            "waveform_decoder.ups.0.parametrizations.weight.original0 is missing",
        ),
        (lambda s: s.update({"flow.n": 3}), "flow.n is not a tensor"),
        (
            lambda s: s["text_encoder.proj.bias"].fill_(float("nan")),
            "text_encoder.proj.bias holds a number that is not finite",
        ),
    ],
)
def test_every_tensor_of_a_checkpoint_is_accounted_for(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], says: str
) -> None:
    tiny(tmp_path)
    edit_state(tmp_path, change)
    with pytest.raises(PackRefused, match=says):
        import_coqui(tmp_path, "mia", tmp_path / "out")
    assert not (tmp_path / "out").exists()


class Payload:
    """A pickle that makes a file when it is loaded carelessly."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_code_in_a_checkpoint_does_not_run(tmp_path: Path) -> None:
    tiny(tmp_path)
    saved = torch.load(tmp_path / "model.pth", weights_only=True)
    torch.save({**saved, "extra": Payload(tmp_path / "owned")}, tmp_path / "model.pth")
    with pytest.raises(PackRefused, match="more than weights"):
        from_coqui(tmp_path, "mia")
    assert not (tmp_path / "owned").exists()


@pytest.mark.sampled(3)
@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04", b"\x80\x02N."])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    tiny(tmp_path)
    (tmp_path / "model.pth").write_bytes(content)
    with pytest.raises(PackRefused, match=r"model\.pth"):
        from_coqui(tmp_path, "mia")


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    tiny(tmp_path)
    content = (tmp_path / "model.pth").read_bytes()
    (tmp_path / "model.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(PackRefused, match=r"model\.pth"):
        from_coqui(tmp_path, "mia")


def test_a_folder_without_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackRefused, match=r"holds no checkpoint.*best_model\.pth"):
        from_coqui(tmp_path, "mia")
    tiny(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(PackRefused, match=r"config\.json: No such file"):
        from_coqui(tmp_path, "mia")
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(PackRefused, match=r"config\.json"):
        from_coqui(tmp_path, "mia")
