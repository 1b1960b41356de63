"""Where a search estimates latencies, and what becomes of its configuration where no predictor is good enough."""

from types import SimpleNamespace

import pytest

from paretonas.device import parse_device
from paretonas.device.predictor import FEWEST
from paretonas.errors import UsageError
from paretonas.evaluation.evaluator import INLINE, Stage
from paretonas.evaluation.table import TableSource
from paretonas.loop.listener import SILENT
from paretonas.registry import Selection
from paretonas.search import config as config_module
from paretonas.search.companions import companions
from paretonas.search.config import DeviceConfig, SearchConfig
from paretonas.search.estimating import estimated, with_what_is_given
from paretonas.search.sections import config_from_json, config_to_json
from paretonas.search.targets import aimed_devices, targets

TASK = Selection("classification", {"data": "digits"})
BOTH = (DeviceConfig("onnxruntime", "phone", 9.0, 50), DeviceConfig("torch", "pi", 80.0))
PARSED = (parse_device("onnxruntime", "phone"), parse_device("torch", "pi"))


def config(devices=BOTH, **more):
    return SearchConfig("s", task=TASK, devices=devices, **more)


LEARNED = SimpleNamespace(interface=None)


def giving(*names):
    """An evaluator, of which only what it gives is asked."""
    stages = tuple(Stage(name, INLINE, (name,), None, None, None) for name in names)
    return SimpleNamespace(stages=lambda: stages, devices=PARSED, quality="accuracy", is_buildable=True, task=LEARNED)


def test_number_of_networks_is_that_of_a_predictor():
    assert config_module.FEWEST == FEWEST
    for number in (10, 500):
        assert DeviceConfig(estimate=number).estimate == number
    for number in (0, 9, 501, 10**12, -1):
        with pytest.raises(UsageError, match=f"fitted on 10 to 500 measured networks, but got {number}"):
            DeviceConfig(estimate=number)


def test_configuration_is_read_as_it_was_written():
    again = config_from_json(config_to_json(config()))
    assert again == config()
    assert [device.estimate for device in again.devices] == [50, None]


def test_search_without_estimates_keeps_its_evaluator():
    inner = giving("latency_ms.phone", "latency_ms.pi")
    alone = config((DeviceConfig("onnxruntime", "phone"), DeviceConfig("torch", "pi")))
    assert estimated(alone, inner, lambda: None, None) is inner


def test_only_the_device_that_asks_is_estimated_and_the_space_is_not_asked_before():
    inner = giving("latency_ms.phone", "latency_ms.pi", "accuracy")
    evaluator = estimated(config(), inner, lambda: pytest.fail("too early"), None)
    assert [stage.name for stage in evaluator.stages()] == ["estimated_ms.phone", "latency_ms.pi", "accuracy"]


def test_what_is_given_changes_nothing():
    before = config(limits=("estimated_ms.phone<=8",), goals=("accuracy", "estimated_ms.phone"))
    assert with_what_is_given(before, PARSED, giving("estimated_ms.phone", "latency_ms.pi")) is before


def test_limits_and_goals_of_what_is_measured_instead_are_of_the_measured_latency():
    before = config(
        limits=("estimated_ms.phone<=8.123456789", "params<=1234567", "latency_ms.pi<=70"),
        goals=("accuracy", "estimated_ms.phone"),
    )
    after = with_what_is_given(before, PARSED, giving("latency_ms.phone", "latency_ms.pi"))
    assert after.limits == ("latency_ms.phone<=8.123456789", "params<=1234567", "latency_ms.pi<=70")
    assert after.goals == ("accuracy", "latency_ms.phone")
    assert [device.estimate for device in after.devices] == [None, None]
    assert [device.target_ms for device in after.devices] == [9.0, 80.0]


def test_only_device_is_known_without_its_name():
    before = config((DeviceConfig("onnxruntime", "phone", None, 50),), limits=("estimated_ms<=8",))
    after = with_what_is_given(before, (parse_device("onnxruntime"),), giving("latency_ms"))
    assert after.limits == ("latency_ms<=8.0",)


def test_targets_are_those_of_the_device_however_its_latency_comes_about():
    evaluator = giving("estimated_ms.phone", "latency_ms.pi")
    aimed = targets(BOTH, evaluator, SILENT)
    assert aimed == {"estimated_ms.phone": 9.0, "latency_ms.pi": 80.0}
    assert aimed_devices(config(), aimed) == BOTH
    alone = (DeviceConfig("onnxruntime", "phone", 5.0, 50),)
    aimed = targets(alone, giving("estimated_ms"), SILENT)
    assert aimed == {"estimated_ms": 5.0}
    assert aimed_devices(config(alone), aimed) == alone
    with pytest.raises(UsageError, match=r"Targets are for estimated_ms\.phone, but got one for latency_ms.pi"):
        targets(BOTH, giving("estimated_ms.phone"), SILENT)


def test_published_networks_beside_it_are_measured_and_random_ones_estimated():
    zoo, random = companions(config(baselines=True, space=Selection("mnasnet", {"resolution": 8})))
    assert [device.estimate for device in zoo.devices] == [None, None]
    assert [device.estimate for device in random.devices] == [50, None]


def test_table_has_nothing_to_measure():
    table = TableSource("table.parquet", "acc", ("phone=ms",))
    with pytest.raises(UsageError, match="What a table has was timed by others"):
        SearchConfig("s", table=table, devices=(DeviceConfig("table", "phone", None, 50),))
