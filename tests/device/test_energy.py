import pytest

from paretonas.device.runner.energy import counters, joules


def write(system, name, text):
    path = system / "class" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def package(system, microjoules, name="intel-rapl:0"):
    write(system, f"powercap/{name}/energy_uj", str(microjoules))
    write(system, f"powercap/{name}/max_energy_range_uj", "10000000\n")


def test_packages_add_up_and_their_parts_do_not(tmp_path):
    for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"):
        package(tmp_path, 2_000_000, name)
    before = counters(tmp_path)
    for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"):
        package(tmp_path, 2_500_000, name)
    assert joules(before, counters(tmp_path)) == pytest.approx(1.0)


def test_a_counter_that_began_anew_went_on(tmp_path):
    package(tmp_path, 9_000_000)
    before = counters(tmp_path)
    package(tmp_path, 1_000_000)
    assert joules(before, counters(tmp_path)) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("names", "spent"),
    [
        ({"energy_now": ("50000000", "49999000")}, 3.6),  # microwatt hours
        ({"charge_now": ("2000000", "1999900"), "voltage_now": ("4000000", "4000000")}, 1.44),
        ({"charge_now": ("2000000", "1999900")}, None),
        ({"energy_now": ("50", "50")}, None),
        ({"energy_now": ("nonsense", "50")}, None),
    ],
)
def test_a_battery_that_discharges_tells_what_it_gave(tmp_path, names, spent):
    write(tmp_path, "power_supply/BAT0/type", "Battery\n")
    write(tmp_path, "power_supply/BAT0/status", "Discharging\n")
    looks = []
    for i in range(2):
        for name, values in names.items():
            write(tmp_path, f"power_supply/BAT0/{name}", values[i])
        looks.append(counters(tmp_path))
    found = joules(*looks)
    assert found == (None if spent is None else pytest.approx(spent))


@pytest.mark.parametrize(("kind", "status"), [("Mains", "Discharging"), ("Battery", "Charging")])
def test_nothing_is_guessed(tmp_path, kind, status):
    assert counters(tmp_path) == {}
    for name, text in (("type", kind), ("status", status), ("energy_now", "5000")):
        write(tmp_path, f"power_supply/BAT0/{name}", text)
    assert counters(tmp_path) == {}
    assert joules({"a": (1.0, 9.0)}, {}) is None
    assert joules({"a": (1.0, float("inf"))}, {"a": (0.5, float("inf"))}) is None
