"""What a finalist changes of the architecture that was found: its width, depth, or the size of its images."""

from __future__ import annotations

from dataclasses import dataclass

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

    Raises:
        UsageError: A multiplier that is not in (0, 10], or a resolution out of its range.

    >>> str(Transform(width=1.4)), str(Transform())
    ('width-1.4', '')
    """

    width: float = 1.0
    depth: float = 1.0
    resolution: int | None = None

    def __post_init__(self) -> None:
        is_side = self.resolution is None or 1 <= self.resolution <= LARGEST_SIDE
        if not (0 < self.width <= 10 and 0 < self.depth <= 10 and is_side):
            raise UsageError(
                f"`0 < width, depth <= 10` and `1 <= resolution <= {LARGEST_SIDE}` must hold, but got "
                f"(width={self.width}, depth={self.depth}, resolution={self.resolution})."
            )

    def apply(self, spec: Spec) -> Spec:
        """The changed spec.

        Raises:
            SpecError: It cannot be changed so.
        """
        return spec if self == Transform() else spec.scaled(self.width, self.depth, self.resolution)

    def __str__(self) -> str:
        changed = [("width", self.width, 1.0), ("depth", self.depth, 1.0), ("resolution", self.resolution, None)]
        return ".".join(f"{name}-{value:g}" for name, value, usual in changed if value != usual)
