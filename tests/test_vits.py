"""The VITS engine with the real voice: parity, seeds, noise by word, refusals."""

import gc
import itertools
import json
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file
from voice_files import JOE, coqui_of, speak

from voicesvc import packs, phonemes
from voicesvc.api.server import settle
from voicesvc.config import Settings
from voicesvc.engines import convert
from voicesvc.engines.cells import CELL_FRAMES
from voicesvc.engines.convs import State
from voicesvc.engines.device import pick_device, pick_dtype
from voicesvc.engines.flow import Flow
from voicesvc.engines.prior import Prior, word_noise
from voicesvc.engines.vits import Vits, load
from voicesvc.errors import BadPlan, EngineFailed, PackRefused
from voicesvc.plan import PlannedWord, Unit, Variability

LINE = "The harbour froze, and nobody said a word about the bell under the water."


@pytest.fixture(scope="module")
def joe() -> packs.Pack:
    return convert.ensure(packs.read(JOE), Settings.read({}).cache_path / "packs")


def silent(pack: packs.Pack) -> packs.Pack:
    """The same pack with both noises off."""
    shape = pack.vits.model_copy(update={"noise_scale": 0.0, "noise_scale_dp": 0.0})
    return pack.model_copy(update={"vits": shape})


@pytest.fixture(scope="module")
def exact(joe: packs.Pack) -> Vits:
    return load(joe, "cpu", "fp32")


@pytest.fixture(scope="module")
def words() -> Iterator[tuple[phonemes.Word, ...]]:
    program = phonemes.phonemizer("espeak", "en-us")
    yield program.words(LINE, 0)
    program.close()


def pcm(engine: Vits, words: tuple[phonemes.Word, ...], seed: int = 1) -> np.ndarray:
    return np.concatenate(list(engine.stream(engine.plan(words, seed))))


@pytest.mark.parametrize("times", [1, 4])  # a short line and a long one
def test_noise_off_equals_onnxruntime_and_coqui(
    joe: packs.Pack, words: tuple[phonemes.Word, ...], times: int
) -> None:
    engine = load(silent(joe), "cpu", "fp32")
    plan = engine.plan(words * times, 1)
    ids = [u.id for u in plan.units()]
    ours = np.concatenate(list(engine.stream(plan)))
    session = onnxruntime.InferenceSession(
        convert.source_path(packs.read(JOE)), providers=["CPUExecutionProvider"]
    )
    feed = {
        "input": np.array([ids], np.int64),
        "input_lengths": np.array([len(ids)], np.int64),
        "scales": np.array([0, 1, 0], np.float32),
    }
    theirs = session.run(None, feed)[0].squeeze()
    assert len(ours) == len(theirs) == plan.samples
    assert np.abs(theirs).max() > 0.1
    assert np.abs(ours - theirs).max() <= 1e-3
    assert np.abs(ours - speak(coqui_of(joe), ids)).max() <= 1e-4


def test_reduced_precision_stays_close(
    joe: packs.Pack, exact: Vits, words: tuple[phonemes.Word, ...]
) -> None:
    plan = exact.plan(words, 1)
    reference = np.concatenate(list(exact.stream(plan)))
    rough = np.concatenate(list(load(joe, "cpu", "bf16").stream(plan)))
    snr_db = 10 * np.log10((reference**2).mean() / ((reference - rough) ** 2).mean())
    assert snr_db > 35


def test_same_seed_same_samples_whatever_runs_beside(
    joe: packs.Pack, words: tuple[phonemes.Word, ...]
) -> None:
    engine = load(joe, "cpu", "auto")
    alone = pcm(engine, words)
    with ThreadPoolExecutor(4, initializer=lambda: torch.manual_seed(0)) as pool:
        beside = list(pool.map(lambda seed: pcm(engine, words, seed), [1, 2, 1, 3, 1]))
    for i in (0, 2, 4):
        assert np.array_equal(beside[i], alone)
    assert len(beside[1]) != len(alone) or not np.array_equal(beside[1], alone)
    assert np.array_equal(pcm(load(joe, "cpu", "auto"), words), alone)


def test_a_plan_renders_without_what_planning_found_out(
    exact: Vits, words: tuple[phonemes.Word, ...]
) -> None:
    plan = exact.plan(words, 5)
    kept = np.concatenate(list(exact.stream(plan)))
    assert np.array_equal(np.concatenate(list(exact.stream(replace(plan, hidden=None)))), kept)


def test_what_comes_later_has_longer_cells_and_sounds_the_same(
    exact: Vits, words: tuple[phonemes.Word, ...]
) -> None:
    plan = exact.plan(words * 2, 5)
    begins, later = (list(exact.stream(replace(plan, frames_before=n))) for n in (0, 200))
    assert len(later[0]) > 4 * len(begins[0])
    assert len(later) + 2 <= len(begins)
    assert np.abs(np.concatenate(begins) - np.concatenate(later)).max() <= 1e-5


