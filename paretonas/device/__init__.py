"""How fast a network is, on a runtime (an engine) reached over a transport."""

from paretonas.device.contract import Runtime, Transport
from paretonas.device.device import Device, runtimes, transports
from paretonas.device.parse import parse_device

__all__ = ["Device", "Runtime", "Transport", "parse_device", "runtimes", "transports"]
