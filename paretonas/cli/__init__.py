"""The command line: parse, call, print.

Exit codes: 0 done, 1 the work failed, 2 bad usage, 128 + the number of the signal that stopped it.
"""

from paretonas.cli.stopping import watched
from paretonas.cli.streams import open_streams

__all__ = ["main"]


def main() -> None:
    """Entry point of the command `paretonas`."""
    with watched():
        open_streams()
        from paretonas.cli.commands import run  # takes a second, in which a signal may come

        run()
