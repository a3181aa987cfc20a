"""XTTS speaks as coqui's network does, and without the faults of coqui's loop around it."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers.generation import logits_process
from TTS.tts.models.xtts import Xtts as CoquiXtts
from xtts_files import checkpoint

from voicesvc import products
from voicesvc.audio import Pcm
from voicesvc.engines import Batching, batch, device, gpt, xtts
from voicesvc.engines.convert import import_coqui
from voicesvc.engines.device import pick_dtype
from voicesvc.engines.vocoder import CELL_FRAMES, Interpolated
from voicesvc.errors import BadPlan, EngineFailed, InvalidRequest, PackRefused
from voicesvc.packs import Pack
from voicesvc.phonemes import Graphemes, Word
from voicesvc.plan import Plan, Variability

LINE = "Hold the line, and wait for me at the old bridge."
HOW = gpt.Sampling(0.75, 50, 0.85, 10.0)
LONG = " ".join(["the harbour was quiet, and then the storm came,"] * 16)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[CoquiXtts, Pack]:
    folder = tmp_path_factory.mktemp("xtts")
    model = checkpoint(folder / "in")
    return model, import_coqui(folder / "in", "mia", folder / "mia", language="en-us")


@pytest.fixture(scope="module")
def coqui(made: tuple[CoquiXtts, Pack]) -> CoquiXtts:
    return made[0]


@pytest.fixture(scope="module")
def voice(made: tuple[CoquiXtts, Pack]) -> Iterator[xtts.Xtts]:
    engine = xtts.load(made[1], "cpu", "fp32")
    yield engine
    engine.close()


def changed(pack: Pack, **shape: Any) -> Pack:
    return pack.model_copy(update={"xtts": pack.xtts_network.model_copy(update=shape)})


def words(text: str = LINE) -> tuple[Word, ...]:
    return Graphemes("en-us", lowercase=True).words(text, 0)


def spoken(engine: xtts.Xtts, plan: Plan, **how: Any) -> Pcm:
    return np.concatenate(list(engine.stream(plan, **how)))


def latents_of(engine: xtts.Xtts) -> dict[str, torch.Tensor]:
    """The voice as coqui's loop takes it."""
    return {
        "gpt_cond_latent": engine.conditioning[None],
        "speaker_embedding": engine.vocoder.speaker.transpose(1, 2),
    }


def theirs(model: CoquiXtts, engine: xtts.Xtts, text: str = LINE, **how: Any) -> Iterator[Any]:
    asked: dict[str, Any] = {"repetition_penalty": 2.0, "temperature": 0.75, "max_new_tokens": 60}
    return model.inference_stream(text, "en", **latents_of(engine), **(asked | how))  # type: ignore[no-any-return]


def frames_through(module: nn.Module, axis: int, work: Callable[[], object]) -> int:
    """How many frames went through a module while `work` was done."""
    counted: list[int] = []
    hook = module.register_forward_pre_hook(lambda _, given: counted.append(given[0].shape[axis]))
    try:
        work()
    finally:
        hook.remove()
    return sum(counted)


# -- the same sound ------------------------------------------------------------------------------


def test_it_says_what_coqui_says_where_nothing_is_drawn(
    made: tuple[CoquiXtts, Pack], voice: xtts.Xtts
) -> None:
    greedy = xtts.load(changed(made[1], top_k=1), "cpu", "fp32")
    ours = spoken(greedy, greedy.plan(words(), 1))
    said = next(iter(theirs(made[0], voice, top_k=1, stream_chunk_size=0)))
    n = min(len(ours), len(said)) - 30 * 256  # where one was stopped, its end is heard before
    assert n > 4000
    assert np.abs(ours).max() > 0.05
    np.testing.assert_allclose(ours[:n], said[:n], atol=1e-3)


def test_latents_sound_as_in_coquis_decoder_to_the_last_sample(
    coqui: CoquiXtts, voice: xtts.Xtts
) -> None:
    plan = voice.plan(words(), 7)
    (latents,) = plan.hidden.parts
    said = coqui.hifigan_decoder(latents[None].clone(), latents_of(voice)["speaker_embedding"])
    ours = spoken(voice, plan)
    assert ours.shape == (plan.samples,) == said.flatten().shape
    np.testing.assert_allclose(ours, said.flatten().detach(), atol=1e-4)


