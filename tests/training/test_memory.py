import platform
import resource

import pytest
import torch

from paretonas.training.memory import kept_memory

LARGE = 16 * 2**20
"""Numbers of four bytes: beyond what glibc would keep by itself."""


def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones(LARGE)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_large_tensors_are_not_handed_out_anew_page_by_page():
    with kept_memory():
        faults(4)
        kept = faults(8)
    assert kept < 6 * 16_384, "64 MB are as many pages: of eight times it may be moved now and then"


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
