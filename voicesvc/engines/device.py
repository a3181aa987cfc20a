"""Which device a voice is on, how sums are rounded there, and in which precision it decodes.

What every engine on torch has to know; it knows nothing of networks and packs.
"""

import os

import torch

from voicesvc.engines.memory import keep_freed_memory
from voicesvc.errors import EngineFailed
from voicesvc.products import multiplies_bf16, multiplies_int8

_ROUNDING = ("avx512_bf16", "amx_bf16")  # kernels that sum bf16 in another order


def pick_device(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:N` as a device that is there.

    Raises:
        EngineFailed: the device that was asked for is not there.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    device = torch.device("cuda:0" if name == "cuda" else name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EngineFailed(
            f"device {name} is not there",
            where="VOICESVC_DEVICE",
            valid=["auto", "cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))],
        )
    return device


def device_class(device: torch.device) -> str:
    """What of a device decides how sums are rounded: two of one class make the same samples."""
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return f"cuda {torch.cuda.get_device_name(device)} sm_{major}{minor}"
    capable = torch.cpu.get_capabilities()
    wide = torch.backends.cpu.get_cpu_capability().lower()
    return " ".join(["cpu", wide, *(n for n in _ROUNDING if capable.get(n))])


def pin(name: str) -> torch.device:
    """Pick the device, and give each compute thread of this process one OpenMP thread.

    N workers of one thread beat one of N; two OpenMP threads collapse on a shared machine.
    """
    torch.set_num_threads(1)
    keep_freed_memory()
    # Room for all cell shapes of several kinds of network; oneDNN reads it at its first use.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8192")
    device = pick_device(name)
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True
        # fp32 would mean TF32 otherwise, which rounds to 10 bits
        torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
        torch.backends.cuda.matmul.fp32_precision = "ieee"
    return device


def pick_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The decoder's precision; `auto` is bf16 wherever the device computes in it, else fp32.

    `int8` is for a GPT's matrices alone (`gpt_in_int8`), and `auto` for all else. Flow and text
    side are always fp32 (bf16 there costs 13 dB more and flips durations).
    """
    if precision not in ("auto", "int8"):
        return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.bfloat16 if multiplies_bf16() else torch.float32


def gpt_in_int8(precision: str, device: torch.device) -> bool:
    """Whether a GPT's matrices are rounded to int8: where that was asked for by name.

    Raises:
        EngineFailed: it was, and the device has no such products.
    """
    if precision != "int8":
        return False
    if device.type != "cpu" or not multiplies_int8():
        raise EngineFailed(
            "int8 is for a CPU with AVX2",
            where="VOICESVC_PRECISION",
            valid=["auto", "fp32", "bf16", "fp16"],
        )
    return True
