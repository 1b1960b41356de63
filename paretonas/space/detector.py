"""Detectors: a backbone, a neck that joins the ends of its stages into a pyramid, and heads on every level of it.

Source: Lin et al., Feature Pyramid Networks for Object Detection, CVPR 2017, and Focal Loss for Dense Object Detection,
ICCV 2017 (RetinaNet); Ren et al., Faster R-CNN, NeurIPS 2015; Liu et al., SSD, ECCV 2016, and Sandler et al.,
MobileNetV2, CVPR 2018, section 6.2 (SSDLite); Ghiasi et al., NAS-FPN, CVPR 2019 (necks of merging cells).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, get_args

from paretonas.errors import SpecError
from paretonas.space.interface import Interface, Port
from paretonas.space.spec import ADDED, Part, Spec, spec_kinds

MergingOp = Literal["sum", "attention"]
HeadKind = Literal["faster-rcnn", "retinanet", "ssdlite"]

LEVELS = (3, 4, 5, 6, 7)
"""Of RetinaNet's pyramid; level n has a stride of 2^n."""
RETINANET_ANCHORS = 9
"""At a place of a level: three scales, three aspects."""
REGION_LEVELS = (2, 3, 4, 5)
"""Of the pyramid that the second stage looks at; the first looks at one more, each second place of the last."""
REGION_ANCHORS = 3
"""At a place of a level: three aspects."""
PROPOSALS = "proposals"
"""Name of the output of a detector of two stages that says where: its outputs are a choice of regions."""
SSD_STRIDES = (16, 32, 64, 128, 256, 512)
SSD_ANCHORS = 6
"""At a place of a level: aspects 1, 2, 3, 1/2, 1/3, and a larger square."""


@dataclass(frozen=True)
class MergingCell:
    """Two features become one.

    Args:
        level: Of what comes out.
        op: `sum`, or `attention`: the coarser one, pooled over the image, gates the finer one and is added to it.
        inputs: Two numbers: the pyramid's levels come first, from the finest, then the cells before this one.
    """

    level: int
    op: MergingOp
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class NeckSpec:
    """What makes a pyramid of features of one width.

    Args:
        filters: Of all features.
        levels: Of the pyramid, rising by one.
        cells: Merging cells, the last of which give the levels, in any order; none: FPN's top-down path.
        stacks: How often the cells follow one another.
        is_separable: Whether convolutions are depthwise separable, as in NAS-FPN-Lite.
        is_normalized: Whether each convolution has a normalization after it, as FPN has not.

    Raises:
        SpecError: A value out of range, or cells that do not give each level once.
    """

    filters: int = 256
    levels: tuple[int, ...] = LEVELS
    cells: tuple[MergingCell, ...] = ()
    stacks: int = 1
    is_separable: bool = False
    is_normalized: bool = field(default=True, metadata=ADDED)

    def __post_init__(self) -> None:
        n = len(self.levels)
        if not 2 <= n <= 8 or self.levels != tuple(range(self.levels[0], self.levels[0] + n)) or self.levels[0] < 2:
            raise SpecError(f"A pyramid has 2 to 8 levels that rise by one from 2 or more, but got {self.levels}.")
        if not (1 <= self.filters <= 4096 and 1 <= self.stacks <= 16):
            raise SpecError(
                f"A neck has 1 to 4096 filters and 1 to 16 stacks, but got (filters={self.filters}, "
                f"stacks={self.stacks})."
            )
        if not self.cells and self.stacks != 1:
            raise SpecError(f"A neck without merging cells is one stack, but got (stacks={self.stacks}).")
        if self.cells:
            self._check_cells()

    def _check_cells(self) -> None:
        n = len(self.levels)
        given = [cell.level for cell in self.cells[-n:]]
        if sorted(given) != list(self.levels):
            raise SpecError(f"The last {n} merging cells give the levels {self.levels}, each once, but got {given}.")
        for i, cell in enumerate(self.cells):
            is_pair = len(cell.inputs) == 2 and 0 <= cell.inputs[0] < cell.inputs[1] < n + i
            if not is_pair or cell.op not in get_args(MergingOp) or cell.level not in self.levels:
                raise SpecError(
                    f"Merging cell {i} has two inputs, rising and below {n + i}, a level of {self.levels} and an op "
                    f"of {', '.join(get_args(MergingOp))}, but got {cell}."
                )