@pytest.mark.parametrize("factor", [4.0, 24000 / 22050, 0.7])
@pytest.mark.parametrize("cut", [1, 3, 50])
def test_interpolation_of_a_stream_is_torchs(factor: float, cut: int) -> None:
    x = torch.randn(50, 3)
    whole = nn.functional.interpolate(x.t()[None], scale_factor=factor, mode="linear")[0].t()
    stream = Interpolated(factor)
    parts = [stream.feed(part) for part in x.split(cut)]
    got = torch.cat([*parts, stream.flush()])
    torch.testing.assert_close(got, whole, atol=1e-5, rtol=0)


def test_odds_are_those_of_the_transformers_library() -> None:
    odds = torch.randn(40, generator=torch.Generator().manual_seed(3)) * 3
    said = torch.tensor([[3, 7, 7, 1]])
    how = gpt.Sampling(0.7, 12, 0.8, 2.5)
    want = odds[None].double()
    for process in (
        logits_process.RepetitionPenaltyLogitsProcessor(2.5),
        logits_process.TemperatureLogitsWarper(0.7),
        logits_process.TopKLogitsWarper(12),
        logits_process.TopPLogitsWarper(0.8),
    ):
        want = process(said, want)
    heard = torch.zeros(40, dtype=torch.bool)
    heard[said[0]] = True
    share, tokens = gpt.shares(odds, heard, how)
    got = torch.zeros(40, dtype=torch.float64)
    got[tokens] = share / share.sum()
    torch.testing.assert_close(got, torch.softmax(want[0], 0), atol=1e-6, rtol=0)


def test_tokens_are_drawn_as_often_as_they_should() -> None:
    odds, heard = torch.tensor([0.0, math.log(3.0), -9.0]), torch.zeros(3, dtype=torch.bool)
    generator = torch.Generator().manual_seed(1)
    how = gpt.Sampling(1.0, 2, 1.0, 1.0)
    drawn = [gpt.draw(odds, heard, how, generator) for _ in range(2000)]
    assert set(drawn) == {0, 1}
    assert drawn.count(1) / 2000 == pytest.approx(0.75, abs=0.03)


# -- what is wrong in coqui's loop ---------------------------------------------------------------


def test_a_seed_gives_the_same_samples_and_coquis_does_not(
    coqui: CoquiXtts, voice: xtts.Xtts
) -> None:
    once, again = (torch.cat(list(theirs(coqui, voice, seed=7))) for _ in range(2))
    assert once.shape != again.shape or not torch.equal(once, again)
    before = torch.get_rng_state()
    ours = spoken(voice, voice.plan(words(), 7))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    np.testing.assert_array_equal(spoken(voice, voice.plan(words(), 7)), ours)
    other = spoken(voice, voice.plan(words(), 8))
    assert other.shape != ours.shape or np.abs(other - ours).max() > 1e-2


def test_every_frame_is_vocoded_once_and_coqui_does_it_again(
    coqui: CoquiXtts, voice: xtts.Xtts
) -> None:
    heard: list[Any] = []
    work = frames_through(
        coqui.hifigan_decoder.waveform_decoder,
        -1,
        lambda: heard.extend(theirs(coqui, voice, stream_chunk_size=5, min_new_tokens=60)),
    )
    assert work > 3 * sum(len(h) for h in heard) / 256
    plan = voice.plan(words(), 7)
    ours = frames_through(voice.vocoder.network.decoder, 1, lambda: spoken(voice, plan))
    assert plan.frames <= ours < plan.frames + 16


