"""What native code says on the standard error while all goes well: it is for its makers, and for nobody who waits."""

from __future__ import annotations

import faulthandler
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

NOISE = re.compile(
    r"WARNING: All log messages before absl|[IW]\d{4} \d\d:\d\d:\d\d|INFO: |\[\w+\.cpp:\d+\] |[^\n]*\d%\|[^\n]*it/s\]"
)
"""How lines of absl, PyTorch's logs, LiteRT, ExecuTorch and tqdm's bars begin; none of an error or worse."""

_taken = threading.RLock()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back what this process writes to its standard error meanwhile, and then leave out lines that are noise.

    What other threads write comes later. If there is an error, all of it comes. A process that crashes is told of by
    Python's fault handler as ever, where that is on; what native code said before is gone with it.
    """
    with _taken, ExitStack() as open_files:
        try:
            kept = open_files.enter_context(tempfile.TemporaryFile())
            own = open_files.enter_context(os.fdopen(os.dup(2), "wb", 0))
        except OSError:  # there is no room, or nobody to hear
            yield
            return
        with _redirected(kept.fileno(), own.fileno()):
            has_failed = True
            try:
                yield
                has_failed = False
            finally:
                _flush()
                kept.seek(0)
                lines = re.split(r"(?<=[\n\r])", kept.read().decode(errors="replace"))
                with suppress(OSError):  # nobody hears it any more
                    own.write("".join(line for line in lines if has_failed or not NOISE.match(line)).encode())


@contextmanager
def _redirected(to: int, own: int) -> Iterator[None]:
    """The standard error goes to one file and faults to the other, its own, where it goes again afterwards."""
    _flush()
    os.dup2(to, 2)
    if is_told := faulthandler.is_enabled():
        faulthandler.enable(own)
    try:
        yield
    finally:
        os.dup2(own, 2)
        if is_told:
            faulthandler.enable(2)


def _flush() -> None:
    if sys.stderr is not None:
        with suppress(OSError):
            sys.stderr.flush()
