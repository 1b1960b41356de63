"""The command line in a process of its own, ended by a signal when what it has left on the disk says so."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from paretonas.training.progress import read_share

SECONDS = 400
"""Longest wait; a busy machine takes its time."""


def with_abacus(folder):
    """The surroundings of a process that knows the transport `abacus`, which answers at once and always the same."""
    package = folder / "abacus-0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: abacus\nVersion: 0\n")
    (package / "entry_points.txt").write_text("[paretonas.transport]\nabacus = abacus:Abacus\n")
    paths = (folder, Path(__file__).parent / "search", os.environ.get("PYTHONPATH", ""))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, map(str, paths)))}


@dataclass(frozen=True)
class Killable:
    """The command line with a home of its own."""

    home: Path
    surroundings: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def run(self, *words):
        """`paretonas WORDS` to its end; its standard output."""
        done = subprocess.run(
            self._command(words), env=self.surroundings, capture_output=True, text=True, check=False, timeout=SECONDS
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def end(self, *words, when, what, by=signal.SIGKILL):
        """Begin `paretonas WORDS`, and end it as soon as `when()` holds; its exit code and standard error.

        The workers have ended too when this returns.
        """
        with subprocess.Popen(
            self._command(words), env=self.surroundings, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                _wait_for(lambda: when() or process.poll() is not None, what)
                assert process.poll() is None, f"it ended before {what}: {process.stderr.read()}"
                children = _children(process.pid)
                process.send_signal(by)
                _, error = process.communicate(timeout=60)
            finally:
                process.kill()
        _wait_for(lambda: not any(map(_is_alive, children)), "the workers to end")
        return process.returncode, error

    def rows(self, query):
        """Of the store, while another process writes it; none before it is made."""
        try:
            with closing(sqlite3.connect(self.home / "store.db")) as connection:
                return connection.execute(query).fetchall()
        except sqlite3.OperationalError:
            return []

    @property
    def complete(self):
        """How many trials are."""
        return len(self.rows("SELECT 1 FROM trials WHERE state = 'complete'"))

    def is_learning(self, files):
        """Whether a training is under way whose progress is told in one of these files of the home."""
        return any(0.1 <= read_share(file) < 0.9 for file in self.home.glob(f"{files}.progress"))

    def _command(self, words):
        return [sys.executable, "-m", "paretonas", "--home", str(self.home), *map(str, words)]


def _wait_for(claim, what):
    deadline = time.monotonic() + SECONDS
    while not claim():
        assert time.monotonic() < deadline, f"waited {SECONDS} s in vain for {what}"
        time.sleep(0.02)


def _children(pid):
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(child) for child in found.stdout.split()]


def _is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
