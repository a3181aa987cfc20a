"""Products as fast as the processor multiplies, and convolutions made of them.

oneDNN takes weights that lie in its own order and any number of rows, but makes and keeps code for
each. MKL, which torch uses otherwise, makes none and is as fast with the many rows of a line, but
reaches half the rate on AMD's processors. Elsewhere (no AVX-512, another device) the products are
torch's own. Results are of the weights' precision either way. Tensors are [time, channels]. Knows
nothing of the networks built from them.
"""

import ctypes
import sys
from collections.abc import Sequence
from functools import cache
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

_ALIGNED_ROWS = 16  # a row of scores fills whole cache lines; `TiledConv._TILE` divides it
_CODED_ROWS = 32  # lines of up to 1000 ids come in as many numbers of rows
_PACK_ROWS = 64  # the number of rows that oneDNN's order is chosen for; it takes any
_MANY_ROWS = 256
_INT8_MOST, _INT8_LEAST = 127, 1e-12


@cache
def _onednn() -> bool:
    return torch._C._has_mkldnn and bool(torch.cpu.get_capabilities().get("avx512_f"))


@cache
def _mkl_is_slow() -> bool:
    return _onednn() and "AMD" in torch.cpu.get_capabilities()["cpu_name"]


def rows_for(t: int) -> int:
    """How many rows of a line to compute where `t` are wanted."""
    step = _CODED_ROWS if _mkl_is_slow() else _ALIGNED_ROWS
    return -(-t // step) * step


def rows_to_warm(most: int) -> range:
    """Numbers of rows to run once, so that no line of up to `most` pays for new code."""
    return range(_CODED_ROWS, most + 1, _CODED_ROWS if _mkl_is_slow() else most)


def packs(weight: Tensor) -> bool:
    """Whether oneDNN multiplies by this matrix."""
    return weight.device.type == "cpu" and weight.dtype == torch.float32 and _onednn()


@cache
def multiplies_bf16() -> bool:
    """Whether this CPU has instructions for products of bf16."""
    cpu = torch.cpu.get_capabilities()
    return bool(cpu.get("amx_bf16") or cpu.get("avx512_bf16"))


def _packs_bf16(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and weight.dtype == torch.bfloat16 and multiplies_bf16()


class Product:
    """x [.., in] -> x @ weight.T + bias [.., out]; weight [out, in], bias [out]."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self.bias, self.packed = bias, packs(weight) or _packs_bf16(weight)
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
def multiplies_int8() -> bool:
    """Whether products of int8 are oneDNN's on this CPU; elsewhere they take longer than fp32's."""
    return torch._C._has_mkldnn and bool(torch.cpu.get_capabilities().get("avx2"))


class Int8Product(Product):
    """A product on a CPU with both sides rounded to int8: a quarter of the weights to read.

    Weights have a scale for each output, x one for each row, found when it comes (dynamic
    quantization; Wu et al. 2020, arXiv:2004.09602, section 3). Sums are whole numbers, so a row's
    do not depend on how they are taken, nor on other rows.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self.bias, self.packed = bias, False
        scale = _scale(weight.float())
        self.scale = scale[:, 0]
        self.weight = (weight.float() / scale).round_().to(torch.int8).contiguous()

    def __call__(self, x: Tensor) -> Tensor:
        """The product of [rows, in]."""
        scale = _scale(x)
        y = torch._int_mm((x / scale).round_().to(torch.int8), self.weight.t())
        y = y.to(x.dtype).mul_(scale).mul_(self.scale)
        return y if self.bias is None else y.add_(self.bias)

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """The product of [rows, in] + other [rows, out]."""
        return self(x).add_(other)


def _scale(x: Tensor) -> Tensor:
    """Of each row [rows, in], [rows, 1]: its largest number becomes 127."""
    return x.abs().amax(1, keepdim=True).clamp_(min=_INT8_LEAST) / _INT8_MOST


_MADV_HUGEPAGE, _MADV_COLLAPSE = 14, 25  # Linux, madvise(2)
_HUGE_BYTES = 2 * 2**20


def in_huge_pages(product: Product) -> bool:
    """Move a product's weights into huge pages, where there are such; whether that was done.

    A product of few rows waits for memory, and a tenth of that time is for finding pages.
    """
    weight = product.weight
    if weight.device.type != "cpu" or not sys.platform.startswith("linux"):
        return False
    if product.packed:
        begin = torch.ops.mkldnn.data_ptr(weight)
        size_bytes = torch.ops.mkldnn._nbytes(weight)
    else:
        begin, size_bytes = weight.data_ptr(), weight.nbytes
    first = -(-begin // _HUGE_BYTES) * _HUGE_BYTES
    n_bytes = (begin + size_bytes) // _HUGE_BYTES * _HUGE_BYTES - first
    if n_bytes <= 0:
        return False
    madvise = ctypes.CDLL(None).madvise
    given = ctypes.c_void_p(first), ctypes.c_size_t(n_bytes)
    return all(madvise(*given, advice) == 0 for advice in (_MADV_HUGEPAGE, _MADV_COLLAPSE))


class LongProduct(Product):
    """A product for the many rows of a line."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self.plain = packs(weight) and not _mkl_is_slow()
        if self.plain:
            self.bias, self.packed, self.weight = bias, False, weight.t().contiguous()
        else:
            super().__init__(weight, bias)

    def __call__(self, x: Tensor) -> Tensor:
        """The product of [rows, in]."""
        if not self.plain:
            return super().__call__(x)
        y = torch.mm(x, self.weight)
        return y if self.bias is None else y.add_(self.bias)  # addmm copies the bias first

    def add_to(self, y: Tensor, x: Tensor) -> Tensor:
        """y += product, in place."""
        if not self.plain:
            return y.add_(super().__call__(x))
        if self.bias is not None:
            y += self.bias
        return y.addmm_(x, self.weight)


def passing(a: Tensor, b: Tensor, other: Tensor | None = None, out: Tensor | None = None) -> Tensor:
    """a @ b.T (+ other) of matrices that are used once: [m, k], [n, k], [m, n] -> [m, n].

    Small ones stay with MKL, which begins sooner.
    """
    if len(a) < _MANY_ROWS or not packs(b) or not _mkl_is_slow():
        b = b.t()
        return torch.mm(a, b, out=out) if other is None else torch.addmm(other, a, b, out=out)
    b = b.contiguous()  # any other order falls back to a loop a thousand times slower
    if other is None:
        y = torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
    else:
        y = torch.ops.mkldnn._linear_pointwise.binary(a, other, b, None, "add")
    return cast(Tensor, y) if out is None else out.copy_(y)


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

    def add_to(self, y: Tensor, room: Tensor) -> Tensor:
        """The same added to y [rows, out] in place."""
        y += self.bias
        for j, tap in enumerate(self.taps):
            y.addmm_(room[j : j + len(y)], tap)
        return y

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

    Toom and Cook's algorithm, as Winograd gave it for filters: F(4, 3) of Lavin and Gray 2016
    (arXiv:1509.09308), section 4.3, with 1/2 in place of 2 among the points, which halves what it
    rounds: twice the plain sum's error in fp32.
    """

    pad = 1
    _POINTS = (0.0, 1.0, -1.0, 0.5, -2.0)
    _TILE = len(_POINTS) - 1  # outputs at a time
    _ONE = 1  # the product at point 1, which every output has once

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """`weight` [out, in, 3]."""
        inputs, points, sums = (m.to(weight.device) for m in toom_cook(self._POINTS, 3))
        at = torch.einsum("pk,oik->poi", points, weight.double()).to(weight.dtype)
        self.inputs, self.sums = inputs.to(weight.dtype), sums.to(weight.dtype)
        self.n_out, self.channels = weight.shape[:2]
        self.bias = bias
        self.nbytes = at.nbytes + bias.nbytes
        self.products = [Product(w) for w in at] if _mkl_is_slow() else []
        self.weights = at[:0] if self.products else at.mT.contiguous()  # [points, in, out]

    def room(self, rows: int, t: int) -> Tensor:
        """A place for `rows` steps of input from row 1 on; zero around the first `t` of them.

        `rows` is one of `rows_for`.
        """
        room = self.bias.new_empty(rows + 2, self.channels)
        room[0] = 0
        room[1 + t :] = 0
        return room

    def __call__(self, room: Tensor) -> Tensor:
        """`room` with its input -> [rows, out]."""
        out = room.new_empty(len(room) - 2, self.n_out)
        torch.bmm(*self._factors(room), out=self._tiles(out))
        return out

    def add_to(self, y: Tensor, room: Tensor) -> Tensor:
        """The same added to y [rows, out] in place."""
        self._tiles(y).baddbmm_(*self._factors(room))
        return y

    def relu(self, room: Tensor, t: int, following: Tensor) -> None:
        """The same after a ReLU, `t` rows into the room of a following convolution."""
        torch.bmm(*self._factors(room), out=self._tiles(following[1:-1])).relu_()
        following[1 + t :] = 0

    def _tiles(self, rows: Tensor) -> Tensor:
        return rows.view(-1, self._TILE, self.n_out)

    def _factors(self, room: Tensor) -> tuple[Tensor, Tensor]:
        """What is multiplied to give each tile: [tiles, 4, 6] and [tiles, 6, out].

        A small product for each tile, because sums over the whole length leave the cache: they
        take three times as long.
        """
        points, c = len(self.inputs), self.channels
        n = (len(room) - 2) // self._TILE
        seen = room.as_strided((n, points, c), (self._TILE * c, c, 1))
        x = torch.bmm(self.inputs.expand(n, -1, -1), seen)
        y = x.new_empty(n, points, self.n_out)
        if self.products:
            for p, product in enumerate(self.products):
                y[:, p] = product(x[:, p])
        else:
            torch.bmm(x.transpose(0, 1), self.weights, out=y.transpose(0, 1))
        y[:, self._ONE] += self.bias
        return self.sums.expand(n, -1, -1), y


def toom_cook(points: Sequence[float], taps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Matrices I, W, S with which S((W w) * (I x)) is the valid correlation of x [n] with w [taps].

    The polynomials are multiplied at n - 1 `points` and at infinity, and transposed: Lavin and
    Gray 2016, section 4.1. float64 [n, n], [n, taps], [n - taps + 1, n].
    """
    n = len(points) + 1

    def powers(columns: int) -> Tensor:
        at = torch.tensor(points, dtype=torch.float64)[:, None] ** torch.arange(columns)
        infinite = torch.zeros(1, columns, dtype=torch.float64)
        infinite[0, -1] = 1
        return torch.cat([at, infinite])

    inputs = torch.linalg.inv(powers(n)).t()
    # Each row is a polynomial. With a leading coefficient of 1 it rounds to fp32 without error for
    # points that do.
    leading = torch.cat([inputs[:-1, -2], inputs[-1:, -1]])[:, None]
    return inputs / leading, powers(taps) * leading, powers(n - taps + 1).t().contiguous()


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
