"""Specs: what an architecture means, as frozen dataclasses with a strict, readable JSON form.

A spec's identity is the hash of its JSON form, so two searches, spaces or users that mean the same network share its
evaluations.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields, is_dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from paretonas.errors import SpecError, UnknownNameError
from paretonas.registry import Registry, short
from paretonas.space.graph import Graph
from paretonas.space.interface import LARGEST_SIDE, Interface
from paretonas.space.reading import Readable, read_json

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

spec_kinds = Registry(
    "spec kind",
    {
        "cell": "paretonas.space.cell:CellSpec",
        "chain": "paretonas.space.chain:ChainSpec",
        "detector": "paretonas.space.detector:DetectorSpec",
        "foreign": "paretonas.space.spec:ForeignSpec",
        "mnasnet": "paretonas.space.mnasnet:MnasNetSpec",
        "nasbench-macro": "paretonas.space.nasbench:MacroSpec",
        "nasbench201": "paretonas.space.nasbench:Cell201Spec",
        "recurrent": "paretonas.space.recurrent:RecurrentSpec",
        "shufflenet": "paretonas.space.shufflenet:ShuffleNetSpec",
        "tabular": "paretonas.space.table:TabularSpec",
        "widths": "paretonas.space.widths:WidthsSpec",
    },
)

USUAL_CLASSES = {"detector": 90, "recurrent": 10_000}
"""Of the data that networks of a kind were published for: COCO, and the words of the Penn Treebank."""
CLASSES_OF_IMAGENET = 1000
"""Those of all other kinds."""
ADDED: Mapping[str, bool] = MappingProxyType({"is_added": True})
"""Metadata of a field that a kind of spec got later: at its default it is not written, so that hashes stay."""


@dataclass(frozen=True)
class Part:
    """A part of a network, for people: drawn, described, and given its share of costs and latency.

    Args:
        name: "block3".
        modules: Dotted paths of the modules that it consists of; what lies inside them is theirs.
        words: What it consists of.
        filters: Output channels; None where unknown.
        stride: By which it divides the sides of its first input; 0: height and width are not alike.
        inputs: Names of the parts whose outputs it takes; the first part takes the network's input, and has none.
        op: Its kind, for colours: "conv", "dconv", "mbconv", "fused", or whatever its space calls it.
        layers: How many it has, one after the other.
    """

    name: str
    modules: tuple[str, ...]
    words: str = ""
    filters: int | None = None
    stride: int = 1
    inputs: tuple[str, ...] = ()
    op: str = "other"
    layers: int = 1


class Spec(Readable):
    """Base of all specs. A subclass is a frozen dataclass that checks itself in `__post_init__`.

    Its fields are numbers, strings, booleans, `None`, literals, tuples of one type, other specs, or such dataclasses.
    It may say more of itself by giving `parts` and `scaled`, and `with_state` and `usual_interface` if it is no image
    classifier.
    """

    kind: ClassVar[str]

    @classmethod
    def from_json(cls, data: object) -> Spec:
        """Of any kind."""
        return spec_from_json(data)

    @property
    def classifier(self) -> Spec:
        """What of it can learn from classes alone: all of it, or the classifier whose stages it looks at."""
        return self

    @property
    def is_foreign(self) -> bool:
        """Whether layers of it are others', of whatever kind."""
        return False

    def parts(self) -> tuple[Part, ...]:
        """From the input to the output; none: the parts are the top modules of the network."""
        return ()

    def graphs(self) -> tuple[Graph, ...]:
        """Its cells, or whatever else of it is drawn as a graph; none: `parts` tells all."""
        return ()

    def with_state(self, interface: Interface) -> Interface:
        """What the network is fed and gives: the interface of its task, and what in it is the network's own.

        A recurrent network takes its last state beside a task's inputs, and gives its next one beside the outputs. A
        detector of two stages gives as many proposals as it looks at.
        """
        return interface

    @property
    def usual_classes(self) -> int:
        """How many it tells apart where nothing says so: as many as papers have it do."""
        return USUAL_CLASSES.get(self.kind, CLASSES_OF_IMAGENET)

    def usual_interface(self, channels: int, resolution: int, classes: int) -> Interface:
        """What the network is fed and gives where no task says so: images, if it says nothing else.

        Args:
            channels: Of images.
            resolution: Side of images in pixels.
            classes: That it tells apart.
        """
        return Interface.of_images(channels, resolution, classes)

    def scaled(self, width: float = 1.0, depth: float = 1.0, resolution: int | None = None) -> Spec:
        """The network made wider, deeper, or fit for images of another size.

        Args:
            width: Multiplier of the filters.
            depth: Multiplier of the layers.
            resolution: Side of the images in pixels; None: as it is. A network without strides of its own to drop is
                the same for all.

        Raises:
            SpecError: It cannot be scaled so.
        """
        if (width, depth) != (1, 1):
            raise SpecError(
                f"A network of kind {self.kind!r} comes in its own width and depth, but got {width=}, {depth=}."
            )
        return self

    def transferred(self, skeleton: str | None, cells: int | None, filters: int | None) -> Spec:
        """The cells that were found in another network; None: as in this one.

        Args:
            skeleton: Name of what they are put into.
            cells: Of the network.
            filters: Of an op in the first stack.

        Raises:
            SpecError: It has no cells, or they cannot be put so.
        """
        raise SpecError(
            f"A network of cells comes in other skeletons, cells and filters, but not one of kind {self.kind!r}."
        )


