"""Exact streaming of a VITS voice's flow and decoder: no frame is computed twice.

Tensors are [batch, time, channels]. Residual paths wait in `State.delay` for the convolutions that
lag. Works for any coqui-tts HiFi-GAN generator (Kong et al. 2020, arXiv:2010.05646). Knows nothing
of text, durations or noise.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voicesvc.engines.convs import Conv, Reach, State, Sum, Up
from voicesvc.engines.flow import Flow
from voicesvc.engines.rows import Begun, Rows, Streamed

# The last one repeats. With 26, 0.3 s, the mark lets go of the first 0.07 s: `marks.watermark`.
CELL_FRAMES = (26, 24, 64, 128, 256)
WHOLE_FRAMES = tuple(sorted(set(CELL_FRAMES[1:])))
TAIL_FRAMES = 16  # final cells are padded to a multiple: a new shape costs oneDNN 1 ms a layer
_LRELU_SLOPE = 0.1
_LRELU_SLOPE_POST = 0.01  # HiFi-GAN's last activation uses torch's default slope


def _list(items: Iterable[nn.Module]) -> nn.ModuleList:
    return nn.ModuleList(items)


def _units_of(block: Any) -> list[tuple[nn.Conv1d, ...]]:
    """The residual units of a coqui ResBlock1 (pairs) or ResBlock2 (single convolutions)."""
    if hasattr(block, "convs1"):
        return list(zip(block.convs1, block.convs2, strict=True))
    return [(conv,) for conv in block.convs]


class _Stage(nn.Module):
    """HiFi-GAN's multi-receptive-field fusion: the SUM of parallel residual blocks.

    Every convolution of a unit is given the context of the widest of its parallel ones, so that
    all blocks run in step. The mean's 1/n is left to the next layer's weights.
    """

    def __init__(self, blocks: Sequence[Any], per_frame: int) -> None:
        super().__init__()
        units = zip(*(_units_of(b) for b in blocks), strict=True)
        # [unit][layer of the unit][block]
        self.units = _list(
            _list(_list(Conv(c, per_frame) for c in layer) for layer in zip(*unit, strict=True))
            for unit in units
        )
        self.reaches = [
            [_widest(cast(nn.ModuleList, layer)) for layer in cast(nn.ModuleList, unit)]
            for unit in self.units
        ]

    @property
    def lag(self) -> int:
        """How many steps the output lags behind the input."""
        return sum(reach.pad for unit in self.reaches for reach in unit)

    def forward(self, x: Tensor, state: State) -> Tensor:
        """[b, t, C] -> [b, t', C]."""
        hidden = [x]  # one for all blocks at first, then one each
        for u, reaches in enumerate(self.reaches):
            layers = cast(Sequence[Sequence[Conv]], self.units[u])
            windows = [
                state.window((self, u, b), h, reaches[0], _LRELU_SLOPE)
                for b, h in enumerate(hidden)
            ]
            if len(layers) == 2:
                windows = [
                    state.window(conv, conv(_trim(conv, w, reaches[0]), _LRELU_SLOPE), reaches[1])
                    for conv, w in zip(layers[0], _each(windows, len(layers[0])), strict=True)
                ]
            hidden = self._residuals(hidden, u, windows, state)
            for i, conv in enumerate(layers[-1]):
                window = _trim(conv, windows[min(i, len(windows) - 1)], reaches[-1])
                conv.add_to(hidden[min(i, len(hidden) - 1)], window)
        return hidden[0]

    def _residuals(
        self, hidden: list[Tensor], u: int, windows: list[Tensor], state: State
    ) -> list[Tensor]:
        """What the blocks' last convolutions are to be added to, in step with them."""
        n_blocks = len(cast(Sequence[Sequence[Conv]], self.units[u])[-1])
        n_steps = max(windows[0].shape[1] - 2 * self.reaches[u][-1].pad, 0)
        if u + 1 == len(self.reaches):  # the blocks' sums are summed anyway
            return [state.delay((self, u, "sum"), n_steps, *_each(hidden, n_blocks))]
        delayed = [state.delay((self, u, b, "delay"), n_steps, h) for b, h in enumerate(hidden)]
        return delayed + [delayed[0].clone() for _ in range(n_blocks - len(delayed))]


def _widest(layer: nn.ModuleList) -> Reach:
    return max((cast(Conv, conv).reach for conv in layer), key=lambda reach: reach.pad)


def _trim(conv: Conv, window: Tensor, reach: Reach) -> Tensor:
    """The part of a window made for `reach` that a narrower convolution needs."""
    spare = reach.pad - conv.reach.pad
    return window[:, spare : window.shape[1] - spare] if spare else window


def _each(items: list[Tensor], n: int) -> list[Tensor]:
    return items * n if len(items) == 1 else items


class Decoder(nn.Module):
    """Any coqui `HifiganGenerator` (ResBlock 1 or 2, with or without speaker)."""

    def __init__(self, generator: Any, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        n = generator.num_kernels
        self.dtype = dtype
        self.pre = Conv(generator.conv_pre)
        ups, stages, rate, gain = [], [], 1, 1.0
        for i, transposed in enumerate(generator.ups):
            up = Up(transposed, rate, gain)
            rate, gain = rate * up.stride, 1.0 / n
            ups.append(up)
            stages.append(_Stage(generator.resblocks[i * n : (i + 1) * n], rate))
        self.ups, self.stages = _list(ups), _list(stages)
        self.hop = rate
        self.cond = Conv(generator.cond_layer) if hasattr(generator, "cond_layer") else None
        in_each = getattr(generator, "cond_in_each_up_layer", False)
        self.conds = _list(Conv(c) for c in generator.conds) if in_each else None
        self.to(dtype)
        self.post = Sum(generator.conv_post, rate, gain)
        self.resident_bytes = sum(t.nbytes for t in self.buffers())

    @property
    def lag_frames(self) -> int:
        """How many frames of input the output lags behind, rounded up."""
        lag, rate = float(self.pre.reach.pad), 1
        for up, stage in zip(self.ups, self.stages, strict=True):
            up = cast(Up, up)
            rate *= up.stride
            lag += up.cut[0] / rate
            lag += cast(_Stage, stage).lag / rate
        return math.ceil(lag + self.post.reach.pad / rate)

    def forward(self, z: Tensor, state: State, g: Tensor | None = None) -> Tensor:
        """Latents [b, t, C] (and speaker [b, 1, G]) -> samples [b, n], as far as they are known."""
        g = None if g is None else g.to(self.dtype)
        x = self.pre(state.window(self.pre, z.to(self.dtype), self.pre.reach))
        if self.cond is not None:
            x = x + self.cond(g)
        for i, (up, stage) in enumerate(zip(self.ups, self.stages, strict=True)):
            x = cast(Up, up).upsample(x, state, _LRELU_SLOPE)
            if self.conds is not None:
                x = x + self.conds[i](g)
            x = stage(x, state)
        x = self.post(state.window(self.post, x, self.post.reach, _LRELU_SLOPE_POST))
        return torch.tanh(x)


class Prior(Protocol):
    """Gives the prior's samples for frames [begin, end) of a line: [1, end - begin, C]."""

    def __call__(self, begin: int, end: int) -> Tensor:
        """Called once for each stretch, in order."""
        ...


class Speech(Rows):
    """Prior frames in, samples out, by the one fixed schedule of cells.

    Cells are counted in frames of AUDIO: the look-ahead of flow and decoder is added to the first.
    A cell that is as long as the schedule has it and neither the first nor the last of its stream
    is a whole one.
    """

    def __init__(self, flow: Flow, decoder: Decoder) -> None:
        self.flow, self.decoder, self.hop = flow, decoder, decoder.hop
        self.ahead_frames = flow.lag_frames + decoder.lag_frames

    def stream(
        self,
        prior: Prior,
        frames: Callable[[int], int],
        g: Tensor | None = None,
        cells: tuple[int, ...] = CELL_FRAMES,
        known: Callable[[], int] = lambda: 0,
    ) -> "Cells":
        """Samples [n] of each cell, on the device. Resumable on any thread.

        `frames(n)` says how many frames there are: all of them, or any number above n; `known()`
        how many it would say without working anything out.
        """
        return Cells(self, prior, frames, g, cells, known)

    def noise(self, channels: int, g: Tensor | None, where: torch.device) -> Begun:
        """Streams that `together.Measured` measures, of a prior of so many channels."""
        n_frames = 4 * (max(CELL_FRAMES) + self.ahead_frames)

        def begun(number: int, frames: int) -> Cells:
            drawn = torch.Generator().manual_seed(number)
            noise = torch.randn(1, n_frames, channels, generator=drawn).to(where)

            def prior(begin: int, end: int) -> Tensor:
                return noise[:, begin:end]

            cells = (CELL_FRAMES[0], frames)
            return self.stream(prior, lambda _: n_frames, g, cells, lambda: n_frames)

        return begun

    def compute(self, x: Tensor, state: State, g: Tensor | None) -> Tensor:
        """See `Rows`."""
        return cast(Tensor, self.decoder(self.flow(x, state, g), state, g))


class Cells(Streamed):
    """One stream of samples, cell by cell; see `Speech.stream`."""

    def __init__(
        self,
        speech: Speech,
        prior: Prior,
        frames: Callable[[int], int],
        g: Tensor | None,
        cells: tuple[int, ...],
        known: Callable[[], int],
    ) -> None:
        super().__init__(speech, g)
        self._ahead = speech.ahead_frames
        self._prior, self._frames, self._cells, self._known = prior, frames, cells, known
        self._done = self._heard = self._i = 0

    def whole(self) -> int | None:
        """See `Streamed`."""
        frames = self._frames_of_cell()
        end = self._heard + frames + self._ahead
        return frames if self._waits and self._i and end + TAIL_FRAMES < self._known() else None

    def _frames_of_cell(self) -> int:
        return self._cells[min(self._i, len(self._cells) - 1)]

    def _more(self) -> bool:
        return self._done < self._frames(self._done)

    def _prepared(self) -> Tensor:
        ahead, state = self._ahead, self.state
        self._heard += self._frames_of_cell()
        n_frames = self._frames(self._heard + ahead + TAIL_FRAMES)
        end = min(n_frames, self._heard + ahead)
        if self._i and n_frames - end <= TAIL_FRAMES:  # too little for a cell of its own
            end = n_frames
        state.last = end == n_frames
        self._whole = self._i > 0 and not state.last
        with torch.inference_mode():
            x = self._prior(self._done, end)
            if state.last:
                state.excess_frames = -x.shape[1] % TAIL_FRAMES
                x = F.pad(x, (0, 0, 0, state.excess_frames))
        self._done, self._i = end, self._i + 1
        return x
