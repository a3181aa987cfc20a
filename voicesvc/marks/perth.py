"""Perth's implicit network with the weights of resemble-perth (MIT): what it adds, what it hears.

It looks at the spectrum below 2 kHz, in dB, in frames of 64 ms every 10 ms at 32 kHz. Nothing of
the package itself is imported: it wants pkg_resources and hides errors. Knows nothing of streams.
"""

import hashlib
import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voicesvc.errors import EngineFailed
from voicesvc.products import Product, multiplies_bf16

RATE_HZ, N_FFT, HOP = 32_000, 2048, 320
BINS = round((N_FFT // 2 + 1) * 2000 / (RATE_HZ / 2))  # those below 2 kHz: 128
_WIDTH, _KERNEL, _DEEP = 256, 7, 5
REACH = _DEEP * (_KERNEL // 2)  # frames on each side that an answer depends on: 15
_ROWS = 8  # of a product: a multiple
_FLOOR_DB, _HEAD_DB = -180.0, 15.0
SPAN_DB = _HEAD_DB - _FLOOR_DB
_SPEEDS = (1.25, 1.0, 0.75)  # of the parts that listen: slow, normal, fast
_SILENT = 0.05  # of the loudest frame's sum of levels: frames below it are not listened to
_FILE = "perth_net/pretrained/implicit/perth_net_250000.pth.tar"
SHA256 = "a15bce457ebc53ce5e6c9c3f11df78cf7ee2bf9cdab0a798902135b4c4027670"


def levels(spectrum: Tensor) -> Tensor:
    """Magnitudes in dB as the network takes them: -180 dB is 0, +15 dB is 1."""
    floor = 10 ** (_FLOOR_DB / 20)
    return (20 * torch.log10(spectrum.abs().clip(floor)) - _FLOOR_DB) / SPAN_DB


class Layer(nn.Module):
    """A convolution over frames, with or without a leaky rectifier behind it."""

    def __init__(self, n_in: int, n_out: int, kernel: int, active: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv1d(n_in, n_out, kernel)  # padding is the caller's
        self.active = active

    def forward(self, x: Tensor) -> Tensor:
        """[1, n_in, t] -> [1, n_out, t - kernel + 1]."""
        y = self.conv(x)
        return F.leaky_relu(y) if self.active else y


Stack = tuple[Layer, ...]


def rows(x: Tensor, product: Product) -> Tensor:
    """The product of `x` [n, k]: the same bits with any number of threads.

    One of 9 rows would be summed in as many parts as there are threads; one of 8 or 16 is not.
    """
    n = len(x)
    if missing := -n % _ROWS:
        x = F.pad(x, (0, 0, 0, missing))
    return product(x)[:n]


class Rows:
    """A `Layer` for a stream's few frames at a time, which lie in rows: one product.

    It waits for its weights from memory; a convolution of few frames reads them more than once.
    """

    def __init__(self, layer: Layer) -> None:
        weight, bias = layer.conv.weight.detach(), layer.conv.bias
        assert bias is not None
        self.n_out, self.n_in, self.kernel = weight.shape
        # A spectrum's levels are kept whole, and what is said of them.
        deep = self.kernel > 1 and multiplies_bf16()
        self.dtype = torch.bfloat16 if deep else torch.float32
        taps = weight.mT.flatten(1)
        self._product = Product(taps.to(self.dtype), bias.detach().to(self.dtype))
        self._active = layer.active

    def __call__(self, x: Tensor) -> Tensor:
        """[t, n_in], contiguous, of this layer's type -> [t - kernel + 1, n_out]."""
        n = len(x) - self.kernel + 1
        if missing := -n % _ROWS:
            x = F.pad(x, (0, 0, 0, missing))
        seen = x.as_strided((n + missing, self.kernel * self.n_in), (self.n_in, 1))
        y = self._product(seen)[:n]
        return F.leaky_relu_(y) if self._active else y


def _layers(n_out: int) -> Stack:
    deep = [Layer(_WIDTH, _WIDTH, _KERNEL) for _ in range(_DEEP)]
    return (Layer(BINS, _WIDTH, 1), *deep, Layer(_WIDTH, n_out, 1, active=False))


def _whole(layers: Stack, x: Tensor) -> Tensor:
    """All layers over all frames, with silence before and behind."""
    for layer in layers:
        reach = layer.conv.kernel_size[0] // 2
        x = layer(F.pad(x, (reach, reach)))
    return x


@dataclass(frozen=True)
class Perth:
    """The weights: `adds` is what marks, `hears` are what finds a mark at three speeds."""

    adds: tuple[Rows, ...]
    hears: tuple[Stack, ...]

    @torch.inference_mode()
    def score(self, pcm: Tensor) -> float:
        """How surely `pcm`, [n] at 32 kHz, is marked: about 1 if it is, about 0 if not."""
        window = torch.hann_window(N_FFT)
        spectrum = torch.stft(pcm, N_FFT, HOP, N_FFT, window, return_complex=True)
        level = levels(spectrum)[None]  # [1, bins, frames]
        sums = level.sum(1, keepdim=True)
        heard = (sums > sums.max() * _SILENT).float()
        low = level[:, :BINS]
        answers = []
        for layers, speed in zip(self.hears, _SPEEDS, strict=True):
            at = low
            if speed != 1.0:
                frames = int(low.shape[2] * speed)
                at = F.interpolate(low, size=frames, mode="linear", align_corners=True)
            mask = F.interpolate(heard, size=at.shape[2], mode="nearest")
            answers.append((_whole(layers, at) * mask).sum(2) / mask.sum(2))
        attention, found = torch.stack(answers, 2).unbind(1)  # [1, speeds] each
        return float((found * torch.softmax(attention, 1)).sum())


def _read(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise EngineFailed(f"{path} is not the watermark's network", where="watermark")
    try:
        read: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)["model"]
    except (UnpicklingError, KeyError) as e:
        raise EngineFailed(f"{path} cannot be read: {e}", where="watermark") from e
    return read


@cache
def network() -> Perth:
    """The network, loaded once.

    Raises:
        EngineFailed: its weights are not there, or are others than they should be.
    """
    found = importlib.util.find_spec("perth")  # does not import it
    places = found.submodule_search_locations if found is not None else None
    if not places:
        raise EngineFailed("resemble-perth is not installed", where="watermark")
    values = _read(Path(places[0]) / _FILE)
    adds, hears = _layers(BINS), [_layers(2) for _ in _SPEEDS]
    parts = {"encoder.layers.": adds}
    parts |= {
        f"decoder.{n}_layers.": m for n, m in zip(("slow", "normal", "fast"), hears, strict=True)
    }
    for prefix, layers in parts.items():
        own = {n.removeprefix(prefix): v for n, v in values.items() if n.startswith(prefix)}
        stack = nn.ModuleList(layers)
        stack.load_state_dict(own)
        stack.requires_grad_(False).eval()
    return Perth(tuple(map(Rows, adds)), tuple(hears))
