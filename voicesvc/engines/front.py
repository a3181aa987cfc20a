"""VITS text encoder and duration predictors for one line, without masks or batches.

The same results as coqui-tts's modules in fewer passes: fused projections, relative attention
(Shaw et al. 2018, arXiv:1803.02155) through a strided diagonal view, channels-last convolutions.
Tensors are [time, channels]. Always fp32: in bf16, 0.2 % of the durations flip.

Every line is computed on `rows_for` its length rows. Those beyond its end are finite, are never
looked at, and are cut off at last.

What is first heard of a long line does not wait for all of this: the last layer of the encoder and
the durations see no further than their convolutions reach, so the beginning's come first
(`Front.parts`), in the same passes whether or not somebody waits for it.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from voicesvc.engines.convs import Conv
from voicesvc.products import LongProduct, SameConv, passing, rows_for, same_conv

_MIN_BIN = 1e-3  # coqui's smallest spline bin width, height and derivative
Affine = tuple[Tensor, Tensor]
_PART_ROWS = 160  # of the last layer that a long line's beginning takes; `rows_for` leaves it
_PARTED_ROWS = 2 * _PART_ROWS  # from how many on a line is long: else the overlap costs too much
_OVERLAP_ROWS = 32  # of the beginning that the rest takes once more: more than two kernels reach
_FEWEST_UNITS = 64  # a beginning that is shorter is not worth the trouble


def _matrix(conv: Any) -> Affine:
    """A 1x1 Conv1d as weight [out, in] and bias [out]."""
    return conv.weight.detach()[..., 0], conv.bias.detach()


def _linear(conv: Any) -> LongProduct:
    return LongProduct(*_matrix(conv))


def _norm(norm: Any) -> tuple[Tensor, Tensor, float]:
    return norm.gamma.detach().flatten(), norm.beta.detach().flatten(), norm.eps


def _layer_norm(x: Tensor, norm: tuple[Tensor, Tensor, float]) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], *norm)


def _same_conv(conv: Any) -> SameConv:
    return same_conv(conv.weight.detach(), conv.bias.detach())


def _add_two_convs(x: Tensor, t: int, conv_1: SameConv, conv_2: SameConv) -> Tensor:
    """x += conv_2(relu(conv_1(x[:t]))) in place, both of one kernel."""
    room, following = conv_1.room(len(x), t), conv_2.room(len(x), t)
    room.narrow(0, conv_1.pad, t).copy_(x[:t])
    conv_1.relu(room, t, following)
    return conv_2.add_to(x, following)


class _Attention:
    """Multi-head self-attention with relative positions in a window of `window` each way.

    Relative offset j - window of row i is element i * T + i + j - window of a head's scores: a
    diagonal band, addressed by strides alone.
    """

    def __init__(self, attn: Any) -> None:
        scale = attn.k_channels**-0.5
        (wq, bq), (wk, bk), (wv, bv) = (_matrix(c) for c in (attn.conv_q, attn.conv_k, attn.conv_v))
        d = attn.k_channels
        rel_k = attn.emb_rel_k.detach()[0]  # [2 window + 1, d]
        # scores against the relative positions are linear in x, as q, k and v are
        near = [(rel_k @ wq[h : h + d], rel_k @ bq[h : h + d]) for h in range(0, len(wq), d)]
        w_near, b_near = (torch.cat(part) for part in zip(*near, strict=True))
        self.project = LongProduct(
            torch.cat([wq * scale, wk, wv, w_near * scale]),
            torch.cat([bq * scale, bk, bv, b_near * scale]),
        )
        self.rel_v = attn.emb_rel_v.detach()[0].contiguous()  # [2 window + 1, d]
        self.out = _linear(attn.conv_o)
        self.heads = attn.num_heads

    def add_to(self, x: Tensor, projected: Tensor, band: "_Band") -> Tensor:
        """x += attention in place; `projected` is `project` of all rows, x the band's of them."""
        n, c = x.shape
        own = slice(band.first, band.first + n)
        qkv, near_k = projected.tensor_split([3 * c], 1)
        q, k, v = qkv.view(len(projected), 3, self.heads, -1).permute(1, 2, 0, 3)
        near_k = near_k[own].view(n, self.heads, -1)
        y = x.new_empty(n, self.heads, c // self.heads)
        for h in range(self.heads):
            passing(q[h, own], k[h], out=band.scores)
            band.diagonals.addcmul_(near_k[:, h], band.inside)
            band.scores[:, band.t :] = -math.inf
            weights = torch.softmax(band.scores, -1, out=band.scores)
            near_v = (band.diagonals * band.inside) @ self.rel_v
            passing(weights, v[h].t(), near_v, out=y[:, h])
        return self.out.add_to(x, y.view(n, c))


class _Band:
    """Where `_Attention` keeps its scores [n, rows], then weights, one head after the other.

    They are those of rows [begin, end) of x. `margin` rows lie before and after them, so that the
    diagonal band of the first and the last, `diagonals` [n, 2 window + 1], lies in the same memory.
    """

    def __init__(self, x: Tensor, t: int, window: int, begin: int, end: int) -> None:
        rows, n = len(x), end - begin
        self.t, self.first = t, begin
        margin = -(-window // rows)
        room = x.new_empty(n + 2 * margin, rows)
        room[:margin] = 0
        room[margin + n :] = 0
        self.scores = room[margin : margin + n]
        self.diagonals = room.as_strided(
            (n, 2 * window + 1), (rows + 1, 1), margin * rows + begin - window
        )
        row = torch.arange(begin, end, device=x.device)[:, None]
        column = row + torch.arange(-window, window + 1, device=x.device)
        # a band element beyond either end of its row lies in another row
        self.inside = ((column >= 0) & (column < t)).to(x.dtype)


class Encoded(NamedTuple):
    """Rows of a line: hidden [n, C], mean [n, C] and log scale [n, C] of the prior."""

    hidden: Tensor
    mean: Tensor
    log_scale: Tensor


class Encoder:
    """coqui `TextEncoder`: ids [T] -> `Encoded` of T rows."""

    def __init__(self, encoder: Any) -> None:
        self.table = encoder.emb.weight.detach() * math.sqrt(encoder.hidden_channels)
        self.proj = _linear(encoder.proj)
        net = encoder.encoder
        self.window = net.rel_attn_window_size
        self.layers = [
            (_Attention(a), _norm(n1), _same_conv(f.conv_1), _same_conv(f.conv_2), _norm(n2))
            for a, n1, f, n2 in zip(
                net.attn_layers, net.norm_layers_1, net.ffn_layers, net.norm_layers_2, strict=True
            )
        ]
        # the first layer sees nothing but symbols
        self.projected = self.layers[0][0].project(self.table)
        # what is held beyond coqui's weights
        self.extra_bytes = sum(c.nbytes for _, _, *convs, _ in self.layers for c in convs)
        self.extra_bytes -= sum(p.nbytes for f in net.ffn_layers for p in f.parameters())
        self.extra_bytes += self.projected.nbytes
        *_, conv_1, conv_2, _ = self.layers[-1]
        self.margin = _OVERLAP_ROWS // 2  # rows that either part has beyond its own
        # Each launch costs a GPU more than the rows do that are not computed.
        self.parts_lines = conv_1.pad + conv_2.pad <= self.margin and self.table.is_cpu

    def __call__(self, ids: Tensor) -> Encoded:
        """Encode one line; `ids` int64 [T]."""
        return joined(list(self.parts(ids)))

    def parts(self, ids: Tensor) -> Iterator[Encoded]:
        """The same, a long line's beginning before its rest: no more than two parts."""
        t = len(ids)
        ids = F.pad(ids, (0, rows_for(t) - t))
        x, projected = self.table[ids], self.projected[ids]
        rows = len(x)
        band = _Band(x, t, self.window, 0, rows)
        for i in range(len(self.layers) - 1):
            if i:
                projected = self.layers[i][0].project(x)
            x = self._layer(i, x, projected, band)
        last = len(self.layers) - 1
        if last:
            projected = self.layers[last][0].project(x)
        if not self.parts_lines or t < _PARTED_ROWS:
            yield self._read(self._layer(last, x, projected, band), 0, t)
            return
        own = _PART_ROWS - self.margin
        band = _Band(x, t, self.window, 0, _PART_ROWS)
        first = self._layer(last, x[:_PART_ROWS].clone(), projected, band)
        yield self._read(first, 0, own)
        begin = _PART_ROWS - _OVERLAP_ROWS
        band = _Band(x, t, self.window, begin, rows)
        rest = self._layer(last, x[begin:], projected, band)
        yield self._read(rest, own - begin, t - begin)

    def _layer(self, i: int, x: Tensor, projected: Tensor, band: _Band) -> Tensor:
        """The band's rows after layer i; x are those before it, and are written over."""
        attention, norm_1, conv_1, conv_2, norm_2 = self.layers[i]
        x = _layer_norm(attention.add_to(x, projected, band), norm_1)
        n = min(len(x), band.t - band.first)
        return _layer_norm(_add_two_convs(x, n, conv_1, conv_2), norm_2)

    def _read(self, hidden: Tensor, begin: int, end: int) -> Encoded:
        mean, log_scale = self.proj(hidden)[begin:end].chunk(2, 1)
        return Encoded(hidden[begin:end], mean, log_scale)


def joined(parts: list[Encoded]) -> Encoded:
    """All rows of parts that follow one another."""
    if len(parts) == 1:
        return parts[0]
    return Encoded(*(torch.cat(rows) for rows in zip(*parts, strict=True)))


class _SeparableConvs:
    """coqui `DilatedDepthSeparableConv`."""

    def __init__(self, convs: Any) -> None:
        self.layers = [
            (
                c.weight.detach()[:, 0].t().contiguous(),  # [kernel, C]
                c.bias.detach(),
                c.dilation[0],
                _norm(n1),
                _linear(p),
                _norm(n2),
            )
            for c, p, n1, n2 in zip(
                convs.convs_sep, convs.convs_1x1, convs.norms_1, convs.norms_2, strict=True
            )
        ]
        self.reach = sum((len(weight) - 1) // 2 * d for weight, _, d, *_ in self.layers)

    def __call__(self, x: Tensor, t: int) -> Tensor:
        rows, c = x.shape
        for weight, bias, dilation, norm_1, pointwise, norm_2 in self.layers:
            pad = (len(weight) - 1) // 2 * dilation
            padded = x.new_empty(rows + 2 * pad, c)
            padded[:pad] = 0
            padded[pad : pad + t] = x[:t]
            padded[pad + t :] = 0
            y = torch.addcmul(bias, padded[:rows], weight[0])
            for j in range(1, weight.shape[0]):
                y.addcmul_(padded[j * dilation : j * dilation + rows], weight[j])
            y = F.gelu(_layer_norm(y, norm_1))
            x = F.gelu(_layer_norm(pointwise(y), norm_2)).add_(x)
        return x


class StochasticDurations:
    """coqui `StochasticDurationPredictor` in reverse: hidden [T, C], noise [T, 2] -> log frames."""

    def __init__(self, predictor: Any) -> None:
        self.pre, self.proj = _linear(predictor.pre), _linear(predictor.proj)
        self.convs = _SeparableConvs(predictor.convs)
        self.cond = Conv(predictor.cond) if hasattr(predictor, "cond") else None
        flows = list(reversed(predictor.flows))
        self.shift = float(flows[-1].translation.detach()[0, 0])
        self.scale = math.exp(-float(flows[-1].log_scale.detach()[0, 0]))
        # the last spline only moves the half that is thrown away, as coqui does
        self.flows = [self._spline(f) for f in flows[:-2]]
        self.reach = self.convs.reach + sum(convs.reach for _, convs, *_ in self.flows)

    @staticmethod
    def _spline(flow: Any) -> tuple[Affine, _SeparableConvs, Affine, int, float]:
        weight, bias = (t.clone() for t in _matrix(flow.proj))
        knots = 2 * flow.num_bins
        weight[:knots] *= flow.hidden_channels**-0.5
        bias[:knots] *= flow.hidden_channels**-0.5
        convs = _SeparableConvs(flow.convs)
        return _matrix(flow.pre), convs, (weight, bias[:, None]), flow.num_bins, flow.tail_bound

    def __call__(self, h: Tensor, noise: Tensor, g: Tensor | None = None) -> Tensor:
        """Log frames [T]; `noise` is already scaled, `g` [1, 1, G] the speaker."""
        t = len(h)
        more = 0, 0, 0, rows_for(t) - t
        x = self.pre(F.pad(h, more))
        if self.cond is not None and g is not None:
            x = x + self.cond(g)[0]
        x = self.proj(self.convs(x, t))
        a, b = F.pad(noise, more).unbind(1)
        for pre, convs, proj, n_bins, bound in self.flows:
            a, b = b, a
            hidden = convs(torch.addmm(pre[1], a[:, None], pre[0].t()).add_(x), t)
            params = torch.mm(proj[0], hidden.t()).add_(proj[1])  # [3 n_bins - 1, T]
            b = inverse_spline(b, params.t(), n_bins, bound)
        return (b[:t] - self.shift) * self.scale


class Durations:
    """coqui's deterministic `DurationPredictor` (Glow-TTS): hidden [T, C] -> log frames [T]."""

    def __init__(self, predictor: Any) -> None:
        self.conv_1, self.conv_2 = _same_conv(predictor.conv_1), _same_conv(predictor.conv_2)
        self.norm_1, self.norm_2 = _norm(predictor.norm_1), _norm(predictor.norm_2)
        self.proj = _linear(predictor.proj)
        self.cond = Conv(predictor.cond) if hasattr(predictor, "cond") else None
        self.reach = self.conv_1.pad + self.conv_2.pad

    def __call__(self, h: Tensor, noise: Tensor, g: Tensor | None = None) -> Tensor:
        """Log frames [T]; nothing here is random, `noise` is not looked at."""
        t = len(h)
        x = h if self.cond is None or g is None else h + self.cond(g)[0]
        for conv, norm in ((self.conv_1, self.norm_1), (self.conv_2, self.norm_2)):
            room = conv.room(rows_for(t), t)
            room.narrow(0, conv.pad, t).copy_(x[:t])
            x = _layer_norm(conv(room).relu_(), norm)
        return self.proj(x)[:t, 0]


class Timed(NamedTuple):
    """Log frames [n] of a line's units, from the first on, and mean and log scale of as many."""

    log_frames: Tensor
    mean: Tensor
    log_scale: Tensor


class Front:
    """The text side: what is said, and for how long."""

    def __init__(self, encoder: Encoder, durations: StochasticDurations | Durations) -> None:
        self.encoder, self.durations = encoder, durations
        if _PART_ROWS - encoder.margin - durations.reach < _FEWEST_UNITS:
            encoder.parts_lines = False

    def parts(self, ids: Tensor, noise: Tensor, g: Tensor | None = None) -> Iterator[Timed]:
        """A long line's beginning, then all of it; any other at once.

        `ids` int64 [T], `noise` [T, 2] scaled, `g` [1, 1, G] the speaker.
        """
        encoded = self.encoder.parts(ids)
        first = next(encoded)
        n, reach = len(first.hidden), self.durations.reach
        if n == len(ids):
            yield Timed(self.durations(first.hidden, noise, g), first.mean, first.log_scale)
            return
        known = n - reach
        begins = self.durations(first.hidden, noise[:n], g)[:known]
        yield Timed(begins, first.mean[:known], first.log_scale[:known])
        whole = joined([first, *encoded])
        again = (known - reach) // _OVERLAP_ROWS * _OVERLAP_ROWS
        rest = self.durations(whole.hidden[again:], noise[again:], g)[known - again :]
        yield Timed(torch.cat([begins, rest]), whole.mean, whole.log_scale)


def inverse_spline(y: Tensor, params: Tensor, n_bins: int, bound: float) -> Tensor:
    """Inverse rational-quadratic spline with linear tails (Durkan et al. 2019, arXiv:1906.04032).

    `y` [T]; `params` [T, 3 n_bins - 1]: widths, heights, inner slopes; identity outside ±bound.
    """
    t = y.shape[0]
    u = params.t().contiguous()  # sums and gathers over the bins run along whole rows

    def knots(v: Tensor) -> Tensor:  # [n_bins + 1, T]
        width = torch.softmax(v, 0).mul_(1 - _MIN_BIN * n_bins).add_(_MIN_BIN)
        at = width.new_empty(n_bins + 1, t)
        at[0] = -bound
        torch.cumsum(width, 0, out=at[1:]).mul_(2 * bound).sub_(bound)
        at[-1] = bound
        return at

    x_at, y_at = knots(u[:n_bins]), knots(u[n_bins : 2 * n_bins])
    slope = u.new_ones(n_bins + 1, t)  # the end slopes are 1, to meet the tails
    slope[1:-1] = F.softplus(u[2 * n_bins :]).add_(_MIN_BIN)
    i = ((y_at <= y).sum(0) - 1).clamp_(0, n_bins - 1)
    step = n_bins + 1
    at = torch.stack([i, i + 1, i + step, i + step + 1, i + 2 * step, i + 2 * step + 1])
    x0, x1, y0, y1, s0, s1 = torch.cat([x_at, y_at, slope]).gather(0, at)
    width, height = x1 - x0, y1 - y0
    delta = height / width
    rise = y - y0
    excess = rise * (s0 + s1 - 2 * delta)
    a, b, c = excess + height * (delta - s0), height * s0 - excess, -delta * rise
    root = 2 * c / (-b - torch.sqrt((b * b - 4 * a * c).clamp_(min=0)))
    return torch.where(y.abs() <= bound, root * width + x0, y)
