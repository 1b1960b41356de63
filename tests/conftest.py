"""One thread a process, real data where it is, and a home of its own for every test that searches."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: pytest-xdist already uses every core

import signal
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from postgres_server import Server, need_postgres

from paretonas.cli import stopping
from paretonas.evaluation import latencies

for protocol in (latencies.QUICK, latencies.RECORD):  # a busy machine makes no test wait: none asks how good a time is
    object.__setattr__(protocol, "attempts", 1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets, if this machine has it."""
    folder = Path(os.environ.get("PARETONAS_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.exists():
        pytest.skip(f"no real data at {folder}; set PARETONAS_DATA")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server, if this machine has one."""
    need_postgres()
    server = Server()
    yield server
    server.stop()


_numbers = count()


@pytest.fixture
def new_postgres(postgres: Server) -> Callable[[], str]:
    """Makes an empty database of the server, and gives its URL."""
    return lambda: postgres.new_database(f"test {next(_numbers)}?")


@pytest.fixture(autouse=True)
def _nothing_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command line names is trusted by its process, and that of the tests runs many."""
    monkeypatch.setenv("PARETONAS_TRUSTED", "{}")


@pytest.fixture(autouse=True)
def _signals_are_given_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command keeps them for good, and this process runs many."""
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    before = {number: signal.getsignal(number) for number in stopping.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
