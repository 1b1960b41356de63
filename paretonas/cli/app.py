"""What all commands share: the application, where things are kept, and options of one meaning."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from paretonas.cli import console
from paretonas.cli.stopping import unwound
from paretonas.errors import StoreError, UsageError
from paretonas.space.trust import recall, trust_everything
from paretonas.store import Store

FIRST = ("search", "resume", "front", "train", "export", "report")
"""Commands that people need first, in the order in which `--help` shows them; then the others."""


class _Commands(TyperGroup):
    """The commands, those that people need first before all others."""

    def list_commands(self, ctx: Any) -> list[str]:
        names = super().list_commands(ctx)
        return [*FIRST, *(name for name in names if name not in FIRST)]

    def invoke(self, ctx: Any) -> Any:
        try:
            with unwound():
                return super().invoke(ctx)
        except TyperException as error:
            option = getattr(error, "option_name", None)  # that a command does not have
            if any(option in parameter.opts for parameter in self.params):
                before = f"paretonas {option} … {ctx.invoked_subcommand} …"
                raise UsageError(f"{option} stands before the command: {before}") from None
            raise


app = typer.Typer(
    cls=_Commands,
    help="Find networks that are accurate and fast on given devices.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)


def _reserve_stdout(context: typer.Context, is_wanted: bool) -> bool:
    if is_wanted:
        context.with_resource(console.json_alone())
    return is_wanted


def _trust(is_wanted: bool) -> bool:
    if is_wanted:
        trust_everything()
    return is_wanted


Name = Annotated[str, typer.Argument(help="Name of the search.")]
AsJson = Annotated[bool, typer.Option("--json", callback=_reserve_stdout, help="Print JSON, for machines.")]
Trust = Annotated[
    bool, typer.Option("--trust", callback=_trust, help="Import what the file or search names: it runs as your code.")
]
Width = Annotated[float, typer.Option(help="Multiplier of the filters.")]
Classes = Annotated[
    int | None,
    typer.Option(help="Told apart. As published: 1000, of a detector 90, of a language model 10000 words.", min=1),
]
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
    opened: list[Store] = field(default_factory=list)

    def new_store(self) -> Store:
        """The store, made when it is first written; closed at the end."""
        self.opened.append(Store(self.store_url or self.home / "store.db"))
        return self.opened[-1]

    def close(self) -> None:
        """Let go of all stores that were opened."""
        for store in self.opened:
            store.close()

    def store(self) -> Store:
        """The store, which has to be there: a mistyped home is not an empty one.

        Raises:
            StoreError: It is not.
        """
        store = self.new_store()
        if not store.is_there:
            place = f"the home {self.home} has no store.db" if self.store_url is None else f"{store} is none"
            raise StoreError(f"A store is made by its first search, but {place}. Name another with --home or --store.")
        return store


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
        str | None,
        typer.Option(
            envvar="PARETONAS_STORE",
            help="SQLite file, or postgresql://USER@HOST/DATABASE; HOME/store.db if not given.",
        ),
    ] = None,
) -> None:
    """Find networks that are accurate and fast on given devices."""
    recall(home)
    context.obj = Place(home, store)
    context.call_on_close(context.obj.close)
