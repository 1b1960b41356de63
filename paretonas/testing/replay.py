"""Does a search propose what its own history says it should?"""

from __future__ import annotations

from collections.abc import Sequence

from paretonas.loop.plan import Plan
from paretonas.space import Architecture
from paretonas.trial import Trial


def replayed_proposals(plan: Plan, trials: Sequence[Trial], batch: int) -> list[Architecture]:
    """What a fresh strategy proposes if it is told the stored trials in the stored order, asked `batch` at a time.

    For a finished search whose queue was refilled in batches of that size, as it is where this machine both measures
    and trains. It equals what was stored however often the search was killed and resumed. A strategy may propose fewer
    than it is asked for, as long as it waits for some to end.

    Args:
        plan: Of the search.
        trials: All of them, by number.
        batch: Proposals that were asked for at once.
    """
    strategy = plan.start()
    proposed: list[Architecture] = []
    while len(proposed) < len(trials):
        asked = strategy.ask(min(batch, len(trials) - len(proposed)))
        if not asked:
            break
        part = trials[len(proposed) : len(proposed) + len(asked)]
        proposed += [proposal.architecture for proposal in asked]
        strategy.tell(sorted(part, key=lambda trial: trial.told or 0))
    return proposed
