"""A strategy as the loop sees it: it may be anybody's, so what it gives is checked where it enters."""

from __future__ import annotations

import json
from collections.abc import Sequence

from paretonas.errors import WorkError
from paretonas.registry import blamed, short
from paretonas.strategy import Strategy
from paretonas.trial import Proposal, Trial


class Asking:
    """Asks and tells a strategy.

    Args:
        strategy: Started, and told nothing.
        name: Of the search.
    """

    def __init__(self, strategy: Strategy, name: str):
        self._strategy, self._whose = strategy, f"The strategy of {name!r}"

    @property
    def is_finished(self) -> bool:
        """Whether it has nothing more to propose."""
        return self._strategy.is_finished

    def ask(self, wanted: int, first: int) -> Sequence[Proposal]:
        """Its next proposals.

        Args:
            wanted: So many at most.
            first: Number of the first of them.

        Raises:
            WorkError: It fails, or gives something else.
        """
        with blamed(f"{self._whose} fails when it is asked", WorkError):
            proposals = list(self._strategy.ask(wanted))
        strange = next((one for one in proposals if not isinstance(one, Proposal)), None)
        if strange is not None:
            raise WorkError(f"{self._whose} gives proposals, but among them is {short(strange)}.")
        numbers = [proposal.number for proposal in proposals]
        if len(numbers) > wanted or numbers != list(range(first, first + len(numbers))):
            raise WorkError(
                f"{self._whose} gives {wanted} proposals at most, numbered from {first} on, but it gave the numbers "
                f"{', '.join(map(str, numbers))}."
            )
        for proposal in proposals:
            with blamed(f"{self._whose} keeps JSON data in the context of proposal {proposal.number}", WorkError):
                json.dumps(dict(proposal.context), allow_nan=False)
        return proposals

    def tell(self, trials: Sequence[Trial]) -> None:
        """What became of them.

        Raises:
            WorkError: It fails.
        """
        with blamed(f"{self._whose} fails when it is told of trials", WorkError):
            self._strategy.tell(trials)
