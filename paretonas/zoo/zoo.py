"""What a published network is to the zoo: a name, options after it, and the spec that they give."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from paretonas.registry import Registry
from paretonas.space import Spec

zoo = Registry(
    "network of the zoo",
    {
        "amoebanet-a": "paretonas.zoo.amoebanet:AmoebaNetA",
        "amoebanet-b": "paretonas.zoo.amoebanet:AmoebaNetB",
        "amoebanet-c": "paretonas.zoo.amoebanet:AmoebaNetC",
        "amoebanet-d": "paretonas.zoo.amoebanet:AmoebaNetD",
        "detnasnet": "paretonas.zoo.detnas:DetNASNet",
        "efficientnet-b0": "paretonas.zoo.foreign:EfficientNetB0",
        "faster-rcnn": "paretonas.zoo.faster_rcnn:FasterRCNN",
        "lstm": "paretonas.zoo.nascell:LSTM",
        "mnasnet-a1": "paretonas.zoo.mnasnet:MnasNetA1",
        "mnasnet-a1-mbconv3-k3": "paretonas.zoo.mnasnet:MBConv3K3",
        "mnasnet-a1-mbconv3-k5": "paretonas.zoo.mnasnet:MBConv3K5",
        "mnasnet-a1-mbconv6-k3": "paretonas.zoo.mnasnet:MBConv6K3",
        "mnasnet-a1-mbconv6-k5": "paretonas.zoo.mnasnet:MBConv6K5",
        "mnasnet-b1": "paretonas.zoo.mnasnet:MnasNetB1",
        "mnasnet-d1": "paretonas.zoo.mnasnet:MnasNetD1",
        "mnasnet-d1-320": "paretonas.zoo.mnasnet:MnasNetD1For320",
        "mnasnet-small": "paretonas.zoo.mnasnet:MnasNetSmall",
        "mobilenet-v2": "paretonas.zoo.mobilenet:MobileNetV2",
        "mobilenet-v3-large": "paretonas.zoo.foreign:MobileNetV3Large",
        "mobilenet-v3-small": "paretonas.zoo.foreign:MobileNetV3Small",
        "nas-fpn": "paretonas.zoo.nasfpn:NasFpn",
        "nascell": "paretonas.zoo.nascell:NASCell",
        "nasnet-a": "paretonas.zoo.nasnet:NASNetA",
        "nasnet-a-large": "paretonas.zoo.nasnet:NASNetALarge",
        "pnasnet-5": "paretonas.zoo.pnasnet:PNASNet5",
        "pnasnet-5-large": "paretonas.zoo.pnasnet:PNASNet5Large",
        "retinanet": "paretonas.zoo.nasfpn:RetinaNet",
        "shufflenet-uniform": "paretonas.zoo.detnas:UniformShuffleNet",
        "ssdlite": "paretonas.zoo.ssdlite:SSDLite",
    },
)


class Published(ABC):
    """A published network. A subclass is a frozen dataclass whose fields are its options; its docstring presents it.

    Attributes:
        published_resolution: Side in pixels of the images that it was published for, if it is fed images.
    """

    published_resolution: ClassVar[int] = 224

    @abstractmethod
    def spec(self) -> Spec:
        """What it is made of, with these options.

        Raises:
            SpecError: It does not come so.
        """


def zoo_network(text: str, width: float = 1.0, resolution: int | None = None) -> Published:
    """A published network by its name, options after it: `mnasnet-a1:width=0.5`.

    Args:
        text: As users write it; its options win.
        width: Multiplier of the filters, where the network takes one.
        resolution: Give it the strides that the MnasNet space has for images of this side: below 128 pixels the first
            ones are dropped. None: as published.

    Raises:
        UnknownNameError: No such network.
        UsageError: An option that it does not take.
    """
    network: Published = zoo.create(text, {"width": width, "resolution": resolution})
    return network


def zoo_spec(text: str, width: float = 1.0, resolution: int | None = None) -> Spec:
    """The spec of a published network; see `zoo_network`.

    Raises:
        SpecError: It does not come in that width.

    >>> zoo_spec("mnasnet-a1:width=0.5") == zoo_spec("mnasnet-a1", 0.5)
    True
    """
    return zoo_network(text, width, resolution).spec()
