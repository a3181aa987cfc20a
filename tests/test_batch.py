"""Texts that are decoded together are each said as if they were alone."""

import itertools
import math
import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import eventually
from torch import Tensor

from voicesvc.engines import batch, gpt
from voicesvc.engines.batch import Batch
from voicesvc.engines.endguard import EndGuard, Verdict
from voicesvc.engines.gpt import Bounds, Gpt, Sampling, Saying
from voicesvc.errors import EngineFailed
from voicesvc.packs import Xtts
from voicesvc.products import Product, in_huge_pages

HOW = Sampling(0.75, 50, 0.85, 10.0)
CHANNELS = 1024  # as XTTS v2 has them: how sums are taken depends on it
STOP = 1025


@pytest.fixture(scope="module")
def network() -> Gpt:
    """One layer of XTTS v2's GPT, random."""
    shape = Xtts.model_construct(
        gpt_layers=1,
        gpt_n_heads=16,
        gpt_start_text_token=98,
        gpt_stop_text_token=0,
        gpt_num_audio_tokens=1026,
        gpt_start_audio_token=1024,
        gpt_stop_audio_token=STOP,
    )
    generator = torch.Generator().manual_seed(0)

    def noise(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator) * 0.05

    values = {
        "gpt.mel_head.weight": noise(1026, CHANNELS),
        "gpt.mel_head.bias": noise(1026),
        "gpt.mel_embedding.weight": noise(1026, CHANNELS),
        "gpt.mel_pos_embedding.emb.weight": noise(608, CHANNELS),
        "gpt.text_embedding.weight": noise(99, CHANNELS),
        "gpt.text_pos_embedding.emb.weight": noise(404, CHANNELS),
    }
    for part, wide, narrow in (
        ("attn.c_attn", 3, 1),
        ("attn.c_proj", 1, 1),
        ("mlp.c_fc", 4, 1),
        ("mlp.c_proj", 1, 4),
    ):
        values[f"gpt.gpt.h.0.{part}.weight"] = noise(narrow * CHANNELS, wide * CHANNELS)
        values[f"gpt.gpt.h.0.{part}.bias"] = noise(wide * CHANNELS)
    for norm in ("gpt.gpt.h.0.ln_1", "gpt.gpt.h.0.ln_2", "gpt.gpt.ln_f", "gpt.final_norm"):
        values[f"{norm}.weight"] = 1 + noise(CHANNELS)
        values[f"{norm}.bias"] = noise(CHANNELS)
    return Gpt(shape, values, noise(32, CHANNELS))


