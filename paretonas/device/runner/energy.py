"""What runs cost in energy, by counters that processors and batteries have; never guessed.

Source: Linux's power capping framework, Documentation/power/powercap/powercap.rst (RAPL: Intel's and AMD's processors,
read by root alone), and Documentation/ABI/testing/sysfs-class-power (batteries).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from paretonas.device.runner.moment import SYSTEM, number_of, text_of

PACKAGES = "class/powercap/intel-rapl:*"
BATTERIES = "class/power_supply/*"
Counters = Mapping[str, "tuple[float, float]"]
"""By source: joules so far, and those after which the counter begins anew; infinite where it does not."""


def counters(system: Path = SYSTEM) -> Counters:
    """What processors have used since they were switched on, or else what is left in batteries that nothing charges."""
    found: dict[str, tuple[float, float]] = {}
    for package in sorted(system.glob(PACKAGES)):
        used, most = number_of(package / "energy_uj"), number_of(package / "max_energy_range_uj")
        if re.fullmatch(r"intel-rapl:\d+", package.name) and used is not None and most:
            found[package.name] = used / 1e6, most / 1e6
    if found:
        return found
    for battery in sorted(system.glob(BATTERIES)):
        left = _left(battery)
        if left is not None:
            found[battery.name] = -left, float("inf")
    return found


def joules(before: Counters, after: Counters) -> float | None:
    """What was used between two looks; None where nothing tells, or a counter stood still.

    >>> joules({"intel-rapl:0": (5.0, 100.0)}, {"intel-rapl:0": (7.5, 100.0)})
    2.5
    >>> joules({}, {}) is None
    True
    """
    if not before or before.keys() != after.keys():
        return None
    used = 0.0
    for name, (began, most) in before.items():
        rose = after[name][0] - began
        used += rose + most if rose < 0 else rose
    return used if 0 < used < float("inf") else None


def _left(battery: Path) -> float | None:
    """Joules in a battery that is discharging."""
    if text_of(battery / "type") != "Battery" or text_of(battery / "status") != "Discharging":
        return None
    microwatt_hours = number_of(battery / "energy_now")
    if microwatt_hours is not None:
        return microwatt_hours * 3600e-6
    microampere_hours, microvolts = number_of(battery / "charge_now"), number_of(battery / "voltage_now")
    if microampere_hours is None or microvolts is None:
        return None
    return microampere_hours * microvolts * 3600e-12
