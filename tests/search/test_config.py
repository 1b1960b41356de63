"""What a configuration may say, before anything is looked for."""

from dataclasses import replace

import pytest

from paretonas.errors import UnknownNameError, UsageError
from paretonas.evaluation.table import TableSource
from paretonas.loop.plan import Budget
from paretonas.registry import Selection
from paretonas.search.config import LONGEST, DeviceConfig, SearchConfig

DIGITS = SearchConfig("s", task=Selection("classification", {"data": "digits"}))
TABLE = SearchConfig("s", table=TableSource("toy.parquet", "acc"))


@pytest.mark.parametrize(
    "name", ["cats", "a", "Cats-2_b.c", "9", "x" * 100, "caches", "store", "console", "com", "nul2"]
)
def test_a_name_is_letters_digits_and_three_signs(name):
    assert replace(DIGITS, name=name).name == name


@pytest.mark.parametrize(
    "name",
    ["", "../x", "a b", "ä", ".x", "-x", "x.", "x\n", "x" * 101, "a/b", "cache", "Cache", "scratch", "store.db",
     "store.db-wal", "trusted.json", "con", "NUL", "aux.zoo", "com1", "LPT9.x"],
)  # fmt: skip
def test_a_name_that_cannot_be_a_folder_of_its_own_is_refused(name):
    with pytest.raises(UsageError, match="A search's name is"):
        replace(DIGITS, name=name)


def test_a_name_leaves_room_for_those_of_the_baselines():
    longest = "x" * LONGEST
    assert len(f"{replace(DIGITS, name=longest, baselines=True).name}.random") == 100
    with pytest.raises(UsageError, match=f"a search's name has {LONGEST} letters at most, but got {LONGEST + 1}"):
        replace(DIGITS, name=longest + "x", baselines=True)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_has_32_bits(seed):
    with pytest.raises(UsageError, match=r"`0 <= seed < 2\*\*32` must hold"):
        replace(DIGITS, seed=seed)


def test_a_search_is_of_a_task_or_of_a_table():
    for both in ({"table": TABLE.table}, {"task": None}):
        with pytest.raises(UsageError, match=r"of a task .* or of a table .*, of just one"):
            replace(DIGITS, **both)


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        (("params>3",), UsageError),
        (("accuracy<=3",), UsageError),
        (("params<=-3",), UsageError),
        (("flops<=3",), UnknownNameError),
    ],
)
def test_a_limit_that_cannot_be_is_refused(limits, error):
    with pytest.raises(error):
        replace(DIGITS, limits=limits)


# Devices


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("onnxruntime", DeviceConfig("onnxruntime")),
        ("onnxruntime:threads=2", DeviceConfig("onnxruntime:threads=2")),
        ("phone=onnxruntime:threads=2", DeviceConfig("onnxruntime:threads=2", "phone")),
        ("torch@ssh:pi,port=22", DeviceConfig("torch@ssh:pi,port=22")),
        ("pi=torch@ssh:pi,port=22", DeviceConfig("torch@ssh:pi,port=22", "pi")),
    ],
)
def test_a_device_is_written_with_or_without_a_name(text, device):
    assert DeviceConfig.parse(text) == device


@pytest.mark.parametrize("target", [0.0, -1.0, float("nan"), float("inf")])
def test_a_target_is_a_positive_latency(target):
    with pytest.raises(UsageError, match="A target latency is a positive number of milliseconds"):
        DeviceConfig(target_ms=target)


def test_a_device_has_a_name_of_letters():
    with pytest.raises(UsageError, match="A device's name is letters, digits, '_' and '-', but got 'my phone'"):
        DeviceConfig(name="my phone")


@pytest.mark.parametrize("names", [(), ("", ""), ("phone", ""), ("phone", "phone")])
def test_several_devices_have_names_of_their_own(names):
    with pytest.raises(UsageError, match="Of several devices each has a name of its own"):
        replace(DIGITS, devices=tuple(DeviceConfig(name=name) for name in names))


# What would have no effect


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space": Selection("zoo")}, r"The space of a table is its own, but got \(space=zoo\)"),
        ({"space": Selection("mnasnet", {"width": 0.5})}, r"space of a table is its own.*mnasnet:width=0.5"),
        ({"recipe": Selection("mnasnet")}, "What a table has was trained by others"),
        ({"recipe": Selection("search", {"epochs": 3.0})}, "What a table has was trained by others.*epochs=3"),
        ({"fidelity": Selection("asha")}, "What a table has was trained to the end"),
        ({"budget": Budget(trial_seconds=60.0)}, r"was trained by others, but got \(trial_seconds=60"),
        ({"executor": Selection("serial")}, r"was trained by others, but got \(executor=serial"),
        ({"torch_device": "cpu"}, r"was trained by others, but got \(torch_device=cpu"),
        ({"devices": (DeviceConfig("torch"),)}, r"Devices of a table are columns, but got \(devices=torch\)"),
    ],
)
def test_what_a_table_has_already_is_not_chosen(change, message):
    with pytest.raises(UsageError, match=message):
        replace(TABLE, **change)


def test_models_of_ones_own_are_of_use_as_baselines_only():
    with pytest.raises(UsageError, match="ask for `baselines` too"):
        replace(DIGITS, models=("timm:resnet18",))
    assert replace(DIGITS, models=("timm:resnet18",), baselines=True).models == ("timm:resnet18",)
