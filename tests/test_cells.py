"""Chunked equals coqui's own whole line, for any length, schedule, block type and speaker."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils import parametrize
from TTS.tts.layers.vits.networks import ResidualCouplingBlocks
from TTS.vocoder.models.hifigan_generator import HifiganGenerator

from voicesvc.engines.cells import CELL_FRAMES, TAIL_FRAMES, Decoder, Speech
from voicesvc.engines.convs import Conv, State, Sum, Up, pack
from voicesvc.engines.flow import Flow
from voicesvc.products import multiplies_bf16

CHANNELS = 24
TOLERANCE = 1e-5
BLOCKS: dict[str, dict[str, Any]] = {
    "1": {"resblock_kernel_sizes": [3, 7, 11], "resblock_dilation_sizes": [[1, 3, 5]] * 3},
    "2": {"resblock_kernel_sizes": [3, 5, 7], "resblock_dilation_sizes": [[1, 2], [2, 6], [3, 12]]},
}
Network = tuple[Any, Any, Speech, torch.Tensor | None]


def frozen(module: torch.nn.Module, scale: float) -> torch.nn.Module:
    """Weight norm folded, weights random and large enough that every path is heard."""
    for part in module.modules():
        if parametrize.is_parametrized(part, "weight"):
            parametrize.remove_parametrizations(part, "weight")
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0.0, scale)
    return module.eval().requires_grad_(False)


def build(block: str, speaker: int, dtype: torch.dtype = torch.float32) -> Network:
    torch.manual_seed(1)
    generator = HifiganGenerator(
        CHANNELS, 1, block, **BLOCKS[block], upsample_kernel_sizes=[16, 8],
        upsample_initial_channel=32, upsample_factors=[8, 4], inference_padding=0,
        cond_channels=speaker, cond_in_each_up_layer=bool(speaker),
    )  # fmt: skip
    flow = ResidualCouplingBlocks(CHANNELS, CHANNELS, 5, 1, 4, cond_channels=speaker)
    frozen(generator, 0.12)
    frozen(flow, 0.15)
    g = torch.randn(1, speaker, 1) if speaker else None
    return generator, flow, Speech(Flow(flow), Decoder(generator, dtype)), g


NETWORKS = {(b, s): build(b, s) for b in BLOCKS for s in (0, 6)}


def prior_of(z: torch.Tensor) -> Callable[[int, int], torch.Tensor]:
    return lambda begin, end: z.mT[:, begin:end]


def whole(network: Network, z: torch.Tensor) -> torch.Tensor:
    generator, flow, _, g = network
    with torch.inference_mode():
        return generator(flow(z, torch.ones(1, 1, z.shape[2]), g=g, reverse=True), g=g)[0, 0]


def chunks(
    network: Network, z: torch.Tensor, cells: tuple[int, ...], known: int | None = None
) -> list[torch.Tensor]:
    """The stream of `z`, of which no more than `known` frames are known as long as those do."""
    _, _, speech, g = network
    n_frames = z.shape[2]

    def frames(past: int) -> int:
        return n_frames if known is None or past >= known else min(known, n_frames)

    return list(speech.stream(prior_of(z), frames, None if g is None else g.mT, cells))


@pytest.mark.parametrize("speaker", [0, 6])
@pytest.mark.parametrize("block", BLOCKS)
@settings(max_examples=25)
@given(
    n_frames=st.integers(1, 400),
    cells=st.one_of(
        st.just(CELL_FRAMES), st.lists(st.integers(1, 90), min_size=1, max_size=5).map(tuple)
    ),
    seed=st.integers(0, 99),
    known=st.none() | st.integers(1, 200),
)
def test_chunked_is_coquis_whole(
    block: str, speaker: int, n_frames: int, cells: tuple[int, ...], seed: int, known: int | None
) -> None:
    network = NETWORKS[block, speaker]
    z = torch.randn(1, CHANNELS, n_frames, generator=torch.Generator().manual_seed(seed))
    expected = whole(network, z)
    parts = chunks(network, z, cells)
    assert [len(p) for p in chunks(network, z, cells, known)] == [len(p) for p in parts]
    got = torch.cat(parts)
    assert got.shape == expected.shape
    assert expected.abs().max() > 0.05
    assert (got - expected).abs().max() <= TOLERANCE


def test_first_chunk_is_small_and_later_ones_grow() -> None:
    z = torch.randn(1, CHANNELS, 1000)
    sizes = [len(c) / 32 for c in chunks(NETWORKS["1", 0], z, CELL_FRAMES)]
    assert CELL_FRAMES[0] <= sizes[0] < CELL_FRAMES[0] + 4
    assert sizes[1:5] == list(CELL_FRAMES[1:])
    assert sum(sizes) == 1000


def test_a_short_rest_gets_no_cell_of_its_own() -> None:
    speech = NETWORKS["1", 0][2]
    upto = sum(CELL_FRAMES[:2]) + speech.ahead_frames
    for rest, n_cells in ((TAIL_FRAMES, 2), (TAIL_FRAMES + 1, 3)):
        assert (
            len(chunks(NETWORKS["1", 0], torch.randn(1, CHANNELS, upto + rest), CELL_FRAMES))
            == n_cells
        )


def test_no_frame_is_computed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that go through the convolutions: the line's own, and the padding of its last cell."""
    network, n_frames = NETWORKS["2", 0], 600
    speech, computed = network[2], 0
    plain = Sum.forward

    def counted(self: Sum, x: torch.Tensor) -> torch.Tensor:
        nonlocal computed
        computed += max(x.shape[1] - self.reach.span, 0)
        return plain(self, x)

    monkeypatch.setattr(Sum, "forward", counted)
    chunks(network, torch.randn(1, CHANNELS, n_frames), CELL_FRAMES)
    per_frame = speech.decoder.post.reach.per_frame
    assert n_frames * per_frame <= computed <= (n_frames + TAIL_FRAMES) * per_frame


