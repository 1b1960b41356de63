"""The reference network that every candidate is timed against, and its latency on a device."""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from paretonas.device.timing import Protocol
from paretonas.export import ModelFile
from paretonas.latency import Latency
from paretonas.network import build
from paretonas.space import Interface
from paretonas.space.interface import Port
from paretonas.space.spec import SMALLEST_SIDE
from paretonas.zoo import zoo_spec

if TYPE_CHECKING:
    from paretonas.device.device import Device

REFERENCE_NAME, REFERENCE_WIDTH, REFERENCE_CLASSES = "mobilenet-v2", 0.5, 10
"""The reference network of every device: MobileNetV2 at half width, for images as the candidate takes them."""
REFERENCE_SHAPE = (3, 32, 32)
"""Of its images where the candidate takes anything else, or smaller ones than it can."""

CALIBRATIONS = 3


def reference_interface(interface: Interface) -> Interface:
    """That of the reference network for a candidate's: images as large as its own, if images are what it takes.

    A slow host slows networks of another size differently.

    >>> reference_interface(Interface.of_images(channels=1, resolution=28, classes=5)).image_shape
    (1, 28, 28)
    """
    shape = interface.image_shape or REFERENCE_SHAPE
    if shape[2] in (1, 3) and min(shape[:2]) > shape[2]:  # channels last, as files from elsewhere have them
        shape = shape[2], *shape[:2]
    if min(shape[1:]) < SMALLEST_SIDE:
        shape = REFERENCE_SHAPE
    return Interface((Port("images", (1, *shape)),), (Port("logits", (1, REFERENCE_CLASSES)),))


def reference(device: Device, folder: Path, interface: Interface) -> ModelFile:
    """The reference network as a file in `folder`, written once.

    Args:
        device: Whose format it has.
        folder: Is made if there is none.
        interface: The candidate's.

    Raises:
        ExportError: It could not be written.
    """
    device = replace(device, runtime=device.runtime.of_reference)
    own = reference_interface(interface)
    shape = own.inputs[0].shape[1:]
    stem = folder / f"reference-{'x'.join(map(str, shape))}"
    path = device.path(stem)
    if not path.exists():
        spec = zoo_spec(REFERENCE_NAME, REFERENCE_WIDTH, min(shape[1:]))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = build(spec, own)
        device.export(model, spec, own, stem)
    return ModelFile(path, own, device.runtime.precision)


def calibrate(device: Device, folder: Path, interface: Interface, protocol: Protocol) -> Latency:
    """The reference network for a candidate's interface, timed against itself.

    Of three times the fastest with the fewest flags, as hosts have slow seconds. To be stored: one value for a device
    and a `reference_interface`, so that numbers compare over days.

    Returns:
        A latency whose `calibrated` is the median of all its runs on the headline's clock, in seconds.

    Raises:
        MeasureError: It could not be timed.
    """
    found = [_calibrate_once(device, folder, interface, protocol) for _ in range(CALIBRATIONS)]
    return min(found, key=lambda latency: (len(latency.flags), latency.calibrated))


def _calibrate_once(device: Device, folder: Path, interface: Interface, protocol: Protocol) -> Latency:
    latency = device.measure(reference(device, folder, interface), folder, None, protocol)
    return replace(latency, calibrated=statistics.median(latency.candidate + latency.reference))
