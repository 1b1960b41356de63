import errno
import json
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass, fields, is_dataclass
from importlib.metadata import entry_points
from typing import Literal

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paretonas.device import runtimes
from paretonas.device.device import transports
from paretonas.errors import UnknownNameError, UsageError
from paretonas.executor import executors
from paretonas.export import formats
from paretonas.loop.gates import schedulers, screens
from paretonas.objective import rewards
from paretonas.registry import Registry, Selection, blamed, describe_options
from paretonas.space import spaces
from paretonas.strategy import strategies
from paretonas.task import recipes, tasks
from paretonas.training import samplings
from paretonas.zoo import zoo

REGISTRIES = (
    executors, formats, recipes, rewards, runtimes, samplings, schedulers, screens, spaces, strategies, tasks,
    transports, zoo,
)  # fmt: skip
"""Those whose plugins users choose, with options."""


ADDRESSES = {"ssh": "me@board", "agent": "https://board:8765", "adb": "PHONE1"}


def needed(registry, name):
    """What a plugin is to be told at least."""
    more = {"data": "/data/cats and dogs, new"} if registry is tasks else {}
    if registry is transports and name in ADDRESSES:
        more = {"address": ADDRESSES[name]}
    return {"name": name, **more}


PLUGINS = [(registry, name) for registry in REGISTRIES for name in registry]
examples = settings(
    max_examples=60,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@dataclass(frozen=True)
class Options:
    """Options of all kinds.

    And more about them.
    """

    count: int = 3
    rate: float = 0.5
    text: str = "plain"
    is_on: bool = False
    limit: int | None = None
    share: float | None = 0.25
    sizes: tuple[int, ...] = (1, 2)
    places: tuple[str, ...] = ()
    way: Literal["there", "back"] = "there"

    def __post_init__(self):
        if self.count < 0:
            raise UsageError(f"`count >= 0` must hold, but got (count={self.count}).")


@dataclass(frozen=True)
class Required:
    size: int


class Bare:
    """No options."""


PRESET = Options(count=7, text="preset")


@dataclass(frozen=True)
class Few:
    count: int = 0

    def __post_init__(self):
        if self.count > 2:
            raise ValueError("too many")


FILLED = Few()


@pytest.fixture
def registry():
    module = sys.modules[__name__]
    sys.modules["plugins_of_a_test"] = module
    yield Registry(
        "toy",
        {
            "options": "plugins_of_a_test:Options",
            "preset": "plugins_of_a_test:PRESET",
            "bare": "plugins_of_a_test:Bare",
            "required": "plugins_of_a_test:Required",
            "absent": "a_module_that_nobody_has:Thing",
        },
    )
    del sys.modules["plugins_of_a_test"]


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("options", {}),
        ("options:", {}),
        (" options : count=5 ", {"count": 5}),
        ("options:count=-0", {"count": 0}),
        ("options:rate=1e-3", {"rate": 0.001}),
        ("options:rate=2", {"rate": 2.0}),
        ("options:text=a=b", {"text": "a=b"}),
        ("options:text=", {"text": ""}),
        ("options:text=x:y@z", {"text": "x:y@z"}),
        ("options:is-on=true", {"is_on": True}),
        ("options:is_on=YES", {"is_on": True}),
        ("options:is_on=1,count=1", {"is_on": True, "count": 1}),
        ("options:is_on=no", {"is_on": False}),
        ("options:limit=4", {"limit": 4}),
        ("options:limit=none", {"limit": None}),
        ("options:share=None,", {"share": None}),
        ("options: count = 4 , , rate = 0.75 ,", {"count": 4, "rate": 0.75}),
        ("options:places=a", {"places": ("a",)}),
        ("options:places=/data/a+b.parquet", {"places": ("/data/a", "b.parquet")}),
        ("options:places=", {"places": ()}),
        ("options:way=back", {"way": "back"}),
    ],
)
def test_create_reads_options(registry, text, changes):
    created = registry.create(text)
    assert created == Options(**changes)
    for name, value in changes.items():
        assert type(getattr(created, name)) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("options:count", "toy 'options' takes options as name=value; got 'count'"),
        ("options:size=3", "got 'size'. Options: count=3, rate=0.5, text=plain, is_on=false, limit=None"),
        ("options:=3", "got ''"),
        ("options:count=1.5", "option 'count' of toy 'options' is of type int, but got '1.5'"),
        ("options:count=", "is of type int, but got ''"),
        ("options:count=none", "is of type int, but got 'none'"),
        ("options:rate=fast", "option 'rate' of toy 'options' is of type float, but got 'fast'"),
        ("options:is_on=maybe", "option 'is_on' of toy 'options' is true or false, but got 'maybe'"),
        ("options:limit=few", "option 'limit' of toy 'options' is of type int, but got 'few'"),
        ("options:sizes=1", "option 'sizes' of toy 'options' cannot be written on one line"),
        ("options:count=-1", "`count >= 0` must hold, but got (count=-1)"),
        ("bare:count=1", "toy 'bare' takes options as name=value; got 'count'. Options: none"),
        ("required", "size"),
    ],
)
def test_create_refuses_what_is_no_option(registry, text, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        registry.create(text)


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({}, {}),
        ({"count": 5, "is-on": True}, {"count": 5, "is_on": True}),
        ({"rate": 2}, {"rate": 2.0}),
        ({"limit": None, "share": "none"}, {"limit": None, "share": None}),
        ({"limit": 4, "share": 1}, {"limit": 4, "share": 1.0}),
        ({"text": "a,b=c+d:e@f/g"}, {"text": "a,b=c+d:e@f/g"}),
        ({"text": "none"}, {"text": "none"}),
        ({"places": ["a+b", "c,d"]}, {"places": ("a+b", "c,d")}),
        ({"places": ("x",)}, {"places": ("x",)}),
    ],
)
def test_create_reads_sections_of_files_and_selections(registry, options, changes):
    for data in ({"name": "options", **options}, Selection("options", options)):
        created = registry.create(data)
        assert created == Options(**changes)
        for name, value in changes.items():
            assert type(getattr(created, name)) is type(value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": "5"}, "option 'count' of toy 'options' is of type int, but got '5'"),
        ({"count": 5.0}, "is of type int, but got 5.0"),
        ({"count": True}, "is of type int, but got True"),
        ({"count": None}, "is of type int, but got None"),
        ({"rate": "fast"}, "is of type float, but got 'fast'"),
        ({"rate": False}, "is of type float, but got False"),
        ({"rate": 10**400}, "is of type float, but got 1000"),
        ({"text": 3}, "is of type str, but got 3"),
        ({"is_on": "true"}, "is of type bool, but got 'true'"),
        ({"places": "a"}, "option 'places' of toy 'options' is a list of strings, but got 'a'"),
        ({"places": [1]}, "is a list of strings, but got [1]"),
        ({"sizes": [1]}, "option 'sizes' of toy 'options' cannot be written on one line"),
        ({"size": 3}, "toy 'options' takes options as name=value; got 'size'. Options: count=3"),
        ({"count": -1}, "`count >= 0` must hold, but got (count=-1)"),
    ],
)
def test_create_refuses_what_is_no_option_in_sections_and_selections(registry, options, message):
    for data in ({"name": "options", **options}, Selection("options", options)):
        with pytest.raises(UsageError, match=re.escape(message)):
            registry.create(data)


