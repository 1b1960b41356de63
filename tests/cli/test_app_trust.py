"""What a file names is imported only with --trust; what the command line or the home has named, without."""

import json
import shutil
import sys
from types import SimpleNamespace

import pytest

from paretonas.registry import Selection
from paretonas.search.config import SearchConfig
from paretonas.search.sections import config_to_json
from paretonas.space.trust import FILE, trusted
from paretonas.store import Store

MODULE = "networks_of_a_user"
SOURCE = f"{MODULE}:net"
CODE = """
from torch import nn

def net(num_classes, in_chans):
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * in_chans, num_classes))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current one, with a module of the user's and files that name it."""
    (tmp_path / f"{MODULE}.py").write_text(CODE)
    (tmp_path / "spec.json").write_text(json.dumps({"kind": "foreign", "source": SOURCE}))
    settings = f'name = "cats"\nbaselines = true\nmodels = ["{SOURCE}"]\n[task]\ndata = "digits"\n'
    (tmp_path / "cats.toml").write_text(settings)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop(MODULE, None)


@pytest.fixture
def begun(monkeypatch):
    """Searches that would have run: their configurations, and what was trusted then."""
    found = []

    def begin(config, *_):
        found.append((config.models, trusted()))
        return SimpleNamespace(config=config)

    monkeypatch.setattr("paretonas.search.search.new_search", begin)
    monkeypatch.setattr("paretonas.search.search.open_search", lambda *_, change: begin(change))
    monkeypatch.setattr("paretonas.cli.searching.run_search", lambda *_: None)
    return found


def forget(monkeypatch):
    """As in another process."""
    monkeypatch.setenv("PARETONAS_TRUSTED", "{}")


def test_spec_of_a_file_is_built_with_trust_alone(command, folder):
    refused = command("describe", "spec.json", "--resolution", "8")
    assert refused.code == 2
    assert f"nobody here has named '{SOURCE}'" in " ".join(refused.err.split())
    assert MODULE not in sys.modules
    assert command("describe", "spec.json", "--resolution", "8", "--trust").code == 0
    assert not (folder / "paretonas-runs").exists()


@pytest.mark.parametrize("written", [SOURCE, f"{MODULE}.py:net", f"../{{}}/{MODULE}.py:net"])
def test_model_of_the_command_line_is_trusted_and_recorded(command, folder, begun, written, monkeypatch):
    words = ("search", "cats", "--data", "digits", "--baselines", "--model", written.format(folder.name))
    assert command(*words).code == 0
    assert begun == [((SOURCE,), {SOURCE: str(folder)})]
    assert json.loads((folder / "paretonas-runs" / FILE).read_text())["sources"] == {SOURCE: str(folder)}
    forget(monkeypatch)
    monkeypatch.chdir("/")
    assert command("--home", folder / "paretonas-runs", "describe", folder / "spec.json", "--resolution", "8").code == 0


def test_models_of_the_command_lines_space_are_trusted(command, folder, begun):
    words = ("--config", "cats.toml", "--space", f"zoo:also={SOURCE}+json:loads")
    assert command("search", *words).code == 0
    assert begun == [((SOURCE,), {SOURCE: str(folder), "json:loads": ""})]


def test_models_of_a_configuration_file_are_not(command, folder, begun):
    assert command("search", "--config", "cats.toml").code == 0
    assert begun == [((SOURCE,), {})]
    assert not (folder / "paretonas-runs").exists()


def test_models_of_a_configuration_file_are_with_trust_and_recorded(command, folder, begun):
    assert command("search", "--config", "cats.toml", "--trust").code == 0
    assert begun[0][1] == {"*": str(folder), SOURCE: str(folder)}
    assert json.loads((folder / "paretonas-runs" / FILE).read_text())["sources"] == {SOURCE: str(folder)}


def test_home_that_was_brought_in_is_trusted_once_that_is_said(command, folder, begun, monkeypatch):
    task = Selection("classification", {"data": "digits"})
    store = Store(folder / "own" / "store.db")
    store.create_search("cats", config_to_json(SearchConfig("cats", task=task, baselines=True, models=(SOURCE,))))
    store.close()

    def trusted_in(home, *words, at="/"):
        forget(monkeypatch)
        monkeypatch.chdir(at)
        assert command("--home", folder / home, *words).code == 0
        return begun[-1][1]

    named = {SOURCE: str(folder)}
    assert trusted_in("own", "search", "dogs", "--data", "digits", "--baselines", "--model", SOURCE, at=folder) == named
    assert trusted_in("own", "resume", "cats") == named
    shutil.copytree(folder / "own", folder / "brought")
    assert trusted_in("brought", "resume", "cats") == {}
    assert trusted_in("brought", "resume", "cats", "--trust", at=folder) == {"*": str(folder), **named}
    assert trusted_in("brought", "resume", "cats") == named
