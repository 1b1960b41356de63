"""Who may import whom, what importing costs, and what is public."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import paretonas

ROOT = Path(paretonas.__file__).parent
EVERYWHERE = {"errors", "registry"}
LAYERS = {
    "errors": set(),
    "registry": set(),
    "space": set(),
    "executor": set(),
    "trial": {"space"},
    "objective": {"trial", "space"},
    "store": {"trial", "space"},
    "strategy": {"trial", "space", "objective"},
    "network": {"space"},
    "export": {"trial", "space", "network"},
    "device": {"trial", "space", "network", "export"},
    "training": {"trial", "space", "network"},
    "report": {"trial", "space", "network", "objective", "store"},
}
LAYERS["scheduler"] = {"trial", "objective"}
LAYERS["screen"] = {"scheduler", "trial"}
LAYERS["config"] = {"space", "trial", "objective"}
LAYERS["listener"] = {"trial"}
LAYERS["job"] = {"space", "network", "export", "training"}
LAYERS["evaluate"] = {"trial", "space", "network", "export", "device", "training", "objective", "job"}
LAYERS["measure"] = LAYERS["evaluate"] | {"evaluate"}
LAYERS["tune"] = {"space", "training", "executor", "device", "evaluate"}
LAYERS["task"] = {*LAYERS["tune"], "config", "network", "tune", "trial", "screen"}
LAYERS["loop"] = {"config", "trial", "space", "strategy", "objective", "store", "executor", "evaluate", "task"}
LAYERS["loop"] |= {"scheduler", "screen", "listener"}
LAYERS["compare"] = {"space", "trial", "strategy", "objective", "training", "executor"}
LAYERS["search"] = set(LAYERS) - {"measure", "compare"}
LAYERS["final"] = LAYERS["search"] | {"search"}
FREE = {"__init__", "testing", "cli", "console"}
NOBODY_IMPORTS = {"cli", "console", "testing"}
WITHOUT_TORCH = (
    "space",
    "trial",
    "objective",
    "store",
    "strategy",
    "executor",
    "report",
    "errors",
    "registry",
    "compare",
    "scheduler",
    "screen",
)
TORCH_ALLOWED = {"paretonas.strategy.controller", "paretonas.strategy.ppo", "paretonas.strategy.reinforce"}
EXPECTED_LONG = {"onnx.py", "mnasnet.py", "data.py", "process.py", "store.py"}


def _modules():
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(("paretonas", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
        yield name, path


def _layer(module):
    return module.split(".")[1] if "." in module else "__init__"


def _imports(path, top_only=False):
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(("module", "path"), list(_modules()))
def test_layer_imports_only_what_it_may(module, path):
    layer = _layer(module)
    imported = {_layer(name) for name in _imports(path) if name.startswith("paretonas.")}
    if layer in FREE:
        return
    allowed = LAYERS[layer] | EVERYWHERE | {layer}
    assert imported <= allowed, f"{module} imports {imported - allowed}"


@pytest.mark.parametrize(("module", "path"), list(_modules()))
def test_command_line_and_testing_are_imported_by_nobody(module, path):
    imported = {_layer(name) for name in _imports(path) if name.startswith("paretonas.")}
    own = {"cli", "console"} if _layer(module) == "cli" else {_layer(module)}
    assert not imported & NOBODY_IMPORTS - own


def test_light_packages_reach_no_torch():
    paths = dict(_modules())

    def reached(module, seen):
        for name in _imports(paths[module], top_only=True):
            target = name if name in paths else name.rpartition(".")[0]
            if target in paths and target not in seen:
                seen.add(target)
                reached(target, seen)
            elif name.split(".")[0] in ("torch", "timm", "torchvision"):
                seen.add("torch")
        return seen

    for module in paths:
        if _layer(module) in WITHOUT_TORCH and module not in TORCH_ALLOWED:
            assert "torch" not in reached(module, set()), module


@pytest.mark.parametrize(
    "command", ["import paretonas", "import paretonas.cli", "from paretonas import SearchSpace, Store"]
)
def test_importing_does_not_import_torch(command):
    code = f"{command}; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_public_names_are_these_and_load():
    assert paretonas.__all__ == sorted(paretonas.__all__)
    assert len(paretonas.__all__) <= 20
    assert set(paretonas.__all__) == set(paretonas._HOMES)
    for name in paretonas.__all__:
        assert getattr(paretonas, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        paretonas.nonsense  # noqa: B018


def test_modules_are_short_or_have_a_reason():
    long = {path.name for _, path in _modules() if len(path.read_text().splitlines()) > 300}
    assert long <= EXPECTED_LONG


def test_functions_are_short():
    for module, path in _modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and not module.startswith("paretonas.cli"):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                length = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
                assert length <= 45, f"{module}.{node.name} has {length} lines"


def test_functions_name_their_arguments():
    takes_any = {
        f"{module}.{node.name}"
        for module, path in _modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.args.kwarg
    }
    assert takes_any == {"paretonas.export.onnx.add"}  # attributes of an ONNX node