@pytest.mark.parametrize("data", [None, 3, [], ["options"], {}, {"count": 3}, {"name": 7}, {"name": None}])
def test_what_names_no_plugin_is_refused(registry, data):
    with pytest.raises(UsageError, match="A toy is written name:option=value or has a `name`, but got"):
        registry.read(data)


def test_read_keeps_what_was_given_and_nothing_else(registry):
    found = registry.read("options:rate=1,places=a+b")
    assert found == Selection("options", {"rate": 1.0, "places": ("a", "b")})
    assert registry.read(found) == found
    assert registry.read({"name": "options"}) == Selection("options")


def test_record_writes_out_every_option_that_can_be_written(registry):
    options = {"count": 5, "rate": 0.5, "text": "plain", "is_on": False, "limit": None, "share": 0.25}
    recorded = registry.record("options:count=5")
    assert recorded == Selection("options", {**options, "places": (), "way": "there"})
    assert recorded.to_json() == {"name": "options", **options, "limit": "none", "places": [], "way": "there"}
    assert registry.record("preset").options["text"] == "preset"
    assert registry.record("bare") == Selection("bare")


def test_record_of_a_plugin_is_of_its_values(registry):
    recorded = registry.record("options:count=5", Options(count=6, text="x"))
    assert (recorded.options["count"], recorded.options["text"]) == (6, "x")


