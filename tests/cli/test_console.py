"""Text is text, JSON is alone on standard output."""

import json
import os
import subprocess
import sys

import pytest
from rich.table import Table

from paretonas.cli import console

HOSTILE = "out [v2]/[bold]x[/]\n\x1b[31m:smile:\u202egnp"
SHOWN = "out [v2]/[bold]x[/]\\n\\x1b[31m:smile:\\u202egnp"


@pytest.fixture(params=["out", "err"])
def stream(request):
    return request.param


def test_text_of_users_is_neither_markup_nor_emoji_nor_control(stream, capsys):
    getattr(console, stream).print(f"Wrote {HOSTILE}.")
    assert getattr(capsys.readouterr(), stream) == f"Wrote {SHOWN}.\n"


def test_cells_and_titles_of_tables_are_text(capsys):
    console.table([HOSTILE], [[HOSTILE]], HOSTILE)
    assert capsys.readouterr().out.count(SHOWN) == 3


def test_what_is_styled_is_text(capsys):
    console.out.print(console.styled(HOSTILE, "bold"), Table("[b]"))
    out = capsys.readouterr().out
    assert SHOWN in out
    assert "[b]" in out


def test_paths_with_brackets_are_told_as_they_are(command, made, tmp_path):
    folder = tmp_path / "out [v2]"
    folder.mkdir()
    for words in (("show", "s", "--parquet"), ("front", "s", "--plot")):
        file = folder / ("t.parquet" if words[0] == "show" else "t.svg")
        said = command("--home", made, *words, file)
        assert said.code == 0, said.err
        assert "out [v2]/t." in "".join((said.out + said.err).split("\n"))
        assert file.exists()


def test_errors_of_a_trial_keep_their_lines_and_lose_their_controls(command, made):
    out = command("--home", made, "show", "s", "--trial", "1").out
    assert "\n  in \\x1b[2J[red]file[/red]\nValueError: no" in out
    assert "[b]cats[/b]" in command("--home", made, "show", "s").out


def test_a_home_with_brackets_is_named_in_errors(command, tmp_path):
    said = command("--home", tmp_path / "[red]", "show", "s")
    assert said.code == 2
    assert "[red]" in said.err


def _chatter():
    print("a library says")  # noqa: T201
    os.write(1, b"a library in C says\n")
    subprocess.run(["echo", "a process says"], check=True)


def test_standard_output_is_the_jsons_alone_at_every_level(capfd):
    with console.json_alone():
        _chatter()
        console.print_json({"a": 1})
        _chatter()
    print("afterwards")  # noqa: T201
    out, err = capfd.readouterr()
    assert out == '{"a": 1}\nafterwards\n'
    assert err.count("a library says") == err.count("a library in C says") == err.count("a process says") == 2


def test_json_of_a_command_is_alone(command, made, monkeypatch):
    read = console.print_json
    monkeypatch.setattr(console, "print_json", lambda data: (_say(), read(data)))
    said = command("--home", made, "list", "--json")
    assert [one["name"] for one in json.loads(said.out)] == ["s"]
    assert "a module says" in said.err
    assert "s " in command("--home", made, "list").out  # and is given back


def _say():
    sys.stdout.write("a module says\n")


@pytest.mark.parametrize("words", [("list",), ("show", "s"), ("front", "s"), ("report", "s"), ("resume", "s"),
                                   ("train", "s"), ("export", "s", "--trial", "0"), ("proxies", "s"),
                                   ("delete", "s", "--yes"), ("export-store", "copy.db")])  # fmt: skip
def test_a_mistyped_home_is_named_and_not_made(command, tmp_path, words):
    said = command("--home", tmp_path / "hmoe", *words)
    assert said.code == 2
    assert "hmoe has no store.db" in " ".join(said.err.split())
    assert not list(tmp_path.iterdir())


def test_a_store_is_exported_whole(command, made, tmp_path):
    assert command("--home", made, "export-store", tmp_path / "copy.db").code == 0
    assert '"s"' in command("--store", f"sqlite:///{tmp_path / 'copy.db'}", "list", "--json").out