@pytest.fixture
def steps(network: Gpt, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts were in each step."""
    taken: list[int] = []
    step = network.step

    def counted(sayings: Sequence[Saying]) -> Any:
        taken.append(len(sayings))
        return step(sayings)

    monkeypatch.setattr(network, "step", counted)
    return taken


def saying(number: int, n_tokens: int = 30) -> Saying:
    """One of as many texts as you like, each of another length."""
    text = [1 + (number * 7 + i) % 90 for i in range(5 + 3 * number)]
    generator = torch.Generator().manual_seed(number)
    return Saying(text, HOW, generator, Bounds(n_tokens, n_tokens))


def alone(network: Gpt, number: int, n_tokens: int = 30) -> Tensor:
    return torch.stack(list(Batch(network).latents(saying(number, n_tokens))))


def test_texts_that_come_and_go_are_said_as_if_alone(network: Gpt, steps: list[int]) -> None:
    lengths = [12 + 5 * i for i in range(11)]  # more than fit in a step
    want = [alone(network, i, n) for i, n in enumerate(lengths)]
    steps.clear()
    together = Batch(network)
    begun = threading.Barrier(len(lengths))

    def say(i: int) -> Tensor:
        stream = together.latents(saying(i, lengths[i]))
        found = [next(stream)]
        begun.wait()
        found += itertools.islice(stream, i)  # some are far ahead of others
        return torch.stack([*found, *stream])

    with ThreadPoolExecutor(len(lengths)) as threads:
        got = list(threads.map(say, range(len(lengths))))
    for one, other in zip(got, want, strict=True):
        assert torch.equal(one, other)
    assert max(steps) == gpt.ROWS
    assert sum(steps) == sum(n - 1 for n in lengths)
    assert len(steps) < sum(steps) / 2


class Watching(EndGuard):
    """Says what it was told to say, and keeps what it was shown."""

    def __init__(self, says: dict[int, Verdict]) -> None:
        self.says, self.shown = says, list[Any]()

    def feed(self, weights: Any) -> Verdict:
        self.shown.append(weights)
        return self.says.get(len(self.shown), "on")


def test_a_guard_sees_what_heads_have_on_the_text_and_is_obeyed(
    network: Gpt, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.MonkeyPatch.context() as plain:
        plain.setattr(network, "watch", {})
        unwatched = alone(network, 2, 20)
    monkeypatch.setattr(network, "watch", {0: [1, 5]})
    together = Batch(network)
    one = saying(2, 20)
    one.guard = seen = Watching({})
    assert torch.equal(torch.stack(list(together.latents(one))), unwatched)  # only looked at
    assert [w.shape for w in seen.shown] == [(len(one.text) + 1,)] * 19
    assert all(abs(w.sum() - 1) < 1e-5 for w in seen.shown)
    begin = one.text_at.start
    keys = one.said.keys[0, [1, 5], begin : begin + len(one.text) + 1]
    last = network.audio[one.tokens[-2]] + network.audio_at[len(one.tokens) - 1]
    block = network.blocks[0]
    query = block.attend(block.before(last[None])).view(3, 16, 64)[0, [1, 5]]
    want = (keys @ query[:, :, None])[..., 0].div(8).softmax(-1).mean(0)
    assert abs(seen.shown[-1] - want.numpy()).max() < 1e-5
    ended, held = saying(2, 20), saying(2, 20)
    ended.guard, held.guard = Watching({6: "end"}), Watching(dict.fromkeys(range(1, 30), "hold"))
    assert len(list(together.latents(ended))) == 7
    assert ended.tokens[-1] == STOP
    held.bounds = Bounds(1, 40)
    monkeypatch.setattr(network.head, "bias", network.head.bias.clone())
    network.head.bias[STOP] = 50.0  # it wants nothing but to end
    assert len(list(together.latents(held))) == 31
    assert held.tokens.index(STOP) == 30


def test_it_does_not_matter_in_which_row_a_text_is(network: Gpt) -> None:
    texts = [saying(i) for i in range(gpt.ROWS)]
    for text in texts:
        network.begin(text)
    latents, odds = network.step(texts)
    for text in texts:
        text.said.steps -= 1
    for n in (1, 3, gpt.ROWS):
        again, odds_again = network.step(texts[::-1][:n])
        assert torch.equal(again, latents.flip(0)[:n])
        assert torch.equal(odds_again, odds.flip(0)[:n])
        for text in texts[::-1][:n]:
            text.said.steps -= 1


def huge_kb(address: int) -> int:
    """How much of the mapping with this address is in huge pages."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if found := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(found[1], 16) <= address < int(found[2], 16)
        elif inside and line.startswith("AnonHugePages"):
            return int(line.split()[1])
    return 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_are_moved_into_huge_pages_and_stay_as_they_are(dtype: torch.dtype) -> None:
    product = Product(torch.randn(4096, CHANNELS).to(dtype), torch.randn(4096).to(dtype))
    x = torch.randn(2, CHANNELS).to(dtype)
    before = product(x)
    if not in_huge_pages(product):
        pytest.skip("this kernel gives no huge pages when asked for them")
    of = torch.ops.mkldnn.data_ptr if product.packed else torch.Tensor.data_ptr
    assert huge_kb(of(product.weight) + 2**22) > 0  # 4 MiB from the beginning of 8 or 16
    assert torch.equal(product(x), before)
    assert not in_huge_pages(Product(torch.randn(8, 8)))


def test_no_thread_is_left_and_another_text_begins_one(network: Gpt) -> None:
    together = Batch(network)
    for _ in range(2):
        assert len(list(together.latents(saying(1)))) == 30
        assert eventually(lambda: together._thread is None)


def test_a_text_that_nobody_takes_is_not_decoded_far_ahead(
    network: Gpt, steps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "AHEAD_TOKENS", 5)
    stream = Batch(network).latents(saying(2))
    for _ in range(3):
        next(stream)
    assert eventually(lambda: sum(steps) == 7)  # two were taken, five wait
    assert not eventually(lambda: sum(steps) > 7, within_s=0.1)
    assert len(list(stream)) == 27


def test_a_text_that_is_dropped_leaves_and_the_others_go_on(network: Gpt, steps: list[int]) -> None:
    want = alone(network, 3, 60)
    together = Batch(network)
    stays, leaves = (together.latents(saying(i, 60)) for i in (3, 4))
    found = [next(stays)]
    for _ in range(3):
        next(leaves)
    leaves.close()
    steps.clear()
    found += stays
    assert torch.equal(torch.stack(found), want)
    assert max(steps[1:]) == 1


class Failing(Saying):
    """A text whose fifth token cannot be drawn."""

    def hear(self, odds: Tensor, stop: int) -> None:
        super().hear(odds * math.nan if len(self.tokens) == 4 else odds, stop)


def failing(number: int) -> Failing:
    one = saying(number)
    return Failing(one.text, one.how, one.generator, one.bounds)


def drained(stream: Iterator[Tensor]) -> list[Tensor] | Exception:
    try:
        return list(stream)
    except (EngineFailed, RuntimeError) as e:
        return e


def test_a_text_that_cannot_be_said_harms_no_other(network: Gpt) -> None:
    want = alone(network, 5)
    together = Batch(network)
    streams = together.latents(saying(5)), together.latents(failing(6))
    with ThreadPoolExecutor(2) as threads:
        good, bad = threads.map(drained, streams)
    assert isinstance(good, list)
    assert torch.equal(torch.stack(good), want)
    assert isinstance(bad, EngineFailed)
    assert "not numbers" in str(bad)


def test_a_step_that_fails_is_taken_by_each_alone(
    network: Gpt, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = alone(network, 7)
    good, bad = saying(7), saying(8)
    step = network.step

    def failing_step(sayings: Sequence[Saying]) -> Any:
        if bad in sayings and len(bad.tokens) > 10:
            raise RuntimeError("out of memory")
        return step(sayings)

    monkeypatch.setattr(network, "step", failing_step)
    together = Batch(network)
    with ThreadPoolExecutor(2) as threads:
        heard, failed = threads.map(drained, [together.latents(s) for s in (good, bad)])
    assert isinstance(heard, list)
    assert torch.equal(torch.stack(heard), want)
    assert isinstance(failed, RuntimeError)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_mistake_in_the_code_leaves_nobody_waiting(
    network: Gpt, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = Batch(network)
    with monkeypatch.context() as patched:
        patched.setattr(network, "step", lambda _: {}["mistake"])
        with pytest.raises(EngineFailed, match="thread that decodes ended"):
            list(together.latents(saying(1)))
    assert torch.equal(torch.stack(list(together.latents(saying(1)))), alone(network, 1))
