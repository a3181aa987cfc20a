"""What a process gives up before it reads what a stranger sent."""

import ctypes
import os
import resource
import sys

_PR_SET_NO_NEW_PRIVS = 38  # prctl(2)


def shut_in(cpu_s: int, memory_bytes: int) -> int:
    """Give up all that is not needed from here on; it cannot be had back.

    Gives the descriptor of what was stderr: decoders write what they like to theirs.
    """
    told, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(limit, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (told + 1, told + 1))  # no other can be opened
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return told
