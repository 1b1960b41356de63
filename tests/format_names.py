"""Export formats as parameters of tests."""

import pytest

from paretonas.export import formats

SLOW = {"litert", "executorch"}
"""A file takes ten seconds and more; their packages come with `make slow`."""
QUICK = [name for name in formats if name not in SLOW]
each_format = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in formats]
)
