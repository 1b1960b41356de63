"""Who may import whom, what importing costs, what is public, and how long things are."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import paretonas
from paretonas.device import device, profile
from paretonas.executor import executors
from paretonas.export import formats, quantizers
from paretonas.loop import gates
from paretonas.network import builders
from paretonas.network.backbone import backbones
from paretonas.objective import metrics, rewards
from paretonas.space import spaces
from paretonas.space.spec import spec_kinds
from paretonas.strategy import strategies
from paretonas.task import recipes, tasks
from paretonas.training import resources, samplings
from paretonas.zoo import zoo

ROOT = Path(paretonas.__file__).parent
REPOSITORY = ROOT.parent
EVERYWHERE = {"errors", "registry", "files", "quiet"}
LAYERS: dict[str, set[str]] = {
    "errors": set(),
    "registry": set(),
    "files": set(),
    "quiet": set(),
    "space": set(),
    "executor": set(),
    "data": set(),
    "zoo": {"space"},
    "network": {"space"},
    "trial": {"space"},
    "latency": {"space"},
    "objective": {"trial", "latency", "space"},
    "store": {"trial", "latency", "space"},
    "export": {"network", "space"},
    "device": {"export", "network", "zoo", "space", "latency"},
    "task": {"data", "network", "zoo", "space"},
    "training": {"task", "data", "network", "space"},
    "strategy": {"objective", "trial", "space"},
    "report": {"store", "objective", "network", "zoo", "space", "trial", "latency"},
}
LAYERS["evaluation"] = {
    "training", "task", "device", "export", "network", "zoo", "space", "objective", "trial", "latency",
}  # fmt: skip
LAYERS["loop"] = {"evaluation", "strategy", "objective", "store", "executor", "trial", "latency", "space"}
LAYERS["compare"] = LAYERS["loop"] | {"loop"}
LAYERS["search"] = set(LAYERS) - {"compare", "report"}
FREE = {"__init__", "testing", "cli"}
NOBODY_IMPORTS = {"cli", "testing"}
LIGHT_EVALUATION = {"paretonas.evaluation.evaluator", "paretonas.evaluation.keys", "paretonas.evaluation.table"}
"""What the loop and comparisons may import of the evaluation: what needs no torch."""

WITHOUT_TORCH = {
    "space", "data", "trial", "latency", "objective", "store", "executor", "loop", "report", "compare", "strategy",
    "errors", "registry", "files", "quiet",
}  # fmt: skip
TORCH_ALLOWED = {
    "paretonas.strategy.controller", "paretonas.strategy.ppo", "paretonas.strategy.reinforce",
    "paretonas.strategy.surrogates.sequence", "paretonas.data.augment", "paretonas.data.box_augment",
    "paretonas.data.stream",
}  # fmt: skip
ONE_PLACE = {
    "filelock": {"device/lock.py", "store/file_lock.py"},
    "tomli_w": {"report/table.py"},
    "ray": {"executor/ray/library.py"},
}
"""Packages that few files may import."""
OF_ONE_SYSTEM = {"fcntl", "resource", "pwd", "grp", "termios"}

EXPECTED_LONG = {"executor/process.py", "space/mnasnet.py"}
LONGEST, LONGEST_FUNCTION, MOST_PARAMETERS = 300, 45, 6
TAKES_ANYTHING = {"paretonas.export.onnx.graph.add"}  # attributes of an ONNX node

REGISTRIES = {
    "space": [spaces, spec_kinds],
    "executor": [executors],
    "zoo": [zoo],
    "network": [builders, backbones],
    "objective": [metrics, rewards],
    "export": [formats, quantizers],
    "device": [device.runtimes, device.transports, profile.profilers],
    "task": [tasks, recipes],
    "training": [resources, samplings],
    "strategy": [strategies],
    "loop": [gates.schedulers, gates.screens],
}
PLUGINS = {
    "Spec", "MnasNetSpec", "ForeignSpec", "Cell201Spec", "MacroSpec", "Task", "Classification", "Reward", "Strategy",
    "StrategyOptions", "Runtime", "Transport", "Format", "SearchSpace", "Gate", "OnnxRuntime", "TorchRuntime",
}  # fmt: skip

MEASURES_ACCURACY = {"objective/metric.py", "objective/reward.py", "objective/goals.py", "task/classification.py"}
MEASURES_ACCURACY |= {"task/confusion.py"}
MEASURES_ACCURACY |= {"evaluation/table.py"}
MEASURES_ACCURACY |= {"report/aims.py", "report/cautions.py"}  # of old records; what has a binomial's noise

OF_SEVERAL_MODULES = {
    "parse": "device strings",
    "kill_and_resume": "the command line under kills",
    "cli": "the command line as a whole",
    "report": "figures and tables as one",
    "timm_equality": "our networks beside timm's",
    "zoo_golden": "published counts",
    "zoo_space": "the zoo as a space",
    "damaged_store": "rows that do not check",
    "durability": "what a kill leaves",
    "table_search": "a search of a table from end to end",
    "given_weights": "a search from weights, from end to end",
    "detector_spec": "detectors and their necks as data, beside their networks",
    "two_devices": "a search with two devices from end to end",
    "wrapper": "a task around a task",
    "mnasnet_space": "the space, beside its spec",
    "compare": "contests and scores as one",
    "runtimes": "local and transports' runtimes as one",
    "lanes": "runs in several lanes",
    "resume": "runs that go on",
    "network": "what a package offers as one",
    "pages": "pages of made-up searches",
    "confusion_drawn": "confusion matrices as the report shows them",
    "search_space": "decisions and spaces",
    "supernet_evaluator": "scores by a supernet, and the jobs behind them",
    "hold": "what a store keeps others from",
    "server_store": "the command line with the store of a server",
    "proposals": "what every strategy hands out",
}
"""Tests whose name is no module's, and what they are about."""