def test_final_cells_come_in_few_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    network, seen = NETWORKS["2", 0], set()
    plain = Decoder.forward

    def noted(self: Decoder, z: torch.Tensor, state: State, g: Any = None) -> torch.Tensor:
        seen.add((z.shape[1], state.last))
        return plain(self, z, state, g)

    monkeypatch.setattr(Decoder, "forward", noted)
    for n_frames in range(140, 300, 3):
        chunks(network, torch.randn(1, CHANNELS, n_frames), CELL_FRAMES)
    assert len(seen) < 20


def test_packed_bf16_is_the_same_network() -> None:
    """Fused and plain bf16 both lie near fp32, and nearer to it than bf16's own grain."""
    if not multiplies_bf16():
        return  # `pack` leaves everything as it is here, which the other tests run
    z = torch.randn(1, CHANNELS, 300)
    exact = whole(NETWORKS["2", 0], z)
    fused = build("2", 0, torch.bfloat16)
    pack(fused[2].decoder)
    assert any(c.packed for c in fused[2].decoder.modules() if isinstance(c, Conv))
    noise = torch.cat(chunks(fused, z, CELL_FRAMES)) - exact
    assert 10 * torch.log10(exact.square().mean() / noise.square().mean()) > 30


@pytest.mark.parametrize("form", [Conv.split, Conv.multiply, pack])
def test_a_convolution_of_many_channels_as_products(form: Callable[[Conv], None]) -> None:
    for bias in (True, False):
        plain = torch.nn.Conv1d(128, 30, 5, padding=6, dilation=3, bias=bias).requires_grad_(False)
        conv, x = Conv(plain), torch.randn(2, 50, 128)
        form(conv)
        assert conv.weight.dim() == 3 or conv.product is not None
        expected = torch.nn.functional.leaky_relu(plain(x.mT).mT[:, 6:-6], 0.1)
        assert torch.allclose(conv(x, 0.1), expected, atol=1e-5)
        total = torch.ones(2, 38, 30)
        conv.add_to(total, x)
        assert torch.allclose(total, plain(x.mT).mT[:, 6:-6] + 1, atol=1e-5)
        assert conv(x[:, :12]).shape == (2, 0, 30)


