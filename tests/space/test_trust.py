"""What a file names is imported only where somebody here has named it too."""

import json
import os
import subprocess
import sys

import pytest

from paretonas.errors import SpecError, UsageError
from paretonas.space import ForeignSpec, spec_from_json
from paretonas.space.trust import FILE, VARIABLE, load_source, recall, remember, trust, trust_everything, trusted

MODULE = "users_own_networks"
SOURCE = f"{MODULE}:net"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current one, with a module of the user's."""
    here = tmp_path / "work"
    here.mkdir()
    (here / f"{MODULE}.py").write_text(
        "import neighbour_of_users\n\ndef net():\n    return neighbour_of_users.ANSWER\n"
    )
    (here / "neighbour_of_users.py").write_text("ANSWER = 42\n")
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield here
    for name in (MODULE, "neighbour_of_users"):
        sys.modules.pop(name, None)


def test_what_nobody_has_named_is_not_imported():
    spec = spec_from_json({"kind": "foreign", "source": "antigravity:geohash"})
    with pytest.raises(SpecError, match=r"imported only if it is trusted.* 'antigravity:geohash'.* --trust"):
        load_source(spec.source)
    assert "antigravity" not in sys.modules  # it opens a browser


def test_what_is_named_lies_in_the_current_folder_with_its_neighbours(folder):
    assert trust(SOURCE) == (SOURCE,)
    assert load_source(SOURCE)() == 42
    assert trusted() == {SOURCE: str(folder)}
    assert sys.path[0] != str(folder)  # in which a user's random.py would go before Python's
    with pytest.raises(SpecError, match="nobody here has named"):
        load_source(f"{MODULE}:other")


def test_what_is_named_may_be_installed():
    assert trust("json:loads") == ("json:loads",)
    assert trusted() == {"json:loads": ""}
    assert load_source("json:loads") is json.loads


def test_what_is_named_may_be_a_file(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert trust(f"work/{MODULE}.py:net") == (SOURCE,)
    assert trusted() == {SOURCE: str(folder)}
    assert load_source(SOURCE)() == 42


def test_models_of_timm_need_no_trust():
    assert trust("timm:resnet18") == ("timm:resnet18",)
    assert trusted() == {}


def test_everything_may_be_trusted(folder):
    trust_everything()
    assert load_source(SOURCE)() == 42
    assert load_source("json:loads") is json.loads


def test_packages_that_bring_plugins_are_trusted_and_ours_is_none_of_them(monkeypatch):
    with pytest.raises(SpecError, match="nobody here has named"):
        load_source("paretonas.cli:main")
    monkeypatch.setattr("paretonas.space.trust._plugin_packages", lambda: frozenset({"json"}))
    assert load_source("json.decoder:JSONDecoder") is json.JSONDecoder


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise RuntimeError('no weights here')", "RuntimeError: no weights here"),
        ("import sys; sys.exit('usage: train.py DATA')", "SystemExit: usage: train.py DATA"),
        ("def net(:", "SyntaxError"),
        ("import nobody_has_this", "No module named 'nobody_has_this'.* say --trust in the folder of its module"),
        ("", "has no attribute 'net'"),
    ],
)
def test_module_that_cannot_be_run_is_one_sentence(folder, text, message):
    (folder / f"{MODULE}.py").write_text(text)
    trust(SOURCE)
    with pytest.raises(SpecError, match=f"'{SOURCE}', looked for in .*work and among .*{message}"):
        load_source(SOURCE)


@pytest.mark.parametrize("source", ["no colon", ":net", "a b:net", "a/b:net", "my.py:net", ".a:net", "a..b:net", "a:"])
def test_source_has_the_form_of_a_module_and_a_name(source):
    with pytest.raises(SpecError, match="'torchvision:NAME' or 'module:factory'"):
        ForeignSpec(source)


# Homes


def test_home_remembers_what_was_named_and_where(folder, tmp_path, monkeypatch):
    home = tmp_path / "home"
    recall(home)
    trust_everything()
    remember(home)
    assert not home.exists()  # nothing was named
    trust(SOURCE)
    remember(home)
    monkeypatch.setenv(VARIABLE, "{}")
    monkeypatch.chdir(tmp_path)
    recall(home)
    assert trusted() == {SOURCE: str(folder)}
    assert load_source(SOURCE)() == 42


def test_home_that_was_brought_in_brings_no_trust(tmp_path, monkeypatch):
    own, other = tmp_path / "own", tmp_path / "other"
    trust(SOURCE)
    remember(own)
    other.mkdir()
    (other / FILE).write_bytes((own / FILE).read_bytes())
    monkeypatch.setenv(VARIABLE, "{}")
    recall(other)
    assert trusted() == {}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"home": 1}', '{"home": HERE, "sources": [1]}', "\0", "[" * 100_000])
def test_damaged_record_is_no_trust(tmp_path, text):
    (tmp_path / FILE).write_text(text.replace("HERE", str(tmp_path.stat().st_ino)))
    recall(tmp_path)
    assert trusted() == {}


def test_variable_that_is_no_record_is_an_error(monkeypatch):
    monkeypatch.setenv(VARIABLE, "my_models:net")
    with pytest.raises(UsageError, match=f"{VARIABLE} is a JSON object"):
        trusted()


def test_module_that_has_moved_is_found_where_it_is_named_again(folder, tmp_path, monkeypatch):
    trust(SOURCE, f"{MODULE}:other")
    moved = tmp_path / "moved"
    folder.rename(moved)
    with pytest.raises(SpecError, match="If it has moved, say --trust"):
        load_source(SOURCE)
    monkeypatch.chdir(moved)
    trust(SOURCE)
    assert set(trusted().values()) == {str(moved)}
    assert load_source(SOURCE)() == 42


def test_two_modules_of_a_name_are_refused(tmp_path, monkeypatch):
    trust(SOURCE)
    other = tmp_path / "other"
    other.mkdir()
    (other / f"{MODULE}.py").write_text("")
    monkeypatch.chdir(other)
    with pytest.raises(UsageError, match=rf"'{MODULE}' lies in .*work and in .*other\. Rename one"):
        trust(SOURCE)


def test_processes_that_are_started_inherit_trust(tmp_path):
    trust(SOURCE)
    code = f"from paretonas.space.trust import load_source; print(load_source({SOURCE!r})())"
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ, capture_output=True, text=True)
    assert ran.stdout == "42\n", ran.stderr