def _modules():
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(("paretonas", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
        yield name, path


MODULES = dict(_modules())
each_module = pytest.mark.parametrize("module", list(MODULES))


def _layer(module):
    layer = module.split(".")[1] if "." in module else "__init__"
    return "cli" if layer == "__main__" else layer


def _where(path):
    return path.relative_to(ROOT).as_posix()


@cache
def _walked(path):
    """The tree of a file, and all of its nodes."""
    tree = ast.parse(path.read_text())
    return tree, list(ast.walk(tree))


@cache
def _imports(path, top_only=False):
    """Names of modules that a file imports; of the top alone without what is for type checkers only."""
    tree, nodes = _walked(path)
    names = []
    for node in tree.body if top_only else nodes:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def _for_real(path):
    """Modules that a file imports, or from which it imports a name, whenever; not those for type checkers only."""
    typed = [n for n in _walked(path)[1] if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    skipped = {id(inner) for node in typed for inner in ast.walk(node)}
    names = set()
    for node in _walked(path)[1]:
        if isinstance(node, ast.ImportFrom) and node.module and id(node) not in skipped:
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            names |= {name if name in MODULES else node.module for name in whole}
    return names


def _nodes(kind):
    for module, path in MODULES.items():
        for node in _walked(path)[1]:
            if isinstance(node, kind):
                yield module, path, node


# Who may import whom


@each_module
def test_layer_imports_only_what_it_may(module):
    layer = _layer(module)
    if layer in FREE:
        return
    imported = {_layer(name) for name in _imports(MODULES[module]) if name.startswith("paretonas.")}
    allowed = LAYERS[layer] | EVERYWHERE | {layer}
    assert imported <= allowed, f"{module} imports {imported - allowed}"


@each_module
def test_command_line_and_testing_are_imported_by_nobody(module):
    imported = {_layer(name) for name in _imports(MODULES[module]) if name.startswith("paretonas.")}
    assert not imported & NOBODY_IMPORTS - {_layer(module)}


@each_module
def test_loop_and_compare_see_the_light_evaluation_alone(module):
    if _layer(module) in ("loop", "compare"):
        used = {n for n in _imports(MODULES[module]) if n.startswith("paretonas.evaluation.") and n in MODULES}
        assert used <= LIGHT_EVALUATION


@pytest.mark.parametrize("layer", list(REGISTRIES))
def test_registry_names_modules_that_its_layer_may_import(layer):
    """A string imports too. What our own packages add to a lower one comes by entry points, as a stranger's would."""
    for registry in REGISTRIES[layer]:
        added = {entry.name for entry in entry_points(group=f"paretonas.{registry.kind.replace(' ', '_')}")}
        for name in set(registry) - added:
            target = registry._entries[name].partition(":")[0]
            assert _layer(target) in {layer} | LAYERS[layer], f"{registry.kind} {name}: {target}"


def test_every_registry_is_looked_at():
    made = [module for module, _, call in _nodes(ast.Call) if ast.unparse(call.func) == "Registry"]
    assert len(made) == sum(map(len, REGISTRIES.values())), made


def test_no_module_imports_itself_over_others():
    """What only type checkers read is no import."""
    ours = {module: _for_real(path) & MODULES.keys() - {module} for module, path in MODULES.items()}
    try:
        TopologicalSorter(ours).prepare()
    except CycleError as error:
        pytest.fail(f"A circle: {' imports '.join(reversed(error.args[1]))}")


# What importing costs


def test_light_packages_reach_no_torch():
    def reached(module, seen):
        for name in _imports(MODULES[module], top_only=True):
            target = name if name in MODULES else name.rpartition(".")[0]
            if target in MODULES and target not in seen:
                seen.add(target)
                reached(target, seen)
            elif name.split(".")[0] in ("torch", "timm", "torchvision"):
                seen.add("torch")
        return seen

    for module in MODULES:
        is_light = _layer(module) in WITHOUT_TORCH or module in LIGHT_EVALUATION
        if is_light and module not in TORCH_ALLOWED:
            assert "torch" not in reached(module, set()), module


@pytest.mark.parametrize(
    "command", ["import paretonas", "import paretonas.cli", "from paretonas import SearchSpace, Store"]
)
def test_importing_does_not_import_torch(command):
    code = f"{command}; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@each_module
def test_nothing_at_import_time_is_of_one_system_only(module):
    assert not OF_ONE_SYSTEM & {name.split(".")[0] for name in _imports(MODULES[module], top_only=True)}


@pytest.mark.parametrize("package", list(ONE_PLACE))
def test_package_is_imported_where_it_belongs(package):
    users = {_where(p) for p in MODULES.values() if package in {name.split(".")[0] for name in _imports(p)}}
    assert users <= ONE_PLACE[package]


# What is public


def test_public_names_are_these_and_load():
    assert paretonas.__all__ == sorted(paretonas.__all__)
    assert len(paretonas.__all__) <= 20
    assert set(paretonas.__all__) == set(paretonas._HOMES)
    for name in paretonas.__all__:
        assert getattr(paretonas, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        paretonas.nonsense  # noqa: B018


# How long things are


def test_modules_are_short_or_have_a_reason():
    long = {_where(path) for path in MODULES.values() if len(path.read_text().splitlines()) > LONGEST}
    assert long == EXPECTED_LONG


def test_functions_are_short():
    for module, _, node in _nodes(ast.FunctionDef):
        if not module.startswith("paretonas.cli"):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
            assert length <= LONGEST_FUNCTION, f"{module}.{node.name} has {length} lines"


def test_functions_have_six_parameters_at_most():
    for module, _, node in _nodes(ast.FunctionDef):
        if not module.startswith("paretonas.cli"):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            count = sum(argument.arg not in ("self", "cls") for argument in arguments)
            assert count <= MOST_PARAMETERS, f"{module}.{node.name} has {count} parameters"


def test_functions_name_their_arguments():
    assert {f"{module}.{node.name}" for module, _, node in _nodes(ast.FunctionDef) if node.args.kwarg} == TAKES_ANYTHING


# What knows what


def test_no_plugin_is_told_apart_by_its_type():
    """Specs, tasks, strategies, rewards and devices are asked, not looked through."""
    for module, _, call in _nodes(ast.Call):
        if ast.unparse(call.func) == "isinstance" and not module.startswith("paretonas.testing"):
            names = {node.id for node in ast.walk(call.args[1]) if isinstance(node, ast.Name)}
            assert not names & PLUGINS, f"{module} line {call.lineno}"


def test_no_module_knows_accuracy_but_those_that_measure_it():
    """The quality of a search is its task's: whoever else writes the word would be wrong for another task."""
    words = ("accuracy", "test_accuracy", "exported_accuracy")
    users = {_where(path) for _, path, node in _nodes(ast.Constant) if node.value in words}
    users = {user for user in users if not user.startswith("testing/")}  # toys
    assert users <= MEASURES_ACCURACY


def test_tests_mirror_modules():
    """A folder of tests has the name of a package, and a test in it that of a module, or says more of one."""
    for path in sorted((REPOSITORY / "tests").rglob("test_*.py")):
        folder, about = path.parent.relative_to(REPOSITORY / "tests"), path.stem.removeprefix("test_")
        if str(folder) in (".", "contracts", "plugin_package"):
            continue
        assert (ROOT / folder).is_dir(), path
        modules = {file.stem for file in (ROOT / folder).rglob("*")} - {"__init__"}
        is_named = any(about == name or about.startswith(f"{name}_") for name in modules)
        assert is_named or about in OF_SEVERAL_MODULES, path
