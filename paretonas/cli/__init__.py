"""The command line: parse, call, print.

Exit codes: 0 done, 1 the work failed, 2 bad usage, 128 + the number of the signal that stopped it.
"""

import faulthandler

from paretonas.cli.stopping import watch
from paretonas.cli.streams import open_streams

__all__ = ["main"]


def main() -> None:
    """Entry point of the command `paretonas`."""
    watch()
    open_streams()
    faulthandler.enable(2)  # a crash in somebody's C code says where it was
    from paretonas.cli.commands import run  # takes a second, in which a signal may come

    run()
