"""How much memory there is for voices where the operator does not say, and what a GPU has of it."""

import ctypes
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch

from voicesvc import metrics
from voicesvc.config import Settings

_DEVICE_SHARE = 0.8  # of what is free at the start; the rest is for what is computed
_HOST_SHARE = 0.25  # beside a GPU
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_KEEP_BYTES = 2**30
_STATM = Path("/proc/self/statm")
_SLACK_BYTES = 2**27
_LOOK_S = 5.0


def with_budgets(settings: Settings, device: torch.device) -> Settings:
    """The settings with both budgets said: where they are not, a share of what is free now."""
    found: dict[str, int] = {}
    if settings.device_budget_mb is None:
        free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_bytes()
        found["device_budget_mb"] = max(int(free * _DEVICE_SHARE) // 2**20, 1)
    if settings.host_budget_mb is None:
        beside = free_bytes() * _HOST_SHARE if device.type == "cuda" else 0
        found["host_budget_mb"] = int(beside) // 2**20
    return settings.model_copy(update=found)


def free_bytes(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int:
    """Memory that this process could still take: of the machine, and of its container.

    Reads what Linux says (`MemAvailable` of proc(5), `memory.max` and `memory.current` of control
    groups version 2); elsewhere it is half of all there is.
    """
    try:
        said = dict(line.split(":", 1) for line in meminfo.read_text("ascii").splitlines())
        free = int(said["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    try:
        limit = (cgroup / "memory.max").read_text("ascii").strip()
        used = int((cgroup / "memory.current").read_text("ascii"))
    except OSError:
        return free
    return free if limit == "max" else min(free, max(int(limit) - used, 0))


def is_fault(error: Exception) -> bool:
    """Whether a GPU is out of memory, or gave an error after which it does nothing more."""
    if isinstance(error, torch.OutOfMemoryError | torch.AcceleratorError):
        return True
    return any(word in str(error) for word in ("CUDA error", "CUBLAS_STATUS", "CUDNN_STATUS"))


def keep_freed_memory() -> None:
    """Let glibc keep what a cell frees for the next cell; asking anew costs 6 % in page faults."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES)


class Slack:
    """Gives back what was freed and kept, once there is much more of it than cells need.

    What a stream keeps lies between what cells have freed, so that each of hundreds of streams
    makes it harder to use that again. `held_bytes` is what the process has, `give_back` glibc's
    malloc_trim(3).
    """

    def __init__(self, held_bytes: Callable[[], int], give_back: Callable[[], object]) -> None:
        self._held_bytes, self._give_back = held_bytes, give_back
        self._least_bytes = held_bytes()

    def look(self) -> None:
        """Give back what is free if the process has grown since it had least."""
        held_bytes = self._held_bytes()
        if held_bytes > self._least_bytes + _SLACK_BYTES:
            self._give_back()
            self._least_bytes = self._held_bytes()
        self._least_bytes = min(self._least_bytes, held_bytes)


def give_back_slack() -> None:
    """Have a thread look after that until the process ends; nothing where glibc is not."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is None or not _STATM.exists():
        return

    def look_on() -> None:
        slack = Slack(resident_bytes, lambda: malloc_trim(0))
        while True:
            time.sleep(_LOOK_S)
            slack.look()

    threading.Thread(target=look_on, name="slack", daemon=True).start()


def resident_bytes() -> int:
    """Of this process, as proc(5) has it."""
    return int(_STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def watch(device: torch.device) -> None:
    """Have `voicesvc_device_memory_bytes` say what a GPU has; of a CPU there is nothing to say.

    `free` and `total` are the device's, whoever else uses it; `reserved` is what torch holds of it
    in this process, loaded voices and what they are computed with.
    """
    if device.type != "cuda":
        return
    metrics.DEVICE_MEMORY.labels("free").set_function(lambda: torch.cuda.mem_get_info(device)[0])
    metrics.DEVICE_MEMORY.labels("total").set_function(lambda: torch.cuda.mem_get_info(device)[1])
    reserved = metrics.DEVICE_MEMORY.labels("reserved")
    reserved.set_function(lambda: torch.cuda.memory_reserved(device))
