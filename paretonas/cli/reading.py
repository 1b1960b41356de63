"""What users write on the command line, checked, and put into the sections of a configuration."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from paretonas.errors import DataError, UsageError
from paretonas.registry import Registry, Selection

if TYPE_CHECKING:
    from paretonas.search.config import SearchConfig

T = TypeVar("T")
TABLE = "table:"
"""Data that begin so are a table of networks."""


def read_seconds(text: str | None) -> float | None:
    """Seconds of a duration such as 90s, 45m, 3h or 1h30m."""
    if text is None:
        return None
    match = re.fullmatch(r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s?)?", text.strip())
    try:
        parts = [float(part or 0) for part in match.groups()] if match else []
    except ValueError:
        parts = []
    if not sum(parts):
        raise UsageError(f"A time is written as 90s, 45m, 3h or 1h30m, but got {text!r}.")
    return parts[0] * 3600 + parts[1] * 60 + parts[2]


def read_pause(text: str) -> float:
    """Seconds between two runs: 200ms, 2s or 0.5s; 0 for none.

    >>> read_pause("200ms"), read_pause("2s"), read_pause("0")
    (0.2, 2.0, 0.0)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)?", text.strip())
    seconds = float(match[1]) * (0.001 if match[2] == "ms" else 1) if match else -1.0
    if not match or not 0 <= seconds <= 3600 or (match[2] is None and seconds):
        raise UsageError(f"A pause is written as 200ms or 2s, an hour at most, or 0, but got {text!r}.")
    return seconds


def read_indices(text: str) -> list[int]:
    """Whole numbers with commas between them."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"Choices are whole numbers with commas between them, but got {text!r}.") from None


def read_toml(path: Path) -> dict[str, Any]:
    """A configuration file; its values are checked where they are used. What a search finds out itself is left out."""
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # as Windows writes it too
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"A configuration is a TOML file of UTF-8, but {path} cannot be read: {error}") from None
    return {key: value for key, value in settings.items() if key != "recorded"}


def with_data(config: SearchConfig, data: str | None) -> SearchConfig:
    """A recorded configuration whose data lie elsewhere now; whether they are the same is seen when they are read.

    Args:
        config: Of the search.
        data: As `--data` of a search; None: they lie where they were.
    """
    if data is None:
        return config
    if (config.table is not None) != data.startswith(TABLE):
        raise UsageError(f"Data that were moved are written as when the search began, with {TABLE} or without.")
    if config.table is not None:
        table = replace(config.table, file=data.removeprefix(TABLE))
        if table.path.stem != config.table.path.stem:  # the space is called so
            raise UsageError(f"A table that was moved is still called {config.table.path.name}, but got {data}.")
        return replace(config, table=table)
    assert config.task is not None
    return replace(config, task=Selection(config.task.name, {**config.task.options, "data": data}))


@contextmanager
def moved_data() -> Iterator[None]:
    """Whoever goes on with a search and finds no data is told how to name them."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{error} If the data of this search were moved: --data DATA.") from None


def read_targets(written: Sequence[str]) -> dict[str, float]:
    """Milliseconds by device; the only one may go without its name.

    >>> read_targets(["phone=9", "pi=14"]), read_targets(["5"])
    ({'phone': 9.0, 'pi': 14.0}, {'': 5.0})
    """
    targets = _by_device(written, float, "A target is written MS or DEVICE=MS, as in phone=9")
    if targets is None:
        raise UsageError(f"Each device has one target, with its name if there are several, but got {list(written)}.")
    return targets


def read_estimates(written: Sequence[str]) -> dict[str, int]:
    """Networks that are measured for a predictor of latency, by device; without a name: for each device.

    >>> read_estimates(["phone=100"]), read_estimates(["50"])
    ({'phone': 100}, {'': 50})
    """
    estimates = _by_device(written, int, "An estimate is written N or DEVICE=N, as in phone=100")
    if estimates is None:
        raise UsageError(f"Estimates are asked for once, or once for each device by its name, but got {list(written)}.")
    return estimates


