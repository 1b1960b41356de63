import re
import subprocess
import sys
from dataclasses import dataclass

import pytest

from paretonas.errors import UnknownNameError, UsageError
from paretonas.registry import Registry, describe_options
from paretonas.strategy import strategies


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

    def __post_init__(self):
        if self.count < 0:
            raise UsageError(f"`count >= 0` must hold, but got (count={self.count}).")


@dataclass(frozen=True)
class Required:
    size: int


class Bare:
    """No options."""


PRESET = Options(count=7, text="preset")


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
        ("options:size=3", "got 'size=3'. Options: count=3, rate=0.5, text=plain, is_on=false, limit=None"),
        ("options:=3", "got '=3'"),
        ("options:count=1.5", "option 'count' of toy 'options' is of type int, but got '1.5'"),
        ("options:count=", "is of type int, but got ''"),
        ("options:count=none", "is of type int, but got 'none'"),
        ("options:rate=fast", "option 'rate' of toy 'options' is of type float, but got 'fast'"),
        ("options:is_on=maybe", "option 'is_on' of toy 'options' is true or false, but got 'maybe'"),
        ("options:limit=few", "option 'limit' of toy 'options' is of type int, but got 'few'"),
        ("options:sizes=1", "option 'sizes' of toy 'options' cannot be written on one line"),
        ("options:count=-1", "`count >= 0` must hold, but got (count=-1)"),
        ("bare:count=1", "toy 'bare' takes options as name=value; got 'count=1'. Options: none"),
        ("required", "size"),
    ],
)
def test_create_refuses_what_is_no_option(registry, text, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        registry.create(text)


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


def test_summary_is_the_first_line(registry):
    assert registry.summary("options") == "Options of all kinds."


def test_listing_strategies_does_not_import_torch():
    code = (
        "import sys; from paretonas.strategy import strategies; from paretonas.space import spaces;"
        "assert list(strategies) and list(spaces); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert "random" in strategies