@pytest.mark.parametrize("text", ["/data/cats", "a,b", "a=b", "a+b", "none:none", "C:\\cats", "a\nb", "", "häßlich"])
def test_strings_of_any_kind_survive_the_record(registry, text):
    recorded = registry.record({"name": "options", "text": text, "places": [text]})
    for read in (json.loads(json.dumps(recorded.to_json())), tomllib.loads(tomli_w.dumps(recorded.to_json()))):
        assert registry.create(read) == Options(text=text, places=(text,))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
all_options = st.builds(
    Options,
    count=st.integers(0, 2**60),
    rate=st.floats(allow_nan=False),
    text=texts,
    is_on=st.booleans(),
    limit=st.none() | st.integers(-(2**60), 2**60),
    share=st.none() | st.floats(allow_nan=False),
    places=st.lists(texts, max_size=3).map(tuple),
    way=st.sampled_from(["there", "back"]),
)


@examples
@given(options=all_options)
def test_recorded_options_are_read_back_equal(registry, options):
    recorded = registry.record("options", options)
    assert registry.create(recorded) == options
    assert registry.create(json.loads(json.dumps(recorded.to_json()))) == options
    assert registry.record(recorded) == recorded


@pytest.mark.parametrize(("registry", "name"), PLUGINS, ids=[f"{r.kind}-{name}" for r, name in PLUGINS])
def test_every_plugin_is_read_back_equal_from_its_record(registry, name):
    given = needed(registry, name)
    recorded = registry.record(given)
    for read in (json.loads(json.dumps(recorded.to_json())), tomllib.loads(tomli_w.dumps(recorded.to_json()))):
        assert registry.read(read) == recorded
        assert registry.create(read) == registry.create(given)
    assert registry.summary(name)


@examples
@given(data=st.data())
def test_plugins_with_some_changed_options_are_read_back_equal(data):
    registry, name = data.draw(st.sampled_from(PLUGINS))
    usual = registry.record(needed(registry, name)).options
    numbers = [key for key, value in usual.items() if type(value) in (int, float)]
    changed = {key: type(usual[key])(data.draw(st.integers(1, 64))) for key in numbers if data.draw(st.booleans())}
    given = {**needed(registry, name), **changed}
    try:
        created = registry.create(given)
    except UsageError:
        return  # together they break a rule
    recorded = registry.record(given)
    assert changed.items() <= recorded.options.items()
    assert registry.create(json.loads(json.dumps(recorded.to_json()))) == created


@pytest.mark.parametrize(("registry", "name"), PLUGINS, ids=[f"{r.kind}-{name}" for r, name in PLUGINS])
def test_every_option_of_a_plugin_can_be_recorded(registry, name):
    plugin = registry.create(needed(registry, name))
    written = registry.record(needed(registry, name)).options
    assert is_dataclass(plugin)
    assert set(written) == {field.name for field in fields(plugin) if field.init}


@pytest.mark.parametrize(
    ("selection", "text"),
    [
        (Selection("random"), "random"),
        (Selection("ppo", {"batch": 10, "standardize": False}), "ppo:batch=10,standardize=false"),
        (Selection("zoo", {"also": "", "networks": "a+b"}), "zoo:networks=a+b"),
        (Selection("table", {"latency": ("a", "b"), "decisions": ()}), "table:latency=a+b"),
        (Selection("data", {"resolution": None, "seed": 0}), "data:seed=0"),
    ],
)
def test_selection_is_shown_as_it_is_written(selection, text):
    assert str(selection) == text


def test_create_fills_in_defaults_that_the_plugin_knows(registry):
    defaults = {"count": 9, "rate": 0.25, "unheard_of": 1}
    assert registry.create("options:rate=0.75", defaults) == Options(count=9, rate=0.75)
    assert isinstance(registry.create("bare", defaults), Bare)
    assert registry.create("required", {"size": 2}) == Required(2)
    assert defaults == {"count": 9, "rate": 0.25, "unheard_of": 1}


