"""What a finalist changes of the architecture that was found: its size, the size of its images, or its skeleton."""

from __future__ import annotations

from dataclasses import dataclass, fields

from paretonas.errors import UsageError
from paretonas.space.interface import LARGEST_SIDE
from paretonas.space.spec import Spec


@dataclass(frozen=True)
class Transform:
    """From the spec that a search found to the one that is trained to the end.

    Args:
        width: Multiplier of the filters.
        depth: Multiplier of the layers.
        resolution: Side of the images in pixels; None: that of the search.
        skeleton: That the cells are put into; None: theirs, or what suits the resolution. So are the next two.
        cells: Of the network, as its authors count.
        filters: Of an op in the first stack.

    Raises:
        UsageError: A multiplier that is not in (0, 10], or a size out of its range.

    >>> str(Transform(width=1.4)), str(Transform())
    ('width-1.4', '')
    """

    width: float = 1.0
    depth: float = 1.0
    resolution: int | None = None
    skeleton: str | None = None
    cells: int | None = None
    filters: int | None = None

    def __post_init__(self) -> None:
        is_side = self.resolution is None or 1 <= self.resolution <= LARGEST_SIDE
        if not (0 < self.width <= 10 and 0 < self.depth <= 10 and is_side):
            raise UsageError(
                f"`0 < width, depth <= 10` and `1 <= resolution <= {LARGEST_SIDE}` must hold, but got "
                f"(width={self.width}, depth={self.depth}, resolution={self.resolution})."
            )

    @property
    def is_transfer(self) -> bool:
        """Whether cells are put into another network."""
        return (self.skeleton, self.cells, self.filters) != (None, None, None)

    def apply(self, spec: Spec) -> Spec:
        """The changed spec.

        Raises:
            SpecError: It cannot be changed so.
        """
        if (self.width, self.depth, self.resolution) != (1, 1, None):
            spec = spec.scaled(self.width, self.depth, self.resolution)
        return spec.transferred(self.skeleton, self.cells, self.filters) if self.is_transfer else spec

    def __str__(self) -> str:
        changed = [(f.name, getattr(self, f.name)) for f in fields(self) if getattr(self, f.name) != f.default]
        return ".".join(f"{name}-{value if isinstance(value, str) else f'{value:g}'}" for name, value in changed)
