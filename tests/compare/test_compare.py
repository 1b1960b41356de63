"""The command that compares strategies on a table."""

import json
import sys

import pytest

from paretonas import cli


@pytest.fixture
def command(monkeypatch, capsys):
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["paretonas", "compare", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        return end.value.code or 0, captured.out, captured.err

    return run


def test_command_prints_a_table_and_draws_a_figure(file, command, tmp_path):
    code, out, err = command(
        "--table", file, "--metric", "valid", "--judge", "test", "--latency", "ms", "--trials", "12", "--seeds", "2",
        "--strategies", "random,nsga2:population=4,crossover=0.5", "--plot", tmp_path / "found.svg",
        "--executor", "serial",
    )  # fmt: skip
    assert code == 0, err
    assert "nsga2:population=4,crossover=0.5" in out
    assert "Share of the front's hypervolume" in out
    assert "nsga2" in (tmp_path / "found.svg").read_text()


def test_command_says_what_is_within_a_limit_and_which_runs_were_short(file, command):
    code, out, err = command(
        "--table", file, "--metric", "valid", "--latency", "ms", "--limit-ms", "3", "--trials", "12", "--seeds", "2",
        "--strategies", "random,enumeration", "--executor", "serial",
    )  # fmt: skip
    assert code == 0, err
    told = " ".join(out.split())
    assert "Within 3 ms, as 37 % of the table is" in told
    assert "enumeration: of 12 evaluations a run made 10 before it ended" in told
    assert "random: of 12" not in told


def test_command_prints_json_from_workers(file, command):
    code, out, _ = command("--table", file, "--metric", "valid", "--trials", "5", "--seeds", "2", "--json")
    assert code == 0
    found = json.loads(out)
    assert set(found["strategies"]) == {"random", "regularized-evolution", "surrogate"}
    assert found["target_ms"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--strategies", "batch=3,random"], "behind its strategy"),
        (["--plot", "figure.gif"], "written as .png"),
        (["--metric", "absent"], "has the columns"),
        (["--decisions", "absent"], "not 'absent'"),
        (["--latency", "ms", "--reward", "kind"], "No reward is called 'kind'"),
        (["--target-ms", "3"], "are about latency"),
    ],
)
def test_command_refuses_what_cannot_be(file, command, words, message):
    code, _, err = command("--table", file, "--metric", "valid", "--executor", "serial", *words)
    assert code == 2
    assert message in " ".join(err.split())