def test_a_stream_that_waits_holds_no_more_noise_than_is_to_come(
    exact: Vits, words: tuple[phonemes.Word, ...]
) -> None:
    plan = exact.plan(words * 2, 5)
    prior = Prior(plan, plan.words, exact._hidden(plan))
    prior(0, 20)
    held = prior._held
    assert 0 < len(held) < plan.frames / 2
    assert held.untyped_storage().nbytes() == held.nbytes
    prior(20, prior.frames)
    assert prior._held.untyped_storage().nbytes() == 0


@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_what_is_shaped_begins_with_a_longer_cell_and_sounds_the_same(
    joe: packs.Pack, words: tuple[phonemes.Word, ...], precision: str
) -> None:
    engine = load(joe, "cpu", precision)
    plan = engine.plan(words * 2, 5)
    plain, shaped = (list(engine.stream(replace(plan, shaped=s))) for s in (False, True))
    frames = [len(pcm) // plan.hop for pcm in shaped[:2]]
    assert frames == [CELL_FRAMES[0] + 14, CELL_FRAMES[1]]  # 0.16 s more
    assert np.abs(np.concatenate(plain) - np.concatenate(shaped)).max() <= 1e-6
    engine.close()


@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_a_long_line_begins_before_it_is_planned_and_sounds_the_same(
    joe: packs.Pack, words: tuple[phonemes.Word, ...], precision: str
) -> None:
    engine = load(joe, "cpu", precision)
    begun, plan = engine.begin(words * 4, 5), engine.plan(words * 4, 5)
    assert begun.said is not None
    assert begun.words != plan.words  # what is not known is a guess
    stream = engine.stream(begun)
    first = next(stream)
    assert begun.said.cache_info().misses == 0  # type: ignore[attr-defined]
    heard = np.concatenate([first, *stream])
    assert begun.said() == plan
    assert np.array_equal(heard, np.concatenate(list(engine.stream(plan))))
    assert np.array_equal(
        heard, np.concatenate(list(engine.stream(replace(plan, hidden=None, said=None))))
    )


def test_a_short_line_is_planned_at_once_and_one_endless_word_sounds_as_planned(
    exact: Vits, words: tuple[phonemes.Word, ...]
) -> None:
    assert exact.begin(words, 5).said is None
    endless = (phonemes.Word("all", 0, 3, sum((w.phones for w in words * 4), ()), ()),)
    begun, plan = exact.begin(endless, 5), exact.plan(endless, 5)
    assert np.array_equal(*(np.concatenate(list(exact.stream(p))) for p in (begun, plan)))


def test_editing_one_word_leaves_the_others_noise_alone(
    exact: Vits, words: tuple[phonemes.Word, ...]
) -> None:
    """Up to the edited word, short of the networks' reach, not one sample changes."""
    plan = exact.plan(words, 5)
    at = next(i for i, w in enumerate(plan.words) if w.text == "bell")
    longer = replace(
        plan.words[at], units=tuple(replace(u, frames=u.frames + 2) for u in plan.words[at].units)
    )
    edited = replace(plan, words=(*plan.words[:at], longer, *plan.words[at + 1 :]))
    before, after = (np.concatenate(list(exact.stream(p))) for p in (plan, edited))
    reach = exact.speech.ahead_frames
    head = (sum(w.frames for w in plan.words[:at]) - reach) * plan.hop
    tail = (sum(w.frames for w in plan.words[at + 1 :]) - reach) * plan.hop
    assert head > 10_000
    assert tail > 5_000
    assert np.abs(before[:head] - after[:head]).max() <= 1e-5
    assert np.abs(before[-tail:] - after[-tail:]).max() <= 1e-5
    assert len(after) - len(before) == 2 * len(longer.units) * plan.hop


def test_noise_of_a_word_keeps_its_beginning_when_it_grows() -> None:
    word = PlannedWord("bell", 0, 4, 0, (Unit("b", 1, "phone", 1.0, 1),))
    for columns in (192, 24, 7):
        short, long = (word_noise(word, 9, "prior", (n, columns)) for n in (20, 33))
        assert torch.equal(long[:20], short)
        assert 0.8 < float(long.std()) < 1.2
    assert not torch.equal(
        word_noise(word, 9, "prior", (4, 16)), word_noise(word, 10, "prior", (4, 16))
    )
    again = replace(word, nth=1)
    assert not torch.equal(
        word_noise(word, 9, "prior", (4, 16)), word_noise(again, 9, "prior", (4, 16))
    )


def test_variability_scales_the_models_noise(exact: Vits, words: tuple[phonemes.Word, ...]) -> None:
    still = Variability(sound=0.0, timing=0.0)
    one, two = (exact.plan(words, seed, still) for seed in (1, 2))
    assert one.frames == two.frames
    assert exact.plan(words, 1).frames != exact.plan(words, 2).frames
    assert np.array_equal(*(np.concatenate(list(exact.stream(p))) for p in (one, two)))
    again = replace(exact.plan(words, 1, Variability(sound=0.5)), hidden=None)
    kept = exact.plan(words, 1, Variability(sound=0.5))
    assert np.array_equal(*(np.concatenate(list(exact.stream(p))) for p in (again, kept)))


def test_the_packs_own_pace_is_kept(
    joe: packs.Pack, exact: Vits, words: tuple[phonemes.Word, ...]
) -> None:
    slow = joe.model_copy(update={"vits": joe.vits.model_copy(update={"length_scale": 1.5})})
    plans = [engine.plan(words, 1) for engine in (load(slow, "cpu", "fp32"), exact)]
    asked = [sum(u.frames_model for u in p.units()) for p in plans]
    assert asked[0] / asked[1] == pytest.approx(1.5, rel=1e-5)


def test_unknown_symbols_are_dropped_and_named(exact: Vits) -> None:
    word = phonemes.Word("hæ", 0, 2, ("h", "☃", "æ"), ())
    assert exact.plan([word], 1).dropped == ("☃",)
    with pytest.raises(BadPlan, match="no symbol"):
        exact.plan([phonemes.Word("☃", 0, 1, ("☃",), ())], 1)


def test_a_plan_for_other_weights_is_refused(exact: Vits, words: tuple[phonemes.Word, ...]) -> None:
    other = replace(exact.plan(words, 1), model_sha256="0" * 64)
    with pytest.raises(BadPlan, match="is for model 0000"):
        next(exact.stream(other))


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda t: t.pop("text_encoder.proj.bias"), "text_encoder.proj.bias"),
        (lambda t: t.update(extra=torch.zeros(1)), "extra"),
        (lambda t: t.update({"flow.flows.0.pre.bias": torch.zeros(3)}), "flow.flows.0.pre.bias"),
    ],
)
def test_loading_is_strict(joe: packs.Pack, tmp_path: Path, change, names: str) -> None:  # type: ignore[no-untyped-def]
    tensors = load_file(joe.weights_path)
    change(tensors)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(PackRefused, match=names.replace(".", r"\.")):
        load(joe.model_copy(update={"folder": tmp_path}), "cpu", "fp32")


