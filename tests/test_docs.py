"""The documents say what there is, and what they say is so."""

import ast
import os
import re
import shlex
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
import typer

import paretonas.errors
from paretonas.cli import app
from paretonas.device import runtimes, transports
from paretonas.executor import executors
from paretonas.export import exporters
from paretonas.loop.halving import schedulers
from paretonas.loop.screen import screens
from paretonas.space import spaces
from paretonas.strategy import strategies
from paretonas.task import recipes

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
GUIDE = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/guide/*.md"))]
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
ALL_TEXT = "\n".join(TEXTS.values())

COMMANDS = typer.main.get_command(app)
PLUGINS = [
    pytest.param(registry, name, id=f"{registry.kind}-{name}")
    for registry in (spaces, strategies, runtimes, transports, executors, recipes, exporters, schedulers, screens)
    for name in registry
]
ERRORS = [
    name
    for name, value in vars(paretonas.errors).items()
    if isinstance(value, type) and issubclass(value, paretonas.errors.ParetonasError)
]

FOLLOW_PAPERS = [
    path
    for pattern in ("strategy/*.py", "objective/reward.py", "space/mnasnet.py", "network/layers.py")
    for path in sorted((ROOT / "paretonas").glob(pattern))
    if path.name not in ("__init__.py", "strategy.py")  # the contract of strategies follows no paper
] + [ROOT / "paretonas/network/mnasnet.py", ROOT / "paretonas/network/zoo.py"]
WITHOUT_SOURCE = {
    "Limit": "a bound",
    "Objective": "joins the reward with limits",
    "batch_norm": "the module says whose settings",
    "conv_bn": "two layers of PyTorch's",
    "skip_connection": "chooses between two of ours",
    "ConvLayer": "a plain convolution",
}

BLOCK = re.compile(r"^(?P<mark><!-- compiled only -->\n)?```(?P<language>\w+)\n(?P<code>.*?)^```$", re.M | re.S)
MACHINE_PATH = re.compile(r"(?<![\w.~])/(?:work|home|root|tmp|Users|mnt|opt|srv|data)/")


def short(page):
    return page.relative_to(ROOT).as_posix()


def blocks(page, language):
    return [found for found in BLOCK.finditer(TEXTS[page]) if found["language"] == language]


def options_of(command):
    found = [opt for param in command.params for opt in (*param.opts, *param.secondary_opts) if opt.startswith("--")]
    return [option for option in found if option != "--help"]


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


@pytest.mark.parametrize(("registry", "name"), PLUGINS)
def test_plugin_and_its_options_are_documented(registry, name):
    pages = [text for page, text in TEXTS.items() if page.parent.name == "guide" and f"`{name}`" in text]
    assert pages, f"no page of the guide names the {registry.kind} `{name}`"
    plugin = registry.load(name)
    for option in fields(plugin) if is_dataclass(plugin) else ():
        pattern = re.compile(rf"`{option.name}[`=]")
        assert any(pattern.search(text) for text in pages), f"no page with `{name}` has its option {option.name}"


@pytest.mark.parametrize("name", ERRORS)
def test_error_is_documented(name):
    assert f"`{name}`" in TEXTS[ROOT / "docs/guide/errors.md"]


def test_changelog_has_the_version_of_the_package():
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    assert f"## [{version[1]}]" in TEXTS[ROOT / "CHANGELOG.md"]


# What is documented, is so


@pytest.mark.parametrize("page", GUIDE, ids=short)
def test_python_runs(page, tmp_path):
    """The blocks of a page run one after the other in a process of their own; a marked one is only compiled."""
    code = []
    for block in blocks(page, "python"):
        compile(block["code"], short(page), "exec")
        if not block["mark"]:
            code.append(block["code"])
    if code:
        run_python("\n".join(code), tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_search_of_the_readme_runs(tmp_path):
    (code,) = (block["code"] for block in blocks(ROOT / "README.md", "python"))
    assert run_python(code, tmp_path).count("\n") >= 1
    assert (tmp_path / "paretonas-runs/store.db").exists()


def run_python(code, folder):
    script = folder / "page.py"
    script.write_text(code, encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run([sys.executable, script], cwd=folder, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_only_the_readme_has_a_block_that_is_not_run():
    marked = [short(page) for page in PAGES for block in blocks(page, "python") if block["mark"]]
    assert marked == ["README.md"]


def shown_commands():
    """Calls of paretonas in blocks of bash."""
    for page in PAGES:
        lines = [line for block in blocks(page, "bash") for line in block["code"].replace("\\\n", " ").splitlines()]
        for line in lines:
            words = shlex.split(line, comments=True)
            if words and words[0] == "paretonas":
                yield pytest.param(words[1:], id=f"{page.stem}: {shlex.join(words)}")


@pytest.mark.parametrize("words", list(shown_commands()))
def test_shown_command_parses(words):
    at = next((i for i, word in enumerate(words) if word in COMMANDS.commands), None)
    assert at is not None, f"no command in {words}"
    COMMANDS.make_context("paretonas", words[: at + 1])
    COMMANDS.commands[words[at]].make_context(words[at], words[at + 1 :])


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


@pytest.mark.parametrize("path", FOLLOW_PAPERS, ids=short)
def test_public_code_names_its_source(path):
    module = ast.parse(path.read_text(encoding="utf-8"))
    if "Source:" in (ast.get_docstring(module) or ""):
        return
    public = [
        node
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    named = {node.name for node in public if "Source:" in (ast.get_docstring(node) or "")}
    assert named
    assert {node.name for node in public} - named <= WITHOUT_SOURCE.keys()
