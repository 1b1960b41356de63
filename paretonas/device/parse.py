"""Devices as users write them: `onnxruntime`, `torch:threads=4@local`, `pi=onnxruntime@ssh:pi@raspberry,patience=5`."""

from __future__ import annotations

import re
from dataclasses import fields

from paretonas.device.contract import Transport
from paretonas.device.device import Device, runtimes, transports
from paretonas.errors import DeviceError, ParetonasError

FORM = "[name=]runtime[:options][@transport[:address][,option=value...]]"


def parse_device(text: str, name: str = "") -> Device:
    """A device as users write it, over the transport `local` if none is given.

    Args:
        text: `[name=]runtime[:options][@transport[:address][,option=value...]]`.
        name: The device's, where `text` gives none.

    Raises:
        DeviceError: Not of that form, two names, or an unknown name or option.

    >>> parse_device("onnxruntime:threads=2").runtime.conditions()["threads"]
    2
    >>> parse_device("laptop=torch@local").name
    'laptop'
    """
    own, written = _split_name(text)
    engine, at, place = written.partition("@")
    if not engine or (at and not place) or own == "":
        raise DeviceError(f"A device is written {FORM}, but got {text!r}.")
    if own and name and own != name:
        raise DeviceError(f"A device has one name, but {text!r} is to be called {name!r}.")
    try:
        return Device(own or name, written, runtimes.create(engine), _transport(place or "local"))
    except ParetonasError as error:
        raise DeviceError(f"In the device {text!r}: {error}") from None


def _split_name(text: str) -> tuple[str | None, str]:
    """The name before `=`, None without one, and the rest; options have their `=` after a colon or an at sign."""
    head = re.split("[:@]", text, maxsplit=1)[0]
    if "=" not in head:
        return None, text.strip()
    name, _, rest = text.partition("=")
    return name.strip(), rest.strip()


def _transport(place: str) -> Transport:
    """From `transport[:address][,option=value...]`."""
    where, _, options = place.partition(",")
    kind, _, address = where.partition(":")
    if address and "address" not in [field.name for field in fields(transports.load(kind))]:
        raise DeviceError(f"The transport {kind!r} takes no address, but got {address!r}.")
    transport: Transport = transports.create(f"{kind}:{options}", {"address": address} if address else None)
    return transport
