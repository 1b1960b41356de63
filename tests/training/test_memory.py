import platform
import resource
import subprocess
import sys

import pytest
import torch

from paretonas.training.memory import kept_memory

LARGE = 16 * 2**20
"""Numbers of four bytes: beyond what glibc would keep by itself."""


FAULTS = f"""
import resource
import torch
from paretonas.training.memory import kept_memory

def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones({LARGE})
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with kept_memory():
    faults(4)
    print(faults(8))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_large_tensors_are_not_handed_out_anew_page_by_page():
    """In a process of its own: in one that has run all else, the heap may have no room to grow into."""
    kept = int(subprocess.run([sys.executable, "-c", FAULTS], check=True, capture_output=True, text=True).stdout)
    assert kept < 7 * 16_384, "64 MB are as many pages: it may be moved now and then, but not each time"


def resident():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_goes_back_at_the_end():
    with kept_memory():
        x = [torch.ones(LARGE) for _ in range(4)]
        during = resident()
        del x
    assert resident() < during - 200 * 2**20


def test_an_error_passes():
    with pytest.raises(ValueError, match="x"), kept_memory():
        raise ValueError("x")
