"""The documents say what there is, and what they say is so."""

import ast
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
import typer

import paretonas.errors
from paretonas import Store, config_from_json, parse_device, zoo_spec
from paretonas.cli.commands import app
from paretonas.cli.comparing import split_strategies
from paretonas.device import runtimes, transports
from paretonas.executor import executors
from paretonas.export import formats
from paretonas.loop.gates import schedulers, screens
from paretonas.network import builders
from paretonas.objective import metric, metrics, rewards
from paretonas.search.search import Search
from paretonas.space import spaces
from paretonas.space.spec import spec_kinds
from paretonas.strategy import strategies
from paretonas.task import recipes, tasks
from paretonas.training import samplings
from paretonas.zoo import zoo

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
GUIDE = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/guide/*.md"))]
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
ALL_TEXT = "\n".join(TEXTS.values())
METRICS, STRATEGIES, STORE, TASKS = (
    ROOT / "docs/guide" / f"{name}.md"
    for name in ("metrics-and-rewards", "spaces-and-strategies", "store-and-resume", "tasks-of-your-own")
)

COMMANDS = typer.main.get_command(app)
CHOSEN = (
    spaces, strategies, runtimes, transports, executors, recipes, tasks, rewards, formats, zoo, schedulers, screens,
    samplings,
)  # fmt: skip
"""Registries of what users choose by name, with options after it."""
REGISTRIES = (*CHOSEN, metrics, spec_kinds, builders)
ERRORS = [
    name
    for name, value in vars(paretonas.errors).items()
    if isinstance(value, type) and issubclass(value, paretonas.errors.ParetonasError)
]

FOLLOWING = (strategies, zoo, spaces, spec_kinds, builders, rewards, schedulers, screens)
"""Registries of what papers describe: the modules of their entries say which."""
FOLLOW_TOO = {"network/layers.py": "what published networks share", "training/zerocost.py": "gives the screens"}
FOLLOW_NONE = {
    "strategy/strategy.py": "the contract of strategies",
    "space/spec.py": "what all specs share",
    "zoo/space.py": "a list of the zoo",
    "network/foreign.py": "networks that others describe",
}
WITHOUT_SOURCE = {
    "Reward": "the contract of rewards",
    "batch_norm": "the module says whose settings",
    "conv_bn": "two layers of PyTorch's",
    "skip_connection": "chooses between two of ours",
    "ConvLayer": "a plain convolution",
}
SOURCE = re.compile(r"\bSource(?:\s+of\s[^:.]+)?:")

BLOCK = re.compile(r"^(?P<mark><!-- compiled only -->\n)?```(?P<language>\w+)\n(?P<code>.*?)^```$", re.M | re.S)
MACHINE_PATH = re.compile(r"(?<![\w.~])/(?:work|home|root|tmp|Users|mnt|opt|srv|data)/")


def short(page):
    return page.relative_to(ROOT).as_posix()


def blocks(page, language):
    return [found for found in BLOCK.finditer(TEXTS[page]) if found["language"] == language]


def table_rows(page, head):
    """The cells of the rows of the table whose head begins so."""
    _, found, after = TEXTS[page].partition(f"\n| {head} |")
    assert found, f"{short(page)} has no table with the head {head!r}"
    lines = after.split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def in_backticks(text):
    return re.findall(r"`([^`]+)`", text)


def options_of(command):
    found = [opt for param in command.params for opt in (*param.opts, *param.secondary_opts) if opt.startswith("--")]
    return [option for option in found if option != "--help"]


def ours(registry):
    """Names of our own plugins; other packages document theirs."""
    return [name for name in registry if registry._entries[name].startswith("paretonas.")]


# What there is, is documented


@pytest.mark.parametrize("name", list(COMMANDS.commands))
def test_command_and_its_options_are_documented(name):
    pages = [text for text in TEXTS.values() if re.search(rf"\bparetonas (?:--\S+ \S+ )*{name}\b", text)]
    assert pages, f"no page shows `paretonas {name}`"
    for option in options_of(COMMANDS.commands[name]):
        assert any(re.search(rf"{option}\b", text) for text in pages), f"no page with {name} has {option}"


@pytest.mark.parametrize("option", options_of(COMMANDS))
def test_option_of_all_commands_is_documented(option):
    assert re.search(rf"`{option}\b", ALL_TEXT)


@pytest.mark.parametrize(
    ("registry", "name"),
    [pytest.param(registry, name, id=f"{registry.kind}-{name}") for registry in CHOSEN for name in ours(registry)],
)
def test_plugin_and_its_options_are_documented(registry, name):
    pages = [text for page, text in TEXTS.items() if page.parent.name == "guide" and f"`{name}`" in text]
    assert pages, f"no page of the guide names the {registry.kind} `{name}`"
    plugin = registry.load(name)
    for option in fields(plugin) if is_dataclass(plugin) else ():
        pattern = re.compile(rf"`{option.name}[`=]")
        assert any(pattern.search(text) for text in pages), f"no page with `{name}` has its option {option.name}"


def test_metrics_are_documented_as_they_are_declared():
    told = {in_backticks(row[0])[0]: tuple(row[1:4]) for row in table_rows(METRICS, "metric")}
    declared = [metric(name) for name in ours(metrics)]
    assert told == {one.name: (one.unit, "rises" if one.is_rising else "falls", one.known) for one in declared}


def test_strategies_are_documented_with_what_they_pursue_and_learn_from():
    told = {name: row[1:] for row in table_rows(STRATEGIES, "strategy") for name in in_backticks(row[0])}
    assert sorted(told) == ours(strategies)
    for name, (pursued, learns) in told.items():
        options = strategies.load(name)
        assert ("--goals" in pursued) == (options.pursues != "reward")
        assert pursued.startswith("the front") == (options.pursues == "front")
        assert learns == ("yes" if options.learns_from_prior else "no")


@pytest.mark.parametrize("name", ERRORS)
def test_error_is_documented(name):
    assert f"`{name}`" in TEXTS[ROOT / "docs/guide/errors.md"]


def test_changelog_has_the_version_of_the_package():
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    assert f"## [{version[1]}]" in TEXTS[ROOT / "CHANGELOG.md"]


def test_readme_leads_to_every_page_of_the_guide():
    linked = re.findall(r"\]\((docs/guide/[\w-]+\.md)\)", TEXTS[ROOT / "README.md"])
    assert set(linked) == {short(page) for page in ROOT.glob("docs/guide/*.md")}


# What is documented, is so


RUN_ALL = """
import json, os, runpy, sys, traceback
from pathlib import Path

if __name__ == "__main__":
    failed = {}
    for folder in map(Path, sys.argv[1:]):
        os.chdir(folder)
        try:
            runpy.run_path(str(folder / "page.py"), run_name="__main__")
        except BaseException:
            failed[folder.name] = traceback.format_exc()
    Path("../failed.json").write_text(json.dumps(failed), encoding="utf-8")
"""
"""Runs the page of each folder, in the folder."""


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """What became of pages that do not run, by their names: all run in one process, as most of one is its imports."""
    home, folders = tmp_path_factory.mktemp("pages"), []
    for page in GUIDE:
        code = [block["code"] for block in blocks(page, "python") if not block["mark"]]
        if code:
            folders.append(home / page.stem)
            folders[-1].mkdir()
            (folders[-1] / "page.py").write_text("\n".join(code), encoding="utf-8")
    run_python(RUN_ALL, home, *map(str, folders))
    return json.loads((home / "failed.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", GUIDE, ids=short)
def test_python_runs(page, failed):
    """The blocks of a page run one after the other; a marked one is only compiled."""
    for block in blocks(page, "python"):
        compile(block["code"], short(page), "exec")
    assert page.stem not in failed, failed[page.stem]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_search_of_the_readme_runs(tmp_path):
    (code,) = (block["code"] for block in blocks(ROOT / "README.md", "python"))
    assert run_python(code, tmp_path).count("\n") >= 1
    assert (tmp_path / "paretonas-runs/store.db").exists()


def run_python(code, folder, *words):
    script = folder / "script.py"
    script.write_text(code, encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run([sys.executable, script, *words], cwd=folder, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_only_the_readme_has_a_block_that_is_not_run():
    marked = [short(page) for page in PAGES for block in blocks(page, "python") if block["mark"]]
    assert marked == ["README.md"]


def commands_of(page):
    """The words of the calls of paretonas in blocks of bash."""
    lines = [line for block in blocks(page, "bash") for line in block["code"].replace("\\\n", " ").splitlines()]
    calls = [shlex.split(line, comments=True) for line in lines]
    return [call[1:] for call in calls if call and call[0] == "paretonas"]


def shown(pages, only=None):
    for page in pages:
        for words in commands_of(page):
            if only is None or only in words:
                yield pytest.param(words, id=f"{page.stem}: {shlex.join(words)}")


READ = {
    "device": parse_device,
    "executor": executors.create,
    "format": formats.create,
    "recipe": recipes.create,
    "reward": rewards.create,
    "space": spaces.create,
    "strategies": lambda text: [strategies.create(one) for one in split_strategies(text)],
}
"""Options whose values are plugins; those of a search are looked at as a whole."""


@pytest.mark.parametrize("words", list(shown(PAGES)))
def test_shown_command_parses(words):
    at = next((i for i, word in enumerate(words) if word in COMMANDS.commands), None)
    assert at is not None, f"no command in {words}"
    COMMANDS.make_context("paretonas", words[: at + 1])
    given = COMMANDS.commands[words[at]].make_context(words[at], words[at + 1 :]).params
    if words[at] != "search":
        for option in READ.keys() & {key for key, value in given.items() if value}:
            READ[option](given[option])
    network = given.get({"measure": "model", "zoo": "name"}.get(words[at], ""))
    if network and Path(network).suffix not in (".json", ".onnx", ".safetensors"):
        zoo_spec(network)


@pytest.fixture
def store():
    opened = Store("sqlite://")
    yield opened
    opened.close()


@pytest.fixture
def configured(tmp_path, monkeypatch):
    """Where a search of the command line ends up as its configuration, in a folder that has the file of the guide."""
    begun = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("paretonas.search.search.new_search", lambda config, *_: begun.append(config))
    monkeypatch.setattr("paretonas.cli.searching.run_search", lambda *_: None)
    monkeypatch.setattr("paretonas.cli.morphing.run_search", lambda *_: None)
    (tmp_path / "cats.toml").write_text(blocks(STORE, "toml")[0]["code"], encoding="utf-8")
    (tmp_path / "runs").mkdir()
    return begun


OTHER_GUIDE = [page for page in GUIDE if page != TASKS]  # whose plugins are not installed


@pytest.mark.parametrize("words", list(shown(OTHER_GUIDE, "search")))
def test_shown_search_can_be(words, configured, store, tmp_path):
    COMMANDS.main(words, prog_name="paretonas", standalone_mode=False)
    Search(configured[0], store, tmp_path)


def shown_files():
    return [tomllib.loads(block["code"]) for page in GUIDE for block in blocks(page, "toml")]


def test_shown_configuration_can_be(store, tmp_path):
    configurations = [data for data in shown_files() if "name" in data]
    assert configurations
    for data in configurations:
        Search(config_from_json(data), store, tmp_path)


def test_options_of_search_stand_in_the_file_where_the_guide_says():
    keys = {key for block in blocks(STORE, "toml") for key in flat(tomllib.loads(block["code"]))}
    told = table_rows(STORE, "option")
    options = {option for row in told for option in in_backticks(row[0])}
    assert options == set(options_of(COMMANDS.commands["search"])) - {"--config", "--json", "--trust"}
    assert {key for row in told for key in in_backticks(row[1]) if re.fullmatch(r"[\w.]+", key)} <= keys


def flat(data, prefix=""):
    """Keys with those of the sections that they stand in."""
    for key, value in data.items():
        sections = value if isinstance(value, list) else [value]
        if all(isinstance(section, dict) for section in sections):
            for section in sections:
                yield from flat(section, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def test_entry_points_are_of_registries():
    groups = {group for data in shown_files() for group in data.get("project", {}).get("entry-points", {})}
    groups |= set(re.findall(r'entry-points\."(paretonas\.[\w-]+)"', ALL_TEXT))
    groups |= {group for row in table_rows(ROOT / "CONTRIBUTING.md", "to add") for group in in_backticks(row[5])}
    assert groups <= {f"paretonas.{registry.kind.replace(' ', '_')}" for registry in REGISTRIES}


@pytest.mark.parametrize("row", table_rows(ROOT / "CONTRIBUTING.md", "to add"), ids=lambda row: row[0])
def test_table_for_contributors_names_what_there_is(row):
    line, has, (group,) = row[2], row[3], in_backticks(row[5])
    registry = next(one for one in REGISTRIES if f"paretonas.{one.kind.replace(' ', '_')}" == group)
    file = ROOT / "paretonas" / in_backticks(line)[0]
    assert any(f'"{registry._entries[name]}"' in file.read_text(encoding="utf-8") for name in ours(registry))
    plugins = [registry.load(name) for name in ours(registry)]
    for member in in_backticks(has):
        name = re.match(r"\w+", member)[0]
        if name[0].islower():
            assert any(hasattr(plugin, name) for plugin in plugins), f"no {registry.kind} has {name}"


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(\w+)Contract`", TEXTS[ROOT / "CONTRIBUTING.md"]))))
def test_contract_suite_is_there(name):
    assert hasattr(importlib.import_module(f"paretonas.testing.{name.lower()}"), f"{name}Contract")


def test_readme_names_targets_of_the_makefile():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    named = set(re.findall(r"^ {4}make (\w+)", ALL_TEXT, re.M))
    assert {"demo", "test"} <= named <= targets


def links():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", TEXTS[page])):
            if not re.match(r"\w+://", target):
                yield pytest.param(page, target, id=f"{short(page)}: {target}")


@pytest.mark.parametrize(("page", "target"), list(links()))
def test_link_resolves(page, target):
    path, _, anchor = target.partition("#")
    linked = (page.parent / path).resolve() if path else page
    assert linked.is_relative_to(ROOT)
    assert linked.exists()
    if anchor:
        titles = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.M)
        assert anchor in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_page_shows_no_path_of_a_machine(page):
    assert not MACHINE_PATH.search(TEXTS[page])


# Code that follows papers says which


def following():
    """All modules of strategies, and those that something published is registered from."""
    entries = [registry._entries[name].partition(":")[0] for registry in FOLLOWING for name in ours(registry)]
    found = {ROOT / f"{module.replace('.', '/')}.py" for module in entries}
    found |= {path for path in (ROOT / "paretonas/strategy").rglob("*.py") if path.name != "__init__.py"}
    found |= {ROOT / "paretonas" / name for name in FOLLOW_TOO}
    return sorted(found - {ROOT / "paretonas" / name for name in FOLLOW_NONE})


@pytest.mark.parametrize("path", following(), ids=short)
def test_public_code_names_its_source(path):
    module = ast.parse(path.read_text(encoding="utf-8"))
    if SOURCE.search(ast.get_docstring(module) or ""):
        return
    public = [
        node
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    named = {node.name for node in public if SOURCE.search(ast.get_docstring(node) or "")}
    assert named
    assert {node.name for node in public} - named <= WITHOUT_SOURCE.keys()


def test_exceptions_are_still_needed():
    for name in (*FOLLOW_TOO, *FOLLOW_NONE):
        assert (ROOT / "paretonas" / name).exists(), name
    code = "\n".join(path.read_text(encoding="utf-8") for path in following())
    for name in WITHOUT_SOURCE:
        assert re.search(rf"^(?:def|class) {name}\b", code, re.M), name