def test_a_model_that_predicts_nonsense_fails_loudly(
    joe: packs.Pack, words: tuple[phonemes.Word, ...]
) -> None:
    engine = load(joe, "cpu", "fp32")
    engine.durations.shift = -1e4  # type: ignore[union-attr]
    with pytest.raises(EngineFailed, match="predicts a symbol"):
        engine.plan(words, 1)
    engine = load(joe, "cpu", "fp32")
    assert engine.speech.decoder.post.taps is not None
    engine.speech.decoder.post.taps.fill_(float("nan"))
    with pytest.raises(EngineFailed, match="not numbers"):
        list(engine.stream(engine.plan(words, 1)))


def test_warming_goes_through_every_shape(exact: Vits, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: set[tuple[int, bool, bool]] = set()
    plain = Flow.forward

    def noted(self: Flow, x: torch.Tensor, state: State, g: object = None) -> torch.Tensor:
        shapes.add((x.shape[1], not state, state.last))
        return plain(self, x, state, None)

    monkeypatch.setattr(Flow, "forward", noted)
    ticks = itertools.count()
    pace = exact.warm(lambda: float(next(ticks)))
    assert [cost_s for cost_s, _ in pace] == [1.0] * len(pace)
    assert len(pace) > 2
    assert 2.0 < sum(audio_s for _, audio_s in pace[1:]) < 12.0  # from 2 s on a voice is known
    warmed = set(shapes)
    plan = exact.plan([phonemes.Word("a", 0, 1, ("a",), ())], 1)
    unit = plan.words[1].units[0]
    for n_frames in (1, 30, 33, 62, 63, 64, 100, 170, 290, 551, 552, 700, 808, 1100):
        word = PlannedWord("a", 0, 1, 0, (replace(unit, frames=n_frames),))
        for _ in exact.stream(replace(plan, words=(word,), hidden=None)):
            pass
    assert len(warmed) > 10
    assert shapes == warmed


def test_declared_bytes_are_the_ones_held(joe: packs.Pack, exact: Vits) -> None:
    # a processor that multiplies in oneDNN's order holds the feed-forward layers twice as large
    assert exact.resident_bytes - exact.encoder.extra_bytes <= joe.resident_bytes * 1.05
    assert 0 <= exact.encoder.extra_bytes <= joe.resident_bytes * 0.4
    assert exact.resident_bytes > 20_000_000


def test_a_dropped_voice_leaves_nothing_for_the_garbage_collector(joe: packs.Pack) -> None:
    """Which looks no more among what was there when the service was ready."""
    engine = load(joe, "cpu", "auto")
    parts = [weakref.ref(p) for p in (engine.encoder, engine.speech.flow, engine.speech.decoder)]
    settle()
    try:
        assert gc.get_freeze_count() > 100_000
        engine.close()
        assert [p() for p in parts] == [None] * 3
    finally:
        gc.unfreeze()


def test_devices_and_precisions() -> None:
    assert pick_device("cpu").type == "cpu"
    assert pick_dtype("fp32", torch.device("cpu")) == torch.float32
    if not torch.cuda.is_available():
        assert pick_device("auto").type == "cpu"
        with pytest.raises(EngineFailed, match="cuda:3 is not there") as refused:
            pick_device("cuda:3")
        assert json.dumps(refused.value.valid)
