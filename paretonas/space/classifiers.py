"""The classifiers that the networks of another space are, or look at the stages of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from paretonas.space.space import Choice, SearchSpace
from paretonas.space.spec import Spec


@dataclass(frozen=True)
class Classifiers:
    """Of a space of detectors, say; no space that users name.

    Args:
        space: Options of the other space: what `spaces.create` gives.
    """

    space: Any

    def build(self) -> SearchSpace:
        """The other space, each spec without what is around its classifier."""
        inner: SearchSpace = self.space.build()

        def decode(values: Mapping[str, Choice]) -> Spec:
            return inner.decoder(values).classifier

        return replace(inner, decoder=decode)
