"""What the device has of memory, as metrics: the parts of a GPU, and nothing of a CPU."""

import mmap
from contextlib import closing

import pytest
import torch
from conftest import metric
from prometheus_client import generate_latest

from voicesvc.engines import memory

NAME = "voicesvc_device_memory_bytes"


def test_of_a_cpu_nothing_is_said() -> None:
    memory.watch(torch.device("cpu"))
    assert f"{NAME}{{".encode() not in generate_latest()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_of_a_gpu_its_parts() -> None:
    memory.watch(torch.device("cuda:0"))
    before = metric(NAME, part="reserved")
    held = torch.zeros(2**24, device="cuda:0")
    assert metric(NAME, part="reserved") >= before + held.nbytes
    assert metric(NAME, part="total") > metric(NAME, part="free") > 0


def test_what_is_free_is_given_back_once_it_is_much() -> None:
    held_mb, given_back = 1000, 0

    def give_back() -> None:
        nonlocal held_mb, given_back
        held_mb, given_back = held_mb - 100, given_back + 1

    slack = memory.Slack(lambda: held_mb * 2**20, give_back)
    for grown_mb, given in ((0, 0), (128, 0), (1, 1), (100, 1), (-200, 1), (128, 1), (1, 2)):
        held_mb += grown_mb
        slack.look()
        assert given_back == given, grown_mb


@pytest.mark.skipif(not memory._STATM.exists(), reason="no proc(5)")
def test_a_process_knows_what_it_has() -> None:
    before = memory.resident_bytes()
    with closing(mmap.mmap(-1, 64 * 2**20)) as kept:  # not of what the process has freed and kept
        for at in range(0, len(kept), 2**12):
            kept[at] = 1
        assert memory.resident_bytes() - before > 60 * 2**20
