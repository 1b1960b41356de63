"""Memory that a training keeps from step to step.

A step makes and frees the same large tensors again and again. glibc gives those above 32 MB back to the system at once,
which hands them out anew page by page, each filled with zeros: the more, the larger the features.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Numbers of settings in glibc's malloc.h."""
KEPT = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: 2**26}


@contextmanager
def kept_memory() -> Iterator[None]:
    """What is freed meanwhile stays with the process; at the end it goes back.

    With other C libraries than glibc nothing changes.
    """
    library = _glibc()
    if library is not None:
        for setting, value in KEPT.items():
            library.mallopt(setting, value)
    try:
        yield
    finally:
        if library is not None:
            library.malloc_trim(0)


@cache
def _glibc() -> Any:
    """The C library; None if it is another one."""
    return ctypes.CDLL("libc.so.6") if platform.libc_ver()[0] == "glibc" else None
