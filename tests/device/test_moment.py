import pytest

from paretonas.device.runner import moment
from paretonas.device.runner.moment import celsius, throttles, was_throttled


def write(system, name, text):
    path = system / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_system_that_tells_nothing_leaves_it_open(tmp_path):
    assert throttles(tmp_path) is None
    assert celsius(tmp_path) is None
    assert was_throttled(None, {"a": 1}) == was_throttled({"a": 1}, None) == "unknown"


def test_the_hottest_part_counts_and_nonsense_does_not(tmp_path):
    for i, text in enumerate(["41000\n", "52500\n", "-274000\n", "cold\n", "9" * 30]):
        write(tmp_path, f"class/thermal/thermal_zone{i}/temp", text)
    assert celsius(tmp_path) == 52.5


@pytest.mark.parametrize(
    ("name", "kind", "before", "after", "said"),
    [
        ("devices/system/cpu/cpu3/thermal_throttle/core_throttle_count", None, "7", "7", "no"),
        ("devices/system/cpu/cpu3/thermal_throttle/core_throttle_count", None, "7", "9", "yes"),
        ("class/thermal/cooling_device0/cur_state", "cpufreq-cpu0", "0", "0", "no"),
        ("class/thermal/cooling_device0/cur_state", "thermal-cpufreq-0", "0", "2", "yes"),
        ("class/thermal/cooling_device0/cur_state", "gpio-fan", "3", "3", "unknown"),
        ("devices/platform/soc/soc:firmware/get_throttled", None, "50000", "50000", "no"),  # it was, since the start
        ("devices/platform/soc/soc:firmware/get_throttled", None, "0", "50004", "yes"),
    ],
)
def test_throttling_is_what_rises_or_what_is_now(tmp_path, name, kind, before, after, said):
    if kind:
        write(tmp_path, name.replace("cur_state", "type"), kind)
    write(tmp_path, name, before)
    first = throttles(tmp_path)
    write(tmp_path, name, after)
    assert was_throttled(first, throttles(tmp_path)) == said


def test_conditions_are_whole_once_it_is_over(monkeypatch):
    monkeypatch.setattr(moment, "throttles", lambda: {"count": 1})
    with moment.pinned("wall") as conditions:
        assert set(conditions) == {"core", "load", "date"}
    assert conditions["core"] is None
    assert conditions["throttled"] == "no"
