"""Standard streams that are closed, full, broken, or of another encoding."""

import subprocess
import sys

import pytest

from paretonas.cli.streams import flush_streams


@pytest.fixture
def shell(made):
    """Runs a line of the shell in which `PARETONAS` is the command with a home that has a search."""

    def run(line, **environment):
        program = f"{sys.executable} -m paretonas --home '{made}'"
        return subprocess.run(
            ["bash", "-c", line.replace("PARETONAS", program)],
            capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", **environment},
        )  # fmt: skip

    return run


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("PARETONAS show s >&-", 0),
        ("PARETONAS show nobody >&- 2>&- <&-", 2),
        ("PARETONAS list --json > /dev/full", 1),
    ],
)
def test_streams_that_take_nothing_end_without_a_traceback(shell, line, code):
    done = shell(line)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert ("No space left" in done.stderr) == ("full" in line)


def test_reader_that_goes_away_ends_the_command_quietly(shell):
    done = shell("set -o pipefail; PARETONAS show s --json | true")
    assert done.stderr == ""


def test_any_encoding_takes_any_text(shell):
    done = shell("PARETONAS show 猫", PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "\\u732b" in done.stderr


def test_flushing_what_is_closed_is_told_once(monkeypatch):
    with open("/dev/full", "w") as full:
        full.write("a")
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(OSError, match="No space"):
            flush_streams()
        flush_streams()