def test_a_token_goes_through_the_gpt_once_and_coqui_hears_all_of_it_again(
    coqui: CoquiXtts, voice: xtts.Xtts, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = 30
    asked = {"min_new_tokens": n, "max_new_tokens": n, "language": "en", "text": LINE}
    voiced = {
        "gpt_cond_latent": voice.conditioning[None],
        "speaker_embedding": voice.vocoder.speaker.transpose(1, 2),
    }
    theirs = frames_through(
        coqui.gpt.gpt.h[0], 1, lambda: coqui.inference(**asked, **voiced, num_beams=1)
    )
    text = len(voice._tokens(LINE.lower())) + 2
    assert theirs >= 2 * (len(voice.conditioning) + text + n)
    rows: list[int] = []
    through = voice.batch.gpt._through
    monkeypatch.setattr(
        voice.batch.gpt, "_through", lambda x, *more: rows.append(len(x)) or through(x, *more)
    )
    saying = gpt.Saying(
        voice._tokens(LINE.lower()),
        gpt.Sampling(0.75, 50, 0.85, 2.0),
        torch.Generator().manual_seed(1),
        gpt.Bounds(n, n),
    )
    assert len(list(voice.batch.latents(saying))) == n
    assert (rows[0], len(rows)) == (text + 1, n)  # all that was heard, then a token each


def test_two_streams_at_once_do_not_mix_and_coquis_do(coqui: CoquiXtts, voice: xtts.Xtts) -> None:
    texts = "Hold the line.", "Nobody said a word about it."

    few = {"min_new_tokens": 30, "max_new_tokens": 30}

    def begun(text: str) -> Iterator[Any]:
        return theirs(coqui, voice, text, top_k=1, stream_chunk_size=15, **few)

    alone = [torch.cat(list(begun(t))) for t in texts]
    mixed: list[list[Any]] = [[], []]
    try:
        for pair in itertools.zip_longest(*(begun(t) for t in texts)):
            for heard, chunk in zip(mixed, pair, strict=True):
                heard += [] if chunk is None else [chunk]
    except (RuntimeError, IndexError):
        pass  # it does not even get through
    else:
        together = [torch.cat(m) for m in mixed]
        assert any(
            a.shape != t.shape or not torch.allclose(a, t, atol=1e-3)
            for a, t in zip(alone, together, strict=True)
        )
    plans = [replace(voice.plan(words(t), 5), hidden=None) for t in texts]
    ours = [spoken(voice, p) for p in plans]
    streams = [voice.stream(p) for p in plans]
    heard = [[], []]
    for pair in itertools.zip_longest(*streams):
        for parts, chunk in zip(heard, pair, strict=True):
            parts += [] if chunk is None else [chunk]
    for one, parts in zip(ours, heard, strict=True):
        np.testing.assert_array_equal(np.concatenate(parts), one)
    with ThreadPoolExecutor(4) as threads:
        for one, got in zip(
            ours * 2, threads.map(lambda p: spoken(voice, p), plans * 2), strict=True
        ):
            np.testing.assert_array_equal(got, one)


def test_a_text_over_the_models_limit_is_parted_and_coqui_asserts(
    coqui: CoquiXtts, voice: xtts.Xtts
) -> None:
    with pytest.raises(AssertionError, match="maximum of 400 tokens"):
        next(iter(theirs(coqui, voice, LONG)))
    laid, _ = voice._lay_out(words(LONG))
    parts = voice._parts(laid)
    assert [w for part in parts for w in part] == laid
    for one, next_one in itertools.pairwise(parts):
        assert len(xtts.text_of([*one, *next_one])) < 250
        assert xtts.text_of(one).endswith(",")
    plan = voice.plan(words(LONG[:300]), 3)
    assert len(plan.hidden.parts) == 3
    assert len(spoken(voice, plan)) == plan.samples


def test_a_part_goes_on_from_what_was_said_before_it(
    made: tuple[CoquiXtts, Pack], voice: xtts.Xtts, monkeypatch: pytest.MonkeyPatch
) -> None:
    sayings: list[gpt.Saying] = []
    begin = voice.batch.gpt.begin

    def noted(saying: gpt.Saying) -> torch.Tensor:
        sayings.append(saying)
        return begin(saying)

    monkeypatch.setattr(voice.batch.gpt, "begin", noted)
    plan = voice.plan(words(LONG[:300]), 3)
    first, second, third = sayings
    stop = voice.shape.gpt_stop_audio_token
    assert first.before == []
    assert second.before == [t for t in first.tokens if t != stop]
    assert third.before == [t for t in second.tokens if t != stop]
    parts = voice._parts(plan.words)
    assert second.text == voice._tokens(xtts.text_of([*parts[0], *parts[1]]))
    # as coqui's network has it that hears the two as one utterance, of which half is said
    codes = torch.tensor([[*second.before, *second.tokens]])
    with torch.inference_mode():
        said = made[0].gpt(
            torch.tensor([second.text]),
            torch.tensor([len(second.text)]),
            codes,
            torch.tensor([codes.shape[1] * 1024]),
            cond_latents=voice.conditioning[None],
            return_latent=True,
        )
    latents = plan.hidden.parts[1]
    np.testing.assert_allclose(latents, said[0, len(second.before) :][: len(latents)], atol=1e-3)


def test_a_part_that_would_leave_no_room_begins_anew(voice: xtts.Xtts) -> None:
    parts = [[w] for w in voice._lay_out(words("Hold. Wait."))[0]]
    said = gpt.Saying([1], HOW, torch.Generator(), gpt.Bounds(0, 9))
    for n_tokens, before in ((20, 20), (601, 0)):
        said.tokens = [5] * n_tokens
        second = voice._saying(parts, [said], torch.Generator(), Variability())
        assert len(second.before) == before


def test_one_word_over_the_limit_is_refused(voice: xtts.Xtts) -> None:
    with pytest.raises(BadPlan, match="one word of"):
        voice.plan(words("x" * 500), 3)


# -- streams and plans ---------------------------------------------------------------------------


@pytest.mark.parametrize("cells", [(1,), (7, 3), (10**6,)])
def test_chunked_is_whole(voice: xtts.Xtts, cells: tuple[int, ...]) -> None:
    plan = voice.plan(words(), 7)
    np.testing.assert_allclose(
        spoken(voice, plan, cells=cells), spoken(voice, plan), rtol=0, atol=5e-5
    )


def test_a_plan_that_has_forgotten_its_latents_sounds_the_same(voice: xtts.Xtts) -> None:
    plan = voice.plan(words(), 7)
    assert sum(u.frames for u in plan.units()) == plan.frames
    np.testing.assert_array_equal(spoken(voice, replace(plan, hidden=None)), spoken(voice, plan))


def test_sound_comes_before_all_is_decoded(
    voice: xtts.Xtts, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = voice.plan(words(), 7)
    begun = voice.begin(words(), 7)
    steps: list[int] = []
    network = voice.batch.gpt
    step = network.step

    def counted(sayings: Sequence[gpt.Saying]) -> Any:
        steps.append(len(sayings))
        return step(sayings)

    monkeypatch.setattr(batch, "AHEAD_TOKENS", 4)
    with monkeypatch.context() as patched:
        patched.setattr(network, "step", counted)
        stream = voice.stream(begun)
        parts = [next(stream)]
        first = len(steps)
        parts += stream
        assert begun.said is not None
        assert begun.said() == plan
    np.testing.assert_array_equal(np.concatenate(parts), spoken(voice, plan))
    assert 0 < first < len(steps) / 2
    assert len(steps) + 1 == len(plan.hidden.parts[0])  # each token once, over what is kept


def side_by_side(streams: Sequence[Any]) -> tuple[list[Pcm], int]:
    """The samples of streams in step, and how many cells were computed beside others."""
    parts: list[list[Pcm]] = [[] for _ in streams]
    left, shared = dict(enumerate(streams)), 0
    while left:
        cells = [cell for s in left.values() if (cell := s.cell()) is not None]
        for of in {c.kind for c in cells}:
            same = [c for c in cells if c.kind == of]
            same[0].together(same)
            shared += len(same) if len(same) > 1 else 0
        for i, one in list(left.items()):
            pcm = next(one, None)
            if pcm is None:
                del left[i]
            else:
                parts[i].append(pcm)
    return [np.concatenate(p) for p in parts], shared


def test_cells_of_streams_at_once_are_the_same_bits_whatever_is_beside(voice: xtts.Xtts) -> None:
    plans = [voice.plan(words(text), 7) for text in (LINE, LINE[:32], LINE[9:])]
    own = [spoken(voice, plan) for plan in plans]
    try:
        voice.batching = Batching(rows=(1, 2, 4), costs={1: 1.0, 2: 1.0, 4: 1.0})
        got, shared = side_by_side([voice.stream(p) for p in plans])
        assert shared > 1
        for one, expected in zip(got, own, strict=True):
            np.testing.assert_allclose(one, expected, atol=1e-4)  # sums in another order
        voice.batching = Batching(rows=(4,), costs={4: 1.0})
        own = [spoken(voice, plan) for plan in plans]
        for order in ((0, 1, 2), (2, 0)):
            got, shared = side_by_side([voice.stream(plans[i]) for i in order])
            assert shared > 1
            for i, one in zip(order, got, strict=True):
                np.testing.assert_array_equal(one, own[i])
    finally:
        voice.batching = Batching()


def test_a_cell_is_told_when_its_latents_are_there_and_as_it_is_computed(
    voice: xtts.Xtts, monkeypatch: pytest.MonkeyPatch
) -> None:
    (latents,) = voice.plan(words(), 7).hidden.parts
    there = 0
    stream = voice.vocoder.stream(latents, there=lambda: there)
    made: list[int] = []
    shared = stream.network.together
    monkeypatch.setattr(
        stream.network, "together", lambda s: (made.append(s[0].input().shape[1]), shared(s))
    )
    told: list[int | None] = []
    while True:
        before, there = there, 0
        assert stream.whole() is None
        there = len(latents)
        told.append(stream.whole())
        there = before
        if next(stream, None) is None:
            break
    first, *rest = told
    assert first is None  # the first and the last are computed alone
    assert [n for n in rest if n is not None] == made
    assert made[:2] == list(CELL_FRAMES[1:])


def test_frames_are_moved_where_a_plan_says_so(voice: xtts.Xtts) -> None:
    plan = voice.plan(words(), 7)
    first, *rest = plan.words
    units = tuple(u.lasting(2 * u.frames) for u in first.units)
    longer = replace(plan, words=(replace(first, units=units), *rest))
    pcm, own = spoken(voice, longer), spoken(voice, plan)
    assert len(pcm) == longer.samples == plan.samples + first.frames * plan.hop
    after = (2 * first.frames + voice.vocoder.ahead_frames) * plan.hop
    same = own[after - first.frames * plan.hop :]
    assert len(same) > 2000
    np.testing.assert_allclose(pcm[after:], same, atol=1e-4)


def with_stop(pack: Pack, folder: Path, bias: float) -> xtts.Xtts:
    """The voice with another bias of its stop token."""
    values = load_file(pack.weights_path)
    values["gpt.mel_head.bias"][pack.xtts_network.gpt_stop_audio_token] = bias
    save_file(values, folder / "model.safetensors")
    (folder / "vocab.json").write_bytes((pack.folder / "vocab.json").read_bytes())
    return xtts.load(pack.model_copy(update={"folder": folder}), "cpu", "fp32")


@pytest.mark.parametrize(("bias", "per_letter"), [(-1e9, (5.0, 6.0)), (1e9, (0.3, 0.5))])
def test_a_model_that_does_not_stop_is_stopped_and_one_that_does_not_begin_goes_on(
    made: tuple[CoquiXtts, Pack], tmp_path: Path, bias: float, per_letter: tuple[float, float]
) -> None:
    engine = with_stop(made[1], tmp_path, bias)
    (latents,) = engine.plan(words(), 1).hidden.parts
    least, most = per_letter
    assert least < len(latents) / len(LINE) < most


def test_variability_is_of_the_sound_alone(voice: xtts.Xtts) -> None:
    still = [voice.plan(words("Hold."), seed, Variability(0.0, 1.0)) for seed in (1, 2)]
    assert torch.equal(still[0].hidden.parts[0], still[1].hidden.parts[0])
    with pytest.raises(InvalidRequest, match="timing"):
        voice.plan(words(), 1, Variability(1.0, 0.5))


def test_what_it_cannot_say_is_told(voice: xtts.Xtts) -> None:
    assert voice.plan(words("Hold ß it."), 1).dropped == ("ß",)
    with pytest.raises(BadPlan, match="no symbol this voice knows"):
        voice.plan(words("ß"), 1)
    other = replace(voice.plan(words("Hold."), 1), model_sha256="0" * 64)
    with pytest.raises(BadPlan, match="the plan is for model"):
        next(voice.stream(other))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.pop("voice.speaker"), "voice.speaker is missing"),
        (lambda s: s.pop("gpt.text_head.bias"), "gpt.text_head.bias is missing"),
        (lambda s: s.update(x=torch.ones(1)), "x is not part of this network"),
        (lambda s: s.update(mel_stats=torch.ones(9)), "mel_stats has shape"),
    ],
)
def test_weights_that_are_not_whole_are_refused(
    made: tuple[CoquiXtts, Pack], tmp_path: Path, change: Callable[[Any], object], says: str
) -> None:
    values = load_file(made[1].weights_path)
    change(values)
    save_file(values, tmp_path / "model.safetensors")
    with pytest.raises(PackRefused, match=says):
        xtts.load(made[1].model_copy(update={"folder": tmp_path}), "cpu")


