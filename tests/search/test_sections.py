"""The sections of a configuration's file: what is written reads the same, and what cannot be is named."""

import json
import tomllib
from dataclasses import fields, replace

import pytest
import tomli_w
from abacus import CONFIG

from paretonas.errors import SpecError, StoreError, UsageError
from paretonas.evaluation.table import TableSource
from paretonas.loop.plan import Budget
from paretonas.objective import rewards
from paretonas.registry import Selection
from paretonas.search.config import DeviceConfig, Recorded, SearchConfig, SupernetConfig
from paretonas.search.sections import config_from_json, config_to_json, read_config
from paretonas.store import Store

DIGITS = SearchConfig("s", task=Selection("classification", {"data": "digits"}))
FULL = SearchConfig(
    name="cats",
    task=Selection("classification", {"data": "photos", "resolution": 32, "skip_corrupt": True, "train_images": None}),
    space=Selection("mnasnet", {"variant": "google", "width": 0.5}),
    strategy=Selection("nsga2", {"population": 6}),
    goals=("accuracy", "latency_ms.phone"),
    prior=("dogs@12", "birds@3"),
    reward=Selection("mnasnet", {"alpha": 0.0, "beta": -1.0}),
    limits=("params<=2e6", "latency_ms.phone<=8"),
    devices=(DeviceConfig("onnxruntime:threads=2", "phone", 5.0), DeviceConfig("torch", "desk")),
    recipe=Selection("search", {"epochs": 3.0, "is_flipped": False}),
    budget=Budget(60, 3600.0, 90.0),
    fidelity=Selection("asha", {"rungs": 3, "factor": 2.0}),
    screen=Selection("synflow", {"keep": 0.4, "first": None}),
    executor=Selection("process", {"workers": 2}),
    torch_device="cpu",
    seed=7,
    baselines=True,
    models=("timm:resnet18", "mine:net"),
    recorded=Recorded("accuracy", "abc", "an abacus", 360, "other"),
)
TABLE = SearchConfig(
    "toy",
    table=TableSource("toy.parquet", "acc", ("phone=ms", "pi"), ("ops",), "perplexity"),
    strategy=Selection("local-search"),
    devices=(DeviceConfig("table", "phone", 5.0), DeviceConfig("table", "pi", 6.0)),
)
CONFIGS = {"digits": DIGITS, "abacus": CONFIG, "full": FULL, "table": TABLE}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_configuration_survives_json_and_toml(config):
    plain = config_to_json(config)
    assert config_from_json(plain) == config
    assert config_from_json(json.loads(json.dumps(plain))) == config
    assert config_from_json(tomllib.loads(tomli_w.dumps(plain))) == config


def test_the_full_example_sets_everything():
    usual = SearchConfig("s", task=FULL.task)
    same = {f.name for f in fields(SearchConfig) if getattr(FULL, f.name) == getattr(usual, f.name)}
    others = {"table", "supernet", "morph", "weights", "pretrain", "frozen"}  # they exclude each other, or fidelity
    assert same == {"task", *others}


def test_a_supernet_is_read_as_it_was_written():
    config = replace(
        DIGITS,
        supernet=SupernetConfig(Selection("single"), Selection("supernet", {"epochs": 3.0}), 100, 5, Selection("ppo")),
    )
    plain = tomllib.loads(tomli_w.dumps(config_to_json(config)))
    assert plain["supernet"]["sampling"] == {"name": "single"}
    assert config_from_json(plain) == config
    assert config_from_json({**plain, "supernet": "sandwich:drawn=3"}).supernet == SupernetConfig(
        Selection("sandwich", {"drawn": 3})
    )


@pytest.mark.parametrize("wrong", [{"examples": "many"}, {"sampling": "nobody"}, {"checks": 3}])
def test_a_supernet_that_cannot_be_is_refused(wrong):
    with pytest.raises(SpecError):
        config_from_json({**config_to_json(DIGITS), "supernet": wrong})


def test_what_a_supernet_scores_is_not_stopped_early():
    with pytest.raises(UsageError, match="none is stopped early"):
        replace(DIGITS, supernet=SupernetConfig(), fidelity=Selection("asha"))


def test_defaults_are_written_as_a_later_version_may_have_others():
    plain = config_to_json(DIGITS)
    assert (plain["seed"], plain["torch_device"], plain["baselines"]) == (0, "auto", False)
    assert plain["strategy"] == {"name": "surrogate"}
    assert plain["budget"] == {"fidelity": {"name": "full"}}
    assert plain["device"] == [{"device": "onnxruntime"}]


