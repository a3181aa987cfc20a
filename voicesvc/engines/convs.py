"""Convolutions whose input arrives in pieces: each keeps what later outputs still need.

Tensors are [batch, time, channels]. Zeros go in before the first and after the last step of EVERY
layer's input, as whole-file padding does. Knows nothing of the networks built from them.
"""

import mmap
from collections.abc import Hashable, Sequence
from typing import NamedTuple, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voicesvc.products import Product, multiplies_bf16, packs

_MANY_CHANNELS = 96  # from here on a matrix product beats a convolution in fp32
_PACK_FRAMES = 64  # the input length that oneDNN's weight order is chosen for
_ROOM_BYTES = 2**18  # the demonstration voice keeps 220 KB
_ALIGN_BYTES = 64


class State(dict[Hashable, Tensor]):
    """What one stream carries from cell to cell. One State per stream, one thread at a time.

    The final cell may carry `excess_frames` beyond the line's end, so that cells come in few
    shapes; every layer sees zeros there, as it would see padding.
    """

    last = False
    excess_frames = 0
    _room: Tensor | None = None  # bytes that what is kept is put into, one thing after the other
    _used = 0

    def window(self, key: Hashable, x: Tensor, reach: "Reach", slope: float = 1.0) -> Tensor:
        """leaky_relu(x) with the context on each side that `reach.pad` asks for."""
        old = self.get(key)
        b, t, n = x.shape
        k = reach.pad if old is None else old.shape[1]
        buf = x.new_empty(b, k + t + (reach.pad if self.last else 0), n)
        buf[:, :k] = 0 if old is None else old
        body = buf[:, k : k + t]
        if slope == 1.0:
            body.copy_(x)
        else:
            torch.ops.aten.leaky_relu.out(x, slope, out=body)
        if self.last:
            buf[:, k + t - self.excess_frames * reach.per_frame :] = 0
        else:
            self._keep(key, buf[:, max(buf.shape[1] - reach.span, 0) :])
        return buf

    def delay(self, key: Hashable, n: int, *parts: Tensor) -> Tensor:
        """The next `n` steps of the sum of everything ever given under `key`; free to write to."""
        held = self.get(key)
        b, t, c = parts[0].shape
        k = 0 if held is None else held.shape[1]
        buf = parts[0].new_empty(b, k + t, c)
        if held is not None:
            buf[:, :k] = held
        body = buf[:, k:]
        if len(parts) == 1:
            body.copy_(parts[0])
        else:
            torch.add(parts[0], parts[1], out=body)
            for part in parts[2:]:
                body += part
        if not self.last:
            self._keep(key, buf[:, n:])
        return buf[:, :n]

    @classmethod
    def stacked(cls, states: Sequence[Self], rows: int) -> Self:
        """Those of several streams as one, [rows, ..]; what is left of the rows is zero.

        Of streams that were given as many steps by now in as many cells.
        """
        whole = cls()
        into, of = list[Tensor](), list[Tensor]()
        for key, one in states[0].items():
            whole[key] = one.new_zeros(rows, *one.shape[1:])
            into += [whole[key][i : i + 1] for i in range(len(states))]
            of += [s[key] for s in states]
        torch._foreach_copy_(into, of)  # one launch on a GPU, not one for each
        return whole

    def part(self, states: Sequence[Self]) -> None:
        """Give each stream its row of what is carried now."""
        into, of = list[Tensor](), list[Tensor]()
        for key, rows in self.items():
            into += [s[key] for s in states]
            of += [rows[i : i + 1] for i in range(len(states))]
        torch._foreach_copy_(into, of)

    def _keep(self, key: Hashable, value: Tensor) -> None:
        """Copy what is carried to the next cell.

        On a CPU to a place of its own, apart from what a cell works with: among that, little
        things that stay keep the allocator from using the room between them again, and a stream
        whose listener waits holds megabytes.
        """
        held = self.get(key)
        if held is not None and held.shape == value.shape:
            held.copy_(value)
        elif value.is_cpu:
            self[key] = self._place(value).copy_(value)
        else:
            self[key] = value.clone()

    def _place(self, like: Tensor) -> Tensor:
        n_bytes = -(-like.numel() * like.element_size() // _ALIGN_BYTES) * _ALIGN_BYTES
        if self._room is None or self._used + n_bytes > len(self._room):
            size_bytes = max(_ROOM_BYTES, n_bytes)
            self._room = torch.frombuffer(mmap.mmap(-1, size_bytes), dtype=torch.uint8)
            self._used = 0
        begin, self._used = self._used, self._used + n_bytes
        mine = self._room[begin : begin + like.numel() * like.element_size()]
        return mine.view(like.dtype).view(like.shape)


class Reach(NamedTuple):
    """How a layer looks around, in steps: zeros before the first and after the last one, how many
    steps make a frame, and how many an output sees beside one.
    """

    pad: int
    per_frame: int
    span: int


class Conv(nn.Module):
    """A Conv1d without its padding, run as a channels-last Conv2d (the fast layout on CPU).

    After `pack` the weights lie in oneDNN's own order and sums are fused into it; after `split`
    each tap is a matrix of its own, and the convolution a sum of products; after `multiply` it is
    one product of all taps at once.
    """

    weight: Tensor
    bias: Tensor | None
    product: Product | None = None

    def __init__(self, conv: nn.Conv1d, per_frame: int = 1, gain: float = 1.0) -> None:
        super().__init__()
        if conv.stride[0] != 1 or conv.groups != 1:
            raise ValueError(f"only dense convolutions of stride 1 can be carried: {conv}")
        pad = int(conv.padding[0])
        if 2 * pad != (conv.kernel_size[0] - 1) * conv.dilation[0]:
            raise ValueError(f"only same-length convolutions can be carried: {conv}")
        self.reach = Reach(pad, per_frame, 2 * pad)
        self.dilation = (1, conv.dilation[0])
        bias = None if conv.bias is None else conv.bias.detach()
        self._set(conv.weight.detach() * gain, bias)

    def _set(self, weight: Tensor, bias: Tensor | None) -> None:
        if weight.shape[2] == 1:
            weight = weight[:, :, 0].contiguous()  # [out, in]
        else:
            weight = weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        self.n_out = len(weight)
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.packed = False

    def split(self) -> None:
        """Make each tap a matrix, [kernel, in, out]: faster in fp32 where channels are many."""
        if self.weight.dim() == 4:
            self.weight = self.weight[:, :, 0].permute(2, 1, 0).contiguous()

    def multiply(self) -> None:
        """Make all taps one matrix, [out, kernel * in], in the order that is fastest here."""
        taps = self.weight if self.weight.dim() == 2 else self.weight[:, :, 0].mT.flatten(1)
        self.product = Product(taps, self.bias)
        self.weight = self.weight.new_empty(0)

    def pack(self, steps: int) -> None:
        """Put the weights in oneDNN's order, best for inputs of `steps` time steps."""
        if self.weight.dim() == 2:
            return
        shape = [1, self.weight.shape[1], 1, steps]
        dense = self.weight.to_mkldnn()
        self.weight = torch._C._nn.mkldnn_reorder_conv2d_weight(  # type: ignore[call-arg]
            dense, [0, 0], [1, 1], list(self.dilation), 1, shape
        )
        self.packed = True

    def forward(self, x: Tensor, slope: float = 1.0) -> Tensor:
        """[b, t + span, in] -> leaky_relu of [b, t, out]; empty where context is missing yet."""
        if x.shape[1] <= self.reach.span:
            return x.new_zeros(x.shape[0], 0, self.n_out)
        if self.product is not None:
            return _leaky(self.product(self._windows(x)), slope)
        if self.weight.dim() == 2:
            return _leaky(F.linear(x, self.weight, self.bias), slope)
        if self.weight.dim() == 3:
            return _leaky(self._products(x), slope)
        x = x.transpose(1, 2).unsqueeze(2)
        if not self.packed:
            y = F.conv2d(x, self.weight, self.bias, dilation=self.dilation)
            return _leaky(y.squeeze(2).transpose(1, 2), slope)
        activation = ("none", [], "") if slope == 1.0 else ("leaky_relu", [slope], "")
        y = torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, [0, 0], [1, 1], self.dilation, 1, *activation
        )
        return cast(Tensor, y).squeeze(2).transpose(1, 2)

    def _windows(self, x: Tensor) -> Tensor:
        """What each output sees, [b, t, kernel * in]."""
        if not self.reach.span:
            return x
        b, t, c = x.shape
        far = self.dilation[1]
        kernel = self.reach.span // far + 1
        size = b, t - self.reach.span, kernel, c
        steps = x.stride(0), x.stride(1), far * x.stride(1), x.stride(2)
        return x.as_strided(size, steps, x.storage_offset()).flatten(2)

    def _products(self, x: Tensor) -> Tensor:
        t = x.shape[1] - self.reach.span
        y = x.new_empty(*x.shape[:1], t, self.n_out)
        for line, out in zip(x, y, strict=True):
            if self.bias is None:
                torch.mm(line[:t], self.weight[0], out=out)
            else:
                torch.addmm(self.bias, line[:t], self.weight[0], out=out)
            for j in range(1, len(self.weight)):
                at = j * self.dilation[1]
                out.addmm_(line[at : at + t], self.weight[j])
        return y

    def add_to(self, y: Tensor, x: Tensor) -> None:
        """y += conv(x) in place; [b, t, out] and [b, t + span, in]."""
        if not self.packed or not y.shape[1]:
            y += self.forward(x)
            return
        out, x = y.transpose(1, 2).unsqueeze(2), x.transpose(1, 2).unsqueeze(2)
        torch.ops.mkldnn._convolution_pointwise_.binary(
            *(out, x, self.weight, self.bias, [0, 0], [1, 1], self.dilation, 1),
            *("add", 1.0, None, [], None),
        )


