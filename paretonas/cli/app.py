"""What all commands share: the application, where things are kept, and options of one meaning."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text
from typer.core import TyperGroup

from paretonas.cli import console
from paretonas.errors import ParetonasError
from paretonas.store import Store

FIRST = ("search", "resume", "front", "train", "export", "report")
"""Commands that people need first, in the order in which `--help` shows them; then the others."""


class _Commands(TyperGroup):
    """The commands, those that people need first before all others."""

    def list_commands(self, ctx: Any) -> list[str]:
        names = super().list_commands(ctx)
        return [*FIRST, *(name for name in names if name not in FIRST)]


app = typer.Typer(
    cls=_Commands,
    help="Find networks that are accurate and fast on given devices.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)

Name = Annotated[str, typer.Argument(help="Name of the search.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Width = Annotated[float, typer.Option(help="Multiplier of the filters.")]
Classes = Annotated[int, typer.Option(help="Outputs of the classifier.", min=1)]
Channels = Annotated[int, typer.Option(help="Channels of the images.", min=1)]
Resolution = Annotated[int | None, typer.Option(help="Side of the images in pixels.", min=4)]

SmallImage = Annotated[
    bool, typer.Option("--small-image", help="Drop the first strides where images are below 128 px, as searches do.")
]


@dataclass
class Place:
    """Where this invocation keeps its things."""

    home: Path
    store_url: str | None

    def store(self) -> Store:
        return Store(self.store_url or self.home / "store.db")


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        sys.stdout.write(f"paretonas {version('paretonas')}\n")
        raise typer.Exit


@app.callback()
def place(
    context: typer.Context,
    home: Annotated[
        Path, typer.Option(envvar="PARETONAS_HOME", help="Folder of the store, of caches and of exported files.")
    ] = Path("paretonas-runs"),
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    store: Annotated[
        str | None, typer.Option(envvar="PARETONAS_STORE", help="Database URL; HOME/store.db if none is given.")
    ] = None,
) -> None:
    """Find networks that are accurate and fast on given devices."""
    context.obj = Place(home, store)


def main() -> None:
    """Entry point of the command `paretonas`."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except ParetonasError as error:
        console.err.print("[bold red]error:[/]", Text(str(error)))
        sys.exit(error.exit_code)
    except BrokenPipeError:  # whoever read our output has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that takes no files, wherever the system says so
        console.err.print("[bold red]error:[/]", Text(f"The system refuses a file: {error}"))
        sys.exit(ParetonasError.exit_code)