def test_a_table_has_no_settings_of_what_others_have_done():
    plain = config_to_json(TABLE)
    assert plain.keys() == {"name", "seed", "baselines", "table", "strategy", "device"}
    assert "fidelity" not in plain.get("budget", {})


def test_what_nobody_knows_is_not_written():
    assert "recorded" not in config_to_json(DIGITS)
    assert config_to_json(replace(DIGITS, recorded=Recorded("accuracy")))["recorded"] == {"quality": "accuracy"}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"trails": 3}, "of 's': A configuration has the fields .*, but got 'trails'"),
        ({"seed": 2**40}, "of 's': .*`0 <= seed"),
        ({"budget": {"trails": 3}}, "of 's': budget has the fields .*, but got 'trails'"),
        ({"device": [{"target_ms": -3.0}]}, "in that of 's' it is -3.0"),
        ({"name": "t"}, "has its search's name, but that of 's' has 't'"),
        ({"name": "../s"}, "of 's': .*A search's name is"),
    ],
)
def test_a_recorded_configuration_is_checked_when_it_is_read(tmp_path, change, problem):
    store = Store(tmp_path / "store.db")
    store.create_search("s", {"name": "s", "task": {"data": "digits"}, **change})
    with pytest.raises(StoreError, match=problem):
        read_config("s", store)


def test_sections_mirror_the_plan():
    plain = config_to_json(FULL)
    assert plain["strategy"] == {
        "name": "nsga2",
        "population": 6,
        "goals": ["accuracy", "latency_ms.phone"],
        "prior": ["dogs@12", "birds@3"],
    }
    assert plain["objective"] == {
        "reward": {"name": "mnasnet", "alpha": 0.0, "beta": -1.0},
        "limits": ["params<=2e6", "latency_ms.phone<=8"],
    }
    assert plain["device"][0] == {"device": "onnxruntime:threads=2", "name": "phone", "target_ms": 5.0}
    assert plain["budget"]["trials"] == 60
    assert plain["budget"]["fidelity"] == {"name": "asha", "rungs": 3, "factor": 2.0}
    assert plain["task"]["train_images"] == "none"  # TOML has no null


SUGAR = """
name = "cats"
task = "classification:data=photos,resolution=32"
space = "mnasnet:width=0.5"
recipe = "search:epochs=3,is-flipped=false"
executor = "process:workers=2"
device = ["phone=onnxruntime:threads=2", "pi=torch"]
[strategy]
name = "nsga2"
population = 6
goals = "accuracy"
prior = "dogs@12"
[objective]
reward = "mnasnet:alpha=0,beta=-1"
limits = "params<=2e6"
[budget]
trials = 60
fidelity = "asha:rungs=3"
screen = "synflow:keep=0.4"
"""
SECTIONS = """
name = "cats"
[task]
data = "photos"
resolution = 32
[space]
name = "mnasnet"
width = 0.5
[recipe]
name = "search"
epochs = 3
is_flipped = false
[executor]
name = "process"
workers = 2
[[device]]
name = "phone"
device = "onnxruntime:threads=2"
[[device]]
name = "pi"
device = "torch"
[strategy]
name = "nsga2"
population = 6
goals = ["accuracy"]
prior = ["dogs@12"]
[objective]
limits = ["params<=2e6"]
[objective.reward]
name = "mnasnet"
alpha = 0
beta = -1
[budget]
trials = 60
[budget.fidelity]
name = "asha"
rungs = 3
[budget.screen]
name = "synflow"
keep = 0.4
"""


def test_sugar_and_sections_mean_the_same():
    sugar, sections = (config_from_json(tomllib.loads(text)) for text in (SUGAR, SECTIONS))
    assert sugar == sections
    assert sugar.devices == (DeviceConfig("onnxruntime:threads=2", "phone"), DeviceConfig("torch", "pi"))
    assert sugar.reward == Selection("mnasnet", {"alpha": 0.0, "beta": -1.0})


def test_a_strategy_is_written_in_one_line_or_as_a_section_with_goals():
    plain = {"name": "s", "task": {"data": "digits"}}
    one = config_from_json({**plain, "strategy": "nsga2:population=6"})
    assert one == config_from_json({**plain, "strategy": {"name": "nsga2", "population": 6}})
    assert config_from_json({**plain, "strategy": {"goals": ["accuracy"]}}).strategy == DIGITS.strategy