@dataclass(frozen=True)
class RegionSpec:
    """How a detector of two stages chooses regions of an image, and how it looks at each of them.

    Args:
        candidates: Of a level; of those that overlap the best is left.
        proposals: Regions that the second stage looks at: the best of all levels.
        filters: Of the second stage's two layers.

    Raises:
        SpecError: A value out of range.
    """

    candidates: int = 200
    proposals: int = 100
    filters: int = 1024

    def __post_init__(self) -> None:
        if not (1 <= self.candidates <= 4096 and 1 <= self.proposals <= 4096 and 1 <= self.filters <= 65536):
            raise SpecError(
                "`1 <= candidates <= 4096`, `1 <= proposals <= 4096` and `1 <= filters <= 65536` must hold, but got "
                f"(candidates={self.candidates}, proposals={self.proposals}, filters={self.filters})."
            )


@dataclass(frozen=True)
class DetectorSpec(Spec):
    """A detector of one stage or two.

    Args:
        backbone: A classifier, of which the ends of the stages are used.
        head: `retinanet`: the same convolutions on every level of a pyramid, nine anchors a place. `ssdlite`: depthwise
            separable predictors on two stages of the backbone and four smaller ones after them. `faster-rcnn`: regions
            are chosen by a convolution on every level of a pyramid, and each is looked at again.
        neck: Of `retinanet` and `faster-rcnn`; None for `ssdlite`.
        head_layers: Convolutions of `retinanet`'s heads before the last.
        last_filters: Of a 1x1 convolution after the backbone, for `ssdlite`.
        regions: Of `faster-rcnn`; None for others.

    Raises:
        SpecError: A value out of range, or a neck or regions where none can be.
    """

    kind: ClassVar[str] = "detector"
    backbone: Spec
    head: HeadKind = "retinanet"
    neck: NeckSpec | None = None
    head_layers: int = 4
    last_filters: int = 1280
    regions: RegionSpec | None = field(default=None, metadata=ADDED)

    def __post_init__(self) -> None:
        kind = getattr(self.backbone, "kind", None)
        if kind == self.kind or kind not in spec_kinds:
            raise SpecError(f"A detector's backbone is the spec of a classifier, but got {self.backbone!r}.")
        if self.head not in get_args(HeadKind):
            raise SpecError(f"A head is one of {', '.join(get_args(HeadKind))}, but got {self.head!r}.")
        if (self.neck is None) != (self.head == "ssdlite") or (self.regions is None) != (self.head != "faster-rcnn"):
            raise SpecError(
                "A head of ssdlite has no neck, the others have one, and one of faster-rcnn alone has regions, but got "
                f"{self.head}, {self.neck} and {self.regions}."
            )
        if self.regions is not None and self.neck is not None and self.neck.levels != REGION_LEVELS:
            raise SpecError(f"A neck of faster-rcnn has the levels {REGION_LEVELS}, but got {self.neck.levels}.")
        if not (0 <= self.head_layers <= 16 and 1 <= self.last_filters <= 65536):
            raise SpecError(
                "`0 <= head_layers <= 16` and `1 <= last_filters <= 65536` must hold, but got "
                f"(head_layers={self.head_layers}, last_filters={self.last_filters})."
            )

    @property
    def is_foreign(self) -> bool:
        return self.backbone.is_foreign

    @property
    def classifier(self) -> Spec:
        """The backbone."""
        return self.backbone

    @property
    def levels(self) -> tuple[int, ...]:
        """That heads look at, of a pyramid; level n has a stride of 2^n."""
        neck = () if self.neck is None else self.neck.levels
        return neck if self.regions is None else (*neck, neck[-1] + 1)

    def sides(self, resolution: int) -> tuple[int, ...]:
        """Of the levels that heads look at, in pixels, for images of `resolution` pixels a side."""
        strides = SSD_STRIDES if self.neck is None else tuple(2**level for level in self.levels)
        return tuple(-(-resolution // stride) for stride in strides)

    @property
    def anchors(self) -> int:
        """At a place of a level."""
        return {"faster-rcnn": REGION_ANCHORS, "retinanet": RETINANET_ANCHORS, "ssdlite": SSD_ANCHORS}[self.head]

    def candidates(self, resolution: int) -> tuple[int, ...]:
        """Regions of each level that are compared with one another, for images of `resolution` pixels a side."""
        most = 0 if self.regions is None else self.regions.candidates
        return tuple(min(most, self.anchors * side * side) for side in self.sides(resolution))

    def usual_interface(self, channels: int, resolution: int, classes: int) -> Interface:
        """Images in; logits of every anchor out, and the offsets of its box; of two stages, of every proposal.

        Raises:
            SpecError: The levels of a pyramid do not halve such images to the last, or they have too few candidates.
        """
        coarsest = 1 if self.neck is None else 2 ** self.levels[-1]
        if resolution % coarsest:
            raise SpecError(f"A pyramid has images of a multiple of {coarsest} pixels a side, but got {resolution}.")
        rows = self.anchors * sum(side * side for side in self.sides(resolution))
        logits, inputs = classes + has_background(self.head), Interface.of_images(channels, resolution, classes).inputs
        if self.regions is None:
            return Interface(inputs, (Port("logits", (1, rows, logits)), Port("offsets", (1, rows, 4))))
        rows, most = self.regions.proposals, sum(self.candidates(resolution))
        if rows > most:
            raise SpecError(f"Proposals are {most} at most at {resolution} pixels, but got (proposals={rows}).")
        outputs = {"logits": logits, "offsets": 4 * logits, PROPOSALS: 4}
        return Interface(inputs, tuple(Port(name, (1, rows, numbers)) for name, numbers in outputs.items()))

    def with_state(self, interface: Interface) -> Interface:
        """With its own number of proposals, in the interface of a task of two stages."""
        if self.regions is None or not is_chosen(interface):
            return interface
        rows = self.regions.proposals
        return replace(
            interface, outputs=tuple(replace(port, shape=(1, rows, *port.shape[2:])) for port in interface.outputs)
        )

    def scaled(self, width: float = 1.0, depth: float = 1.0, resolution: int | None = None) -> DetectorSpec:
        """With a wider or deeper backbone; images of detectors have all strides, whatever their size."""
        return replace(self, backbone=self.backbone.scaled(width, depth))

    def parts(self) -> tuple[Part, ...]:
        """Backbone, neck and heads."""
        backbone = Part("backbone", ("backbone",), self.backbone.kind, op="backbone")
        if self.neck is None:
            levels = Part("levels", ("neck",), "4 smaller levels", None, 0, ("backbone",), "neck")
            return (backbone, levels, Part("heads", ("heads",), "SSDLite", inputs=("levels",), op="head"))
        neck = self.neck
        words = f"{neck.stacks} x {len(neck.cells)} merging cells" if neck.cells else "FPN"
        joined = Part("neck", ("neck",), words, neck.filters, 0, ("backbone",), "neck")
        if self.regions is None:
            return (
                backbone,
                joined,
                Part("heads", ("heads",), f"RetinaNet, {self.head_layers} layers", inputs=("neck",), op="head"),
            )
        chosen = f"{self.regions.proposals} proposals"
        return (
            backbone,
            joined,
            Part("regions", ("regions", "proposals"), chosen, inputs=("neck",), op="head"),
            Part("boxes", ("boxes",), f"2 x {self.regions.filters} units", inputs=("neck", "regions"), op="head"),
        )


def has_background(head: HeadKind) -> bool:
    """Whether the first logit of such a head is that of no object."""
    return head != "retinanet"


def is_chosen(interface: Interface) -> bool:
    """Whether the outputs are those of regions that the network chose."""
    return any(port.name == PROPOSALS for port in interface.outputs)