def _leaky(x: Tensor, slope: float) -> Tensor:
    return x if slope == 1.0 else F.leaky_relu(x, slope)


class Up(Conv):
    """A ConvTranspose1d as one convolution over the coarse signal, of `stride` times the channels.

    Row u has the samples from u * stride - padding on: those that see the same inputs, u and the
    ones before it. So no product is with a zero, as it is where a row begins with an input's first
    sample.
    """

    def __init__(self, conv: nn.ConvTranspose1d, per_frame: int, gain: float) -> None:
        nn.Module.__init__(self)
        kernel, stride, pad = conv.kernel_size[0], conv.stride[0], int(conv.padding[0])
        if kernel - 2 * pad != stride or conv.output_padding[0] or conv.groups != 1:
            raise ValueError(f"only upsampling by exactly its stride can be carried: {conv}")
        if pad >= stride:
            raise ValueError(f"only padding of less than a stride can be carried: {conv}")
        before = -(-kernel // stride) - 1  # inputs that a row sees before its own
        n = conv.out_channels
        weight = torch.zeros(stride * n, conv.in_channels, before + 1)
        for j in range(kernel):
            back, phase = divmod(j, stride)
            tap = conv.weight.detach()[:, :, j].t() * gain
            weight[phase * n : (phase + 1) * n, :, before - back] = tap
        self.reach, self.dilation = Reach(before, per_frame, before), (1, 1)
        self.stride, self.channels = stride, n
        self.cut = pad, before * stride - pad  # samples before the first one and after the last
        self._set(weight, None if conv.bias is None else conv.bias.detach().repeat(stride))

    def upsample(self, x: Tensor, state: State, slope: float) -> Tensor:
        """What becomes known of the stream with leaky_relu(x): [b, t, in] -> [b, n, out].

        `cut[0]` samples less than t * stride at first, and that many more at the end.
        """
        if not x.shape[1] and not state.last:
            return x.new_zeros(len(x), 0, self.channels)
        begin = 0 if self in state else self.cut[0]
        y: Tensor = self(state.window(self, x, self.reach, slope))
        y = y.reshape(len(y), y.shape[1] * self.stride, self.channels)
        return y[:, begin : y.shape[1] - self.cut[1] * state.last]


class Sum(nn.Module):
    """A Conv1d with one output, in fp32 whatever it is given: one product, and a sum of its rows.

    A convolution with so few outputs takes twice as long, and rounds samples to its input's type.
    """

    taps: Tensor  # [kernel, in]
    bias: Tensor | None

    def __init__(self, conv: nn.Conv1d, per_frame: int, gain: float) -> None:
        super().__init__()
        n_out, _, kernel = conv.weight.shape
        pad = int(conv.padding[0])
        if n_out != 1 or conv.stride[0] != 1 or conv.dilation[0] != 1 or 2 * pad != kernel - 1:
            raise ValueError(f"only a same-length convolution with one output is summed: {conv}")
        self.reach = Reach(pad, per_frame, 2 * pad)
        self.register_buffer("taps", conv.weight.detach()[0].T.contiguous() * gain)
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """[b, t + span, in] -> [b, t]; empty where context is missing yet."""
        b, t = len(x), max(x.shape[1] - self.reach.span, 0)
        at = torch.bmm(self.taps.expand(b, -1, -1), x.to(self.taps.dtype).mT)  # [b, kernel, ..]
        steps = at.stride(0), at.stride(1) + 1, 1
        y: Tensor = at.as_strided((b, at.shape[1], t), steps).sum(1)
        return y if self.bias is None else y.add_(self.bias)


def pack(*modules: nn.Module) -> None:
    """Put weights into the form that is fastest on a CPU; move nothing afterwards.

    bf16 is put into oneDNN's order only where the CPU multiplies it. A convolution's order in fp32
    depends on the input's length, and the wrong one costs 50 times the time; a product's does not.
    """
    for conv in (c for module in modules for c in module.modules() if isinstance(c, Conv)):
        if conv.weight.device.type != "cpu":
            continue
        many = conv.weight.shape[1] >= _MANY_CHANNELS
        if packs(conv.weight) and (many or conv.weight.dim() == 2):
            conv.multiply()
        elif conv.weight.dtype == torch.float32 and many:
            conv.split()
        elif conv.weight.dtype == torch.bfloat16 and multiplies_bf16():
            conv.pack(_PACK_FRAMES * conv.reach.per_frame)
