"""What the device has of memory, as metrics: the parts of a GPU, and nothing of a CPU."""

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
