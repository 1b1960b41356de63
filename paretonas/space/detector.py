"""Detectors: a backbone, a neck that joins the ends of its stages into a pyramid, and heads on every level of it.

Source: Lin et al., Feature Pyramid Networks for Object Detection, CVPR 2017, and Focal Loss for Dense Object Detection,
ICCV 2017 (RetinaNet); Liu et al., SSD, ECCV 2016, and Sandler et al., MobileNetV2, CVPR 2018, section 6.2 (SSDLite);
Ghiasi et al., NAS-FPN, CVPR 2019 (necks of merging cells).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args

from paretonas.errors import SpecError
from paretonas.space.interface import Interface, Port
from paretonas.space.spec import Part, Spec, spec_kinds

MergingOp = Literal["sum", "attention"]
HeadKind = Literal["retinanet", "ssdlite"]

LEVELS = (3, 4, 5, 6, 7)
"""Of RetinaNet's pyramid; level n has a stride of 2^n."""
RETINANET_ANCHORS = 9
"""At a place of a level: three scales, three aspects."""
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

    Raises:
        SpecError: A value out of range, or cells that do not give each level once.
    """

    filters: int = 256
    levels: tuple[int, ...] = LEVELS
    cells: tuple[MergingCell, ...] = ()
    stacks: int = 1
    is_separable: bool = False

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
class DetectorSpec(Spec):
    """A detector of one stage.

    Args:
        backbone: A classifier, of which the ends of the stages are used.
        head: `retinanet`: the same convolutions on every level of a pyramid, nine anchors a place. `ssdlite`: depthwise
            separable predictors on two stages of the backbone and four smaller ones after them.
        neck: Of `retinanet`; None for `ssdlite`.
        head_layers: Convolutions of `retinanet`'s heads before the last.
        last_filters: Of a 1x1 convolution after the backbone, for `ssdlite`.

    Raises:
        SpecError: A value out of range, or a neck where none can be.
    """

    kind: ClassVar[str] = "detector"
    backbone: Spec
    head: HeadKind = "retinanet"
    neck: NeckSpec | None = None
    head_layers: int = 4
    last_filters: int = 1280

    def __post_init__(self) -> None:
        kind = getattr(self.backbone, "kind", None)
        if kind == self.kind or kind not in spec_kinds:
            raise SpecError(f"A detector's backbone is the spec of a classifier, but got {self.backbone!r}.")
        if self.head not in get_args(HeadKind):
            raise SpecError(f"A head is one of {', '.join(get_args(HeadKind))}, but got {self.head!r}.")
        if (self.neck is None) != (self.head == "ssdlite"):
            raise SpecError(
                f"A head of retinanet has a neck, one of ssdlite none, but got {self.head} and {self.neck}."
            )
        if not (0 <= self.head_layers <= 16 and 1 <= self.last_filters <= 65536):
            raise SpecError(
                "`0 <= head_layers <= 16` and `1 <= last_filters <= 65536` must hold, but got "
                f"(head_layers={self.head_layers}, last_filters={self.last_filters})."
            )

    @property
    def classifier(self) -> Spec:
        """The backbone."""
        return self.backbone

    def sides(self, resolution: int) -> tuple[int, ...]:
        """Of the levels that heads look at, in pixels, for images of `resolution` pixels a side."""
        strides = SSD_STRIDES if self.neck is None else tuple(2**level for level in self.neck.levels)
        return tuple(-(-resolution // stride) for stride in strides)

    @property
    def anchors(self) -> int:
        """At a place of a level."""
        return SSD_ANCHORS if self.neck is None else RETINANET_ANCHORS

    def usual_interface(self, channels: int, resolution: int, classes: int) -> Interface:
        """Images in; logits of every anchor out, and the offsets of its box.

        Raises:
            SpecError: The levels of a pyramid do not halve such images to the last.
        """
        coarsest = 1 if self.neck is None else 2 ** self.neck.levels[-1]
        if resolution % coarsest:
            raise SpecError(f"A pyramid has images of a multiple of {coarsest} pixels a side, but got {resolution}.")
        anchors = self.anchors * sum(side * side for side in self.sides(resolution))
        logits = classes + (self.neck is None)  # SSD's have one for the background, the first
        return Interface(
            Interface.of_images(channels, resolution, classes).inputs,
            (Port("logits", (1, anchors, logits)), Port("offsets", (1, anchors, 4))),
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
        return (
            backbone,
            Part("neck", ("neck",), words, neck.filters, 0, ("backbone",), "neck"),
            Part("heads", ("heads",), f"RetinaNet, {self.head_layers} layers", inputs=("neck",), op="head"),
        )