def _by_device(written: Sequence[str], read: Callable[[str], T], rule: str) -> dict[str, T] | None:
    """NUMBER or DEVICE=NUMBER, by device; None if one is given twice, or one without a name beside others."""
    found: dict[str, T] = {}
    for text in written:
        name, _, number = text.rpartition("=")
        try:
            found[name.strip()] = read(number)
        except ValueError:
            raise UsageError(f"{rule}, but got {text!r}.") from None
    is_ambiguous = len(found) < len(written) or ("" in found and len(found) > 1)
    return None if is_ambiguous else found


def with_plugin(section: Any, written: str | None, registry: Registry, also: Mapping[str, Any]) -> Any:
    """A section of a file with what the command line says of its plugin, and of its other settings.

    Args:
        section: As the file has it; None: it does not.
        written: The plugin and its options; None: as in the file.
        registry: Of the plugin.
        also: Other settings of the section, or options of the plugin; those that are None were not given.
    """
    given = {key: value for key, value in also.items() if value is not None}
    if written is None and not given:
        return section
    kept = registry.read(section).to_json() if isinstance(section, str) else dict(section or {})
    if written is not None:
        known = set(also) - {"name"}
        kept = {key: value for key, value in kept.items() if key in known} | registry.read(written).to_json()
    return kept | given


def with_devices(
    settings: dict[str, Any], devices: Sequence[str], targets: Mapping[str, float], estimates: Mapping[str, int]
) -> None:
    """Put devices, the latencies to aim at there, and where these are estimated into the settings."""
    if devices and "table" in settings:
        raise UsageError(f"Devices of a table are its columns, --latency NAME=COLUMN, but got --device {devices[0]}.")
    if estimates and "table" in settings:
        raise UsageError("What a table has was timed by others: leave --estimate out.")
    if devices:
        settings["device"] = list(devices)
    if not targets and not estimates:
        return
    from paretonas.search.config import DeviceConfig

    if "table" in settings:
        settings["device"] = [{"device": "table", "name": n, "target_ms": ms} for n, ms in targets.items()]
        return
    written = settings.get("device", ["onnxruntime"])
    rows = [vars(DeviceConfig.parse(one)) if isinstance(one, str) else dict(one) for one in _listed(written)]
    for name, milliseconds in targets.items():
        _row_of(rows, name, "A target")["target_ms"] = milliseconds
    for name, networks in estimates.items():
        for row in [_row_of(rows, name, "An estimate")] if name else rows:
            row["estimate"] = networks
    settings["device"] = [{key: value for key, value in row.items() if value is not None} for row in rows]


def with_precision(settings: dict[str, Any], precision: str) -> None:
    """Give every device of the settings a precision of its files; one that has another already is refused."""
    if "table" in settings:
        raise UsageError("What a table has was timed by others: leave --quantize out.")
    written = _listed(settings.get("device", ["onnxruntime"]))
    settings["device"] = [
        _in_precision(one, precision) if isinstance(one, str)
        else {**one, "device": _in_precision(one.get("device", "onnxruntime"), precision)}
        for one in written
    ]  # fmt: skip


def _in_precision(device: str, precision: str) -> str:
    """A device as it is written, with that option.

    >>> _in_precision("pi=onnxruntime:threads=2@ssh:pi", "int8")
    'pi=onnxruntime:threads=2,precision=int8@ssh:pi'
    """
    engine, at, place = device.partition("@")
    said = re.search(r"[:,]precision=([^,]*)", engine)
    if said is None:
        engine += f"{',' if ':' in engine else ':'}precision={precision}"
    elif said[1] != precision:
        raise UsageError(f"--quantize is the precision of every device, but {device!r} has another. Leave one out.")
    return f"{engine}{at}{place}"


def _row_of(rows: Sequence[dict[str, Any]], name: str, what: str) -> dict[str, Any]:
    """The device of a name; the only one goes without it."""
    if not name and len(rows) == 1:
        return rows[0]
    found = next((row for row in rows if name and row.get("name", "") == name), None)
    if found is None:
        known = ", ".join(filter(None, (row.get("name", "") for row in rows))) or "the only one, without a name"
        raise UsageError(f"{what} is for a device ({known}), but got one for {name or 'none of several'!r}.")
    return found


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