def test_create_copies_a_filled_dataclass(registry):
    assert registry.create("preset") == Options(count=7, text="preset")
    assert registry.create("preset:rate=1") == Options(count=7, rate=1.0, text="preset")
    assert PRESET.rate == 0.5


def test_options_of_a_filled_dataclass_are_its_own():
    assert describe_options(PRESET)[:3] == ["count=7", "rate=0.5", "text=preset"]


def test_options_are_described_with_their_defaults():
    assert describe_options(Options)[3:6] == ["is_on=false", "limit=None", "share=0.25"]
    assert describe_options(Required) == ["size"]
    assert describe_options(Bare) == []


@pytest.mark.parametrize(
    ("name", "hint"),
    [("option", " Did you mean 'options'?"), ("Presett", " Did you mean 'preset'?"), ("zzz", ""), ("", "")],
)
@pytest.mark.parametrize("method", ["load", "create", "summary"])
def test_unknown_name_is_refused_with_the_nearest(registry, method, name, hint):
    message = f"No toy is called {name!r}.{hint} Known: absent, bare, options, preset, required."
    with pytest.raises(UnknownNameError, match=f"^{re.escape(message)}$"):
        getattr(registry, method)(name)


def test_registering_a_name_twice_is_refused(registry):
    with pytest.raises(UsageError, match="'bare' is already 'plugins_of_a_test:Bare'"):
        registry.register("bare", "somewhere:Else")
    assert registry.load("bare") is Bare


@pytest.mark.parametrize("target", ["module", "a:b:c", ""])
def test_registering_what_is_no_target_is_refused(registry, target):
    with pytest.raises(UsageError, match="registered as 'module:attribute'"):
        registry.register("new", target)
    assert "new" not in registry


def test_registry_lists_names_without_loading(registry):
    registry.register("aa", "another_module_that_nobody_has:Thing")
    assert list(registry) == ["aa", "absent", "bare", "options", "preset", "required"]
    assert "aa" in registry
    assert "bb" not in registry
    assert list(Registry("empty")) == []


def test_plugin_that_cannot_be_imported_is_one_sentence(registry, tmp_path, monkeypatch):
    (tmp_path / "plugin_that_raises.py").write_text("raise RuntimeError('no licence')")
    monkeypatch.syspath_prepend(tmp_path)
    registry.register("raises", "plugin_that_raises:Thing")
    registry.register("empty", "json:Thing")
    for name, problem in (
        ("absent", "ModuleNotFoundError: No module named 'a_module_that_nobody_has'"),
        ("raises", "RuntimeError: no licence"),
        ("empty", "AttributeError: module 'json' has no attribute 'Thing'"),
    ):
        with pytest.raises(UsageError, match=f"has the toy '{name}' as .*:Thing, but it cannot be imported: {problem}"):
            registry.create(name)


def test_plugin_that_refuses_its_options_is_one_sentence(registry):
    registry.register("few", "plugins_of_a_test:Few")
    registry.register("filled", "plugins_of_a_test:FILLED")
    for name in ("few", "filled"):
        with pytest.raises(UsageError, match=f"toy '{name}' refuses its options: ValueError: too many"):
            registry.create(f"{name}:count=3")


def test_what_the_machine_refuses_is_no_fault_of_a_plugin():
    with pytest.raises(OSError, match="No space"), blamed("A plugin fails"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_summary_is_the_first_line(registry):
    assert registry.summary("options") == "Options of all kinds."


def test_a_missing_option_is_named(registry):
    with pytest.raises(UsageError, match=re.escape("toy 'required' needs the options size.")):
        registry.create("required")


def test_our_own_entry_point_adds_the_zoo_to_the_spaces():
    ours = {entry.name: entry.value for entry in entry_points(group="paretonas.space")}
    assert ours["zoo"] == "paretonas.zoo.space:ZooSpace"
    assert spaces.load("zoo").__module__ == "paretonas.zoo.space"
    code = (
        "import sys; from paretonas.space import spaces; assert 'zoo' not in spaces._entries; assert 'zoo' in spaces;"
        "sys.exit('paretonas.zoo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_listing_strategies_does_not_import_torch():
    code = (
        "import sys; from paretonas.strategy import strategies; from paretonas.space import spaces;"
        "assert list(strategies) and list(spaces); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert "random" in strategies