def test_layers_that_cannot_be_carried_are_refused() -> None:
    for conv in (
        torch.nn.Conv1d(4, 4, 4, padding=1),
        torch.nn.Conv1d(4, 4, 3, padding=1, groups=2),
        torch.nn.Conv1d(4, 4, 3, padding=1, stride=2),
    ):
        with pytest.raises(ValueError, match="can be carried"):
            Conv(conv)
    for kernel, stride, pad in ((16, 8, 3), (20, 4, 8)):
        with pytest.raises(ValueError, match="can be carried"):
            Up(torch.nn.ConvTranspose1d(4, 4, kernel, stride, pad), 1, 1.0)


@pytest.mark.parametrize("form", ["as it is", "multiply", "split"])
@pytest.mark.parametrize(
    ("kernel", "stride", "pad"),
    [(16, 8, 4), (8, 4, 2), (11, 5, 3), (4, 4, 0), (5, 3, 1), (7, 3, 2), (10, 4, 3)],
)
def test_upsampling_is_torchs_however_the_stream_is_cut(
    kernel: int, stride: int, pad: int, form: str
) -> None:
    plain = torch.nn.ConvTranspose1d(6, 5, kernel, stride, pad).requires_grad_(False)
    x = torch.randn(2, 23, 6)
    expected = plain(torch.nn.functional.leaky_relu(x, 0.1).mT).mT
    for cuts in ([23], [0, 1, 0, 1, 1, 20], [7, 16], [22, 1], [23, 0]):
        up, state, parts = Up(plain, 1, 1.0), State(), []
        if form != "as it is":
            getattr(up, form)()
        pieces = x.split(cuts, 1)
        for i, piece in enumerate(pieces):
            state.last = i + 1 == len(pieces)
            parts.append(up.upsample(piece, state, 0.1))
        assert torch.allclose(torch.cat(parts, 1), expected, atol=1e-5)
        assert cuts[0] == 0 or parts[0].shape[1] == cuts[0] * stride - (pad if len(cuts) > 1 else 0)


def test_no_product_of_upsampling_is_with_a_zero() -> None:
    up = Up(torch.nn.ConvTranspose1d(6, 5, 16, 8, 4), 1, 1.0)
    assert up.weight.count_nonzero() == up.weight.numel() == 16 * 6 * 5


@pytest.mark.parametrize("bias", [True, False])
def test_one_output_is_a_sum_of_rows(bias: bool) -> None:
    plain = torch.nn.Conv1d(6, 1, 7, padding=3, bias=bias).requires_grad_(False)
    one, x = Sum(plain, 1, 0.5), torch.randn(3, 40, 6)
    expected = (plain(x.mT)[:, 0] - (plain.bias if bias else 0)) * 0.5 + (plain.bias if bias else 0)
    assert torch.allclose(one(x), expected[:, 3:-3], atol=1e-6)
    assert one(x[:, :6]).shape == (3, 0)
    assert one(x.bfloat16()).dtype == torch.float32
    with pytest.raises(ValueError, match="one output"):
        Sum(torch.nn.Conv1d(6, 2, 7, padding=3), 1, 1.0)


def test_what_is_carried_lies_apart_from_what_a_cell_works_with() -> None:
    """One place of a few hundred kilobytes, the same from cell to cell."""
    _, _, speech, _ = NETWORKS["1", 0]
    state = State()
    z = torch.randn(1, 300, CHANNELS)
    places: list[set[int]] = []
    with torch.inference_mode():
        for begin in (0, 100, 200):
            speech.decoder(speech.flow(z[:, begin : begin + 100], state, None), state, None)
            places.append({kept.untyped_storage().data_ptr() for kept in state.values()})
            assert len(state) > 20
    assert places[0] == places[1] == places[2]
    assert len(places[0]) <= 3