def test_one_device_needs_no_list():
    plain = {"name": "s", "task": {"data": "digits"}}
    expected = (DeviceConfig("torch", target_ms=3.0),)
    for written in ({"device": "torch", "target_ms": 3}, [{"device": "torch", "target_ms": 3.0}]):
        assert config_from_json({**plain, "device": written}).devices == expected
    assert config_from_json({**plain, "device": "phone=torch"}).devices == (DeviceConfig("torch", "phone"),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trails": 3}, "A configuration has the fields .*, but got 'trails'"),
        ({"budget": {"trails": 3}}, "budget has the fields trials, seconds, trial_seconds, but got 'trails'"),
        ({"recorded": {"x": 3}}, "recorded has the fields .*, but got 'x'"),
        ({"device": [{"devise": "torch"}]}, r"device\[0\] has the fields .*, but got 'devise'"),
        ({"objective": {"rewards": "soft"}}, r"\[objective\] has reward and limits, but got .*rewards"),
        ({"objective": 3}, r"\[objective\] has reward and limits, but got 3"),
        ({"budget": 3}, "budget is an object, but got 3"),
        ({"task": {"data": "digits", "datum": 1}}, "task 'classification' takes options .* got 'datum'"),
        ({"space": {"name": "mnasnet", "depth": 1}}, "space 'mnasnet' takes options .* got 'depth'"),
        ({"strategy": {"name": "random", "goal": "x"}}, "strategy 'random' takes options .* got 'goal'"),
        ({"strategy": "randon"}, "No strategy is called 'randon'. Did you mean 'random'"),
        ({"budget": {"fidelity": "ash"}}, "No scheduler is called 'ash'"),
        ({"budget": {"screen": "sinflow"}}, "'synflow'"),
        ({"objective": {"reward": "softish"}}, "No reward is called 'softish'. Did you mean 'soft'"),
        ({"objective": {"reward": "mnasnet:alpha=x"}}, "option 'alpha' of reward 'mnasnet' is of type float"),
        ({"budget": {"trials": 0}}, "must hold, but got .trials=0"),
        ({"budget": {"trials": "many"}}, "budget.trials is of type int, but got 'many'"),
        ({"budget": {"seconds": 0.0}}, "must hold, but got .seconds=0"),
        ({"seed": "x"}, "seed is of type int, but got 'x'"),
        ({"seed": -1}, "`0 <= seed"),
        ({"baselines": 1}, "baselines is of type bool, but got 1"),
        ({"name": 3}, "name is of type str, but got 3"),
        ({"torch_device": None, "name": "../x"}, "A search's name is letters"),
        ({"device": []}, "no device"),
        ({"device": [3]}, r"device\[0\] is an object, but got 3"),
        ({"strategy": 3}, "strategy is written name:option=value"),
        ({"strategy": {"name": "random", "prior": 3}}, "prior is a list, but got 3"),
        ({"objective": {"limits": ["params>3"]}}, "A limit is written metric<=bound"),
        ({"task": None}, "of a task .* or of a table"),
        ({"table": {"file": "t.parquet", "metric": "acc"}}, "of a task .* or of a table"),
        ({"table": {"file": "t.parquet"}, "task": None}, "table lacks 'metric'"),
        ({"table": {"file": "t", "metric": "a", "quality": "charm"}, "task": None}, "No metric is called 'charm'"),
    ],
)
def test_what_cannot_be_is_named(change, message):
    plain = {**config_to_json(DIGITS), **change}
    with pytest.raises(SpecError, match=message):
        config_from_json({key: value for key, value in plain.items() if value is not None})


def test_a_configuration_is_an_object_with_a_name():
    for data in (None, 3, "cats", ["name"]):
        with pytest.raises(SpecError, match="A configuration is an object"):
            config_from_json(data)
    with pytest.raises(SpecError, match="lacks 'name'"):
        config_from_json({"task": {"data": "digits"}})


def test_what_is_read_is_left_as_it_was():
    plain = config_to_json(FULL)
    before = json.dumps(plain)
    config_from_json(plain)
    assert json.dumps(plain) == before


@pytest.mark.parametrize(
    ("reward", "exponents"),
    [("soft", (-0.07, -0.07)), ("hard", (0.0, -1.0)), ("mnasnet:alpha=-0.1,beta=-2", (-0.1, -2.0))],
)
def test_rewards_are_soft_hard_or_exponents(reward, exponents):
    config = config_from_json({**config_to_json(DIGITS), "objective": {"reward": reward}})
    found = rewards.create(config.reward)
    assert (found.alpha, found.beta) == exponents


def test_a_name_is_the_only_thing_that_a_copy_has_to_change():
    plain = config_to_json(FULL)
    assert config_from_json({**plain, "name": "copy"}) == replace(FULL, name="copy")
