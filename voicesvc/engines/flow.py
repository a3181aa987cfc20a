"""A VITS voice's flow, in reverse, on a stream of frames (Kim et al. 2021, arXiv:2106.06103).

Each coupling's WaveNet is computed as fewer and smaller products: what is linear one after the
other is one matrix. Its results are coqui-tts's but for rounding. Tensors are [batch, time,
channels].
"""

from typing import Any, cast

import torch
from torch import Tensor, nn

from voicesvc.engines.convs import Conv, State


def _conv(weight: Tensor, bias: Tensor | None, dilation: int = 1) -> Conv:
    """A layer of weights [out, in, kernel] and [out], in float64."""
    n_out, n_in, kernel = weight.shape
    pad = (kernel - 1) * dilation // 2
    conv = nn.Conv1d(n_in, n_out, kernel, padding=pad, dilation=dilation, device="meta")
    conv.weight = nn.Parameter(weight.float(), requires_grad=False)
    conv.bias = None if bias is None else nn.Parameter(bias.float(), requires_grad=False)
    return Conv(conv)


def _weights(conv: nn.Conv1d) -> tuple[Tensor, Tensor]:
    """[out, in, kernel] and [out], in float64."""
    weight = conv.weight.detach().double()
    bias = weight.new_zeros(len(weight)) if conv.bias is None else conv.bias.detach().double()
    return weight, bias


class _Coupling(nn.Module):
    """One mean-only affine coupling layer with its WaveNet, reverse direction.

    `pre` is linear, so the first convolution takes it in; a channel of ones beside its input stands
    for its bias, since zeros are put around the line behind `pre`. `post` is linear, so each layer
    gives its part of the mean, not of what `post` would be given. tanh(a) is 2 sigmoid(2 a) - 1, a
    fifth of the time: both gates are one sigmoid, of a doubled `a`, and the other 2 is in the
    weights behind.
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        wavenet = block.enc
        self.n = n = int(wavenet.hidden_channels)
        (pre, pre_bias), (post, post_bias) = _weights(block.pre), _weights(block.post)
        entry = torch.cat([pre[:, :, 0], pre_bias[:, None]], 1)  # [n, half + 1]
        doubled = torch.ones(2 * n, dtype=torch.float64)
        doubled[:n] = 2
        self.pre = _conv(entry[:, :, None], None)
        ins, outs = [], []
        for i, (layer, out) in enumerate(
            zip(wavenet.in_layers, wavenet.res_skip_layers, strict=True)
        ):
            weight, bias = _weights(layer)
            weight, bias = weight * doubled[:, None, None], bias * doubled
            if i == 0:
                weight = torch.einsum("onk,nc->ock", weight, entry)
            ins.append(_conv(weight, bias, layer.dilation[0]))
            weight, bias = _weights(out)
            hidden, skip = len(weight) - n, post[:, :, 0]
            weight = torch.cat([weight[:hidden, :, 0], skip @ weight[hidden:, :, 0]])
            bias = torch.cat([bias[:hidden], skip @ bias[hidden:] + (0 if hidden else post_bias)])
            outs.append(_conv(2 * weight[:, :, None], bias))
        self.ins, self.outs = nn.ModuleList(ins), nn.ModuleList(outs)
        self.cond: Conv | None = None
        if wavenet.c_in_channels > 0:
            weight, bias = _weights(wavenet.cond_layer)
            doubled = doubled.repeat(len(ins))
            self.cond = _conv(weight * doubled[:, None, None], bias * doubled)

    def mean(self, x: Tensor, state: State, g: Tensor | None) -> Tensor:
        """What is to be subtracted from the other half, lagging by the WaveNet's context."""
        n = self.n
        cond = None if self.cond is None else self.cond(g).chunk(len(self.ins), 2)
        h = torch.cat([x, x.new_ones(*x.shape[:2], 1)], 2)
        mean: Tensor | None = None
        for i, (layer, out) in enumerate(zip(self.ins, self.outs, strict=True)):
            conv = cast(Conv, layer)
            window = state.window(conv, h, conv.reach)
            y = conv(window)
            if cond is not None:
                y = y + cond[i]
            steps = y.shape[1]
            both = torch.sigmoid_(y)
            y = out((both[..., :n] - 0.5).mul_(both[..., n:]))  # hidden | mean; the last mean only
            if i + 1 < len(self.ins):
                h = window[:, conv.reach.pad : conv.reach.pad + steps]
                h = (h if i else self.pre(h)) + y[..., :n]
                y = y[..., n:]
            mean = y if mean is None else state.delay((self, i), steps, mean).add_(y)
        return cast(Tensor, mean)


class Flow(nn.Module):
    """coqui `ResidualCouplingBlocks` in reverse: prior sample -> latent."""

    def __init__(self, flow: Any, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.dtype = dtype
        self.half_channels = int(flow.flows[0].half_channels)
        self.steps = nn.ModuleList(_Coupling(b) for b in reversed(flow.flows))
        self.to(dtype)
        self.resident_bytes = sum(t.nbytes for t in self.buffers())

    @property
    def lag_frames(self) -> int:
        """How many frames of input the output lags behind."""
        return sum(cast(Conv, c).reach.pad for s in self.steps for c in cast(_Coupling, s).ins)

    def forward(self, x: Tensor, state: State, g: Tensor | None = None) -> Tensor:
        """[b, t, C] -> [b, t', C], as far as it is known."""
        g = None if g is None else g.to(self.dtype)
        half = self.half_channels
        for step in self.steps:
            step = cast(_Coupling, step)
            x = x.flip(2)
            mean = step.mean(x[..., :half].to(self.dtype), state, g).float()
            x = state.delay(step, mean.shape[1], x)
            x[..., half:] -= mean
        return x
