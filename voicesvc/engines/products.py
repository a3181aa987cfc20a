"""Products in fp32, as fast as the processor multiplies, and convolutions made of them.

oneDNN takes weights that lie in its own order and any number of rows; MKL, which torch uses
otherwise, reaches half of an AMD processor's rate. Elsewhere (no AVX-512, another device) the
products are torch's own. Results are fp32 either way. Tensors are [time, channels]. Knows nothing
of the networks built from them.

oneDNN makes and keeps code for every number of rows, so callers round it up (`rows_for`).
"""

from functools import cache
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

_ROWS = 32  # lines of up to 1000 ids come in as many numbers of rows
_PACK_ROWS = 64  # the number of rows that oneDNN's order is chosen for; it takes any
_MANY_ROWS = 256
_STEPS = 4  # outputs that a `TiledConv` makes at a time; divides _ROWS


def rows_for(t: int) -> int:
    """How many rows to compute where `t` are wanted."""
    return -(-t // _ROWS) * _ROWS


@cache
def _onednn() -> bool:
    return torch._C._has_mkldnn and bool(torch.cpu.get_capabilities().get("avx512_f"))


def packs(weight: Tensor) -> bool:
    """Whether oneDNN multiplies by this matrix."""
    return weight.device.type == "cpu" and weight.dtype == torch.float32 and _onednn()


class Product:
    """x [.., in] -> x @ weight.T + bias [.., out]; weight [out, in], bias [out]."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self.bias, self.packed = bias, packs(weight)
        self.weight = weight.contiguous()
        if self.packed:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(self.weight, _PACK_ROWS)

    def __call__(self, x: Tensor) -> Tensor:
        """The product."""
        if not self.packed:
            return F.linear(x, self.weight, self.bias)
        y = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return cast(Tensor, y)

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """The product + other [.., out]."""
        if not self.packed:
            return F.linear(x, self.weight, self.bias).add_(other)
        y = torch.ops.mkldnn._linear_pointwise.binary(x, other, self.weight, self.bias, "add")
        return cast(Tensor, y)


@cache
def _mkl_is_slow() -> bool:
    return _onednn() and "AMD" in torch.cpu.get_capabilities()["cpu_name"]


def passing(a: Tensor, b: Tensor, other: Tensor | None = None) -> Tensor:
    """a @ b.T (+ other) of matrices that are used once: [m, k], [n, k], [m, n] -> [m, n].

    Small ones stay with MKL, which begins sooner.
    """
    if len(a) < _MANY_ROWS or not packs(b) or not _mkl_is_slow():
        return torch.mm(a, b.t()) if other is None else torch.addmm(other, a, b.t())
    b = b.contiguous()  # any other order falls back to a loop a thousand times slower
    if other is None:
        y = torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
    else:
        y = torch.ops.mkldnn._linear_pointwise.binary(a, other, b, None, "add")
    return cast(Tensor, y)


class TappedConv:
    """A same-length Conv1d over [time, channels], as one product for each of its taps.

    A convolution proper is no faster here, and costs oneDNN a new plan for every line's length.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """`weight` [out, in, kernel] of an odd kernel."""
        self.pad = (weight.shape[2] - 1) // 2
        self.taps = weight.permute(2, 1, 0).contiguous()  # [kernel, in, out]
        self.bias = bias

    @property
    def nbytes(self) -> int:
        """Of the weights, as they lie in memory."""
        return self.taps.nbytes + self.bias.nbytes

    def room(self, rows: int, t: int) -> Tensor:
        """A place for `rows` steps of input from row `pad` on; zero around the first `t` of them.

        `rows` is one of `rows_for`.
        """
        room = self.taps.new_empty(rows + 2 * self.pad, self.taps.shape[1])
        room[: self.pad] = 0
        room[self.pad + t :] = 0
        return room

    def __call__(self, room: Tensor) -> Tensor:
        """`room` with its input -> [rows, out]."""
        return self._into(room, room.new_empty(len(room) - 2 * self.pad, self.taps.shape[2]))

    def relu(self, room: Tensor, t: int, following: Tensor) -> None:
        """The same after a ReLU, `t` rows into the room of a following convolution."""
        self._into(room, following.narrow(0, self.pad, t)).relu_()

    def _into(self, room: Tensor, out: Tensor) -> Tensor:
        t = len(out)
        torch.addmm(self.bias, room[:t], self.taps[0], out=out)
        for j in range(1, len(self.taps)):
            out.addmm_(room[j : j + t], self.taps[j])
        return out


class TiledConv:
    """A same-length Conv1d of kernel 3, four outputs at a time by six products instead of twelve.

    Toom and Cook's algorithm at the points 0, 1, -1, 2, -2 and infinity, as Winograd gave it for
    filters: F(4, 3) of Lavin and Gray 2016 (arXiv:1509.09308), section 4.3. In fp32 its rounding
    error is twice to three times that of the plain sum.
    """

    pad = 1
    _POINTS = (
        (1 / 4, 0, 0),
        (-1 / 6, -1 / 6, -1 / 6),
        (-1 / 6, 1 / 6, -1 / 6),
        (1 / 24, 1 / 12, 1 / 6),
        (1 / 24, -1 / 12, 1 / 6),
        (0, 0, 1),
    )

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """`weight` [out, in, 3]."""
        points = torch.tensor(self._POINTS, dtype=torch.float64, device=weight.device)
        at = torch.einsum("pk,oik->poi", points, weight.double()).to(weight.dtype)
        self.channels = weight.shape[1]
        # the bias is in one of the two products that every output has once
        self.products = [Product(w, bias if p == 1 else None) for p, w in enumerate(at)]
        self.nbytes = at.nbytes + bias.nbytes
        self._new = bias.new_empty

    def room(self, rows: int, t: int) -> Tensor:
        """A place for `rows` steps of input from row 1 on; zero around the first `t` of them.

        `rows` is one of `rows_for`.
        """
        room = self._new(rows + 2, self.channels)
        room[0] = 0
        room[1 + t :] = 0
        return room

    def __call__(self, room: Tensor) -> Tensor:
        """`room` with its input -> [rows, out]."""
        return torch.stack(self._outputs(room), 1).flatten(0, 1)

    def relu(self, room: Tensor, t: int, following: Tensor) -> None:
        """The same after a ReLU, `t` rows into the room of a following convolution."""
        body = following[1:-1].view(-1, _STEPS, following.shape[1])
        for i, y in enumerate(self._outputs(room)):
            torch.clamp(y, min=0, out=body[:, i])
        following[1 + t :] = 0

    def _outputs(self, room: Tensor) -> list[Tensor]:
        """Outputs 0, 1, 2 and 3 of every four, each [tiles, out]."""
        n, c = (len(room) - 2) // _STEPS, self.channels
        d0, d1, d2, d3, d4, d5 = room.as_strided((n, 6, c), (_STEPS * c, c, 1)).unbind(1)
        p0, p1, p2, p3, p4, p5 = self.products
        even, odd = torch.sub(d4, d2, alpha=4), torch.sub(d3, d1, alpha=4)
        m1, m2 = p1(even + odd), p2(even - odd)
        even, odd = d4 - d2, d3 - d1
        m3, m4 = p3(torch.add(even, odd, alpha=2)), p4(torch.sub(even, odd, alpha=2))
        sum_1, sum_2 = m1 + m2, m3 + m4
        less_1, less_2 = m1.sub_(m2), m3.sub_(m4)
        first = p0.plus(torch.sub(d4, d2, alpha=5).add_(d0, alpha=4), sum_1 + sum_2)
        last = torch.sub(d5, d3, alpha=5).add_(d1, alpha=4)
        last = p5.plus(last, torch.add(less_1, less_2, alpha=8))
        return [first, less_1.add_(less_2, alpha=2), sum_1.add_(sum_2, alpha=4), last]


SameConv = TappedConv | TiledConv


def same_conv(weight: Tensor, bias: Tensor) -> SameConv:
    """The faster form of a same-length Conv1d; `weight` [out, in, kernel].

    Raises:
        ValueError: the kernel is even.
    """
    kernel = weight.shape[2]
    if kernel % 2 == 0:
        raise ValueError(f"only odd kernels are known here, not {kernel}")
    return (TiledConv if kernel == 3 and packs(weight) else TappedConv)(weight, bias)