def check_multipliers(width: float, depth: float) -> None:
    """Check what filters and layers are to be multiplied by.

    Raises:
        SpecError: It is not in (0, 10].
    """
    if not (0 < width <= 10 and 0 < depth <= 10):
        raise SpecError(f"A multiplier of widths or depths is above 0 and at most 10, but got {width}, {depth}.")


@dataclass(frozen=True)
class ForeignSpec(Spec):
    """A model that is not described by a spec of ours.

    Args:
        source: `timm:NAME`, `torchvision:NAME`, or `module:factory` for a callable of the user's that takes
            `num_classes` and `in_chans`; see `trust.py`.
        strides_dropped: So many of the first convolutions with stride 2 get stride 1: the small-image form of a network
            that has no shortcut around a stride.

    Raises:
        SpecError: `source` is not of that form, or `strides_dropped` is negative.
    """

    kind: ClassVar[str] = "foreign"
    source: str
    strides_dropped: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.strides_dropped <= 10:
            raise SpecError(f"`0 <= strides_dropped <= 10` must hold, but got {self.strides_dropped}.")
        module, _, factory = self.source.partition(":")
        if not re.fullmatch(r"[\w-]+(\.[\w-]+)*", module) or module.endswith(".py") or not factory:
            raise SpecError(
                f"A foreign model's source is 'timm:NAME', 'torchvision:NAME' or 'module:factory', but got "
                f"{self.source!r}."
            )

    @property
    def is_foreign(self) -> bool:
        return True

    def scaled(self, width: float = 1.0, depth: float = 1.0, resolution: int | None = None) -> ForeignSpec:
        """For images below 128 pixels, without as many of the first strides as the MnasNet skeleton loses."""
        super().scaled(width, depth)
        return self if resolution is None else replace(self, strides_dropped=strides_to_drop(resolution))


_HASH = "_spec_hash"
"""Where a spec keeps its hash; no field, so that it takes no part in what the spec is."""
STRIDES_OF_TWO = 5
"""Of a network for ImageNet's 224 pixels."""
SMALLEST_SIDE = 4
"""Pixels that are left of an image's side before the head."""


def strides_to_drop(resolution: int) -> int:
    """How many of the first strides a network has to lose so that images of `resolution` keep 4 pixels a side.

    >>> strides_to_drop(224), strides_to_drop(32)
    (0, 2)
    """
    if not 4 <= resolution <= LARGEST_SIDE:
        raise SpecError(f"Images have 4 to {LARGEST_SIDE} pixels a side, but got {resolution}.")
    return sum(resolution < 4 * 2**n for n in range(1, 1 + STRIDES_OF_TWO))


def spec_to_json(spec: Spec) -> dict[str, Any]:
    """The spec as plain JSON data, with its kind."""
    if not is_dataclass(spec) or isinstance(spec, type) or getattr(spec, "kind", None) not in spec_kinds:
        raise SpecError(f"A spec is a dataclass of a known kind ({', '.join(spec_kinds)}), but got {short(spec)}.")
    plain: dict[str, Any] = json.loads(json.dumps(_plain(spec)))
    return plain


def _plain(value: Any) -> Any:
    """A spec with its kind, and so are the specs within it."""
    if not is_dataclass(value):
        return [_plain(one) for one in value] if isinstance(value, tuple) else value
    plain = {field.name: _plain(getattr(value, field.name)) for field in fields(value) if _is_written(field, value)}
    kind = getattr(type(value), "kind", None)  # of a spec; a part of one has none
    return plain if kind is None else {"kind": kind, **plain}


def _is_written(field: Field[Any], of: Any) -> bool:
    return not field.metadata.get("is_added") or getattr(of, field.name) != field.default


def spec_from_json(data: object) -> Spec:
    """The checked spec that `data` describes.

    Raises:
        SpecError: Not an object, an unknown kind or field, a missing field, or a value that breaks the spec's rules.
    """
    if not isinstance(data, Mapping) or not isinstance(data.get("kind"), str):
        raise SpecError(f"A spec is a JSON object with a 'kind' ({', '.join(spec_kinds)}), but got {short(data)}.")
    try:
        plugin = spec_kinds.load(data["kind"])
    except UnknownNameError as error:
        raise SpecError(str(error)) from None
    spec: Spec = read_json(plugin, {k: v for k, v in data.items() if k != "kind"}, data["kind"])
    return spec


def load_spec(path: Path) -> Spec:
    """The checked spec in a JSON file.

    Raises:
        SpecError: No such file, not JSON, or not a spec.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise SpecError(f"A spec is a JSON file, but {path} cannot be read: {error}") from None
    return spec_from_json(data)


def spec_hash(spec: Spec) -> str:
    """Sixteen hexadecimal digits that identify the spec.

    >>> spec_hash(ForeignSpec("timm:resnet18"))
    'bf389f38e155d2b2'
    """
    kept: str | None = getattr(spec, _HASH, None)
    if kept is None:
        text = json.dumps(spec_to_json(spec), sort_keys=True, separators=(",", ":"))
        kept = hashlib.sha256(text.encode()).hexdigest()[:16]
        vars(spec)[_HASH] = kept  # of this object: equal ones may differ in it, as 1 and 1.0 are equal
    return kept