@pytest.mark.skipif(
    pick_dtype("auto", torch.device("cpu")) != torch.bfloat16,
    reason="without bf16 in the processor a line takes minutes",
)
def test_the_gpt_is_rounded_only_where_that_is_asked_for(
    made: tuple[CoquiXtts, Pack], voice: xtts.Xtts
) -> None:
    own = voice.plan(words(), 7).hidden.parts[0]
    rounded = xtts.load(made[1], "cpu", "bf16")
    assert rounded.precision == "bfloat16"
    declared = made[1].resident_bytes
    assert 1 <= voice.resident_bytes / declared < 1.12  # upsampling is laid out with zeros
    assert abs(rounded.resident_bytes / voice.resident_bytes - 0.5) < 0.05
    first = rounded.plan(words(), 7).hidden.parts[0]
    assert first.dtype == torch.float32
    assert 1e-4 < float((first[0] - own[0]).abs().max()) < 0.1
    plan = rounded.plan(words("Hold."), 7)
    assert len(spoken(rounded, plan)) == plan.samples
    usual = xtts.load(made[1], "cpu", "auto")
    assert torch.equal(usual.plan(words(), 7).hidden.parts[0], own)


def test_a_gpt_in_int8_is_asked_for_by_name_and_says_what_it_says_alone(
    made: tuple[CoquiXtts, Pack], voice: xtts.Xtts
) -> None:
    rounded = xtts.load(made[1], "cpu", "int8")
    assert rounded.precision.split()[0] == "int8"
    assert rounded.warm_key != voice.warm_key
    own, first = (e.plan(words(), 7).hidden.parts[0] for e in (voice, rounded))
    assert first.dtype == torch.float32
    assert 1e-4 < float((first[0] - own[0]).abs().max()) < 0.3
    assert 0 < rounded.batch.gpt.rounded_bytes < voice.resident_bytes
    plans = [lambda seed=seed: rounded.plan(words("Hold."), seed) for seed in (1, 2, 3)]
    alone = [plan() for plan in plans]
    with ThreadPoolExecutor(3) as pool:
        assert [p.words for p in pool.map(lambda plan: plan(), plans)] == [p.words for p in alone]
    rounded.close()


def test_int8_is_refused_where_it_is_not_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.gpt_in_int8("int8", torch.device("cpu")) == products.multiplies_int8()
    assert not device.gpt_in_int8("auto", torch.device("cuda:0"))
    with pytest.raises(EngineFailed, match="CPU"):
        device.gpt_in_int8("int8", torch.device("cuda:0"))
    monkeypatch.setattr(device, "multiplies_int8", lambda: False)
    with pytest.raises(EngineFailed, match="AVX2"):
        device.gpt_in_int8("int8", torch.device("cpu"))


def test_it_is_warmed(voice: xtts.Xtts) -> None:
    voice.warm()
    assert voice.device.startswith("cpu")
    assert voice.resident_bytes > 4 * 10**7
