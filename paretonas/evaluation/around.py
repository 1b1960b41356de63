"""An evaluator around another one, which it passes on but for what it changes."""

from __future__ import annotations

from paretonas.evaluation.evaluator import About, Evaluator, Listens, Phase, Stage
from paretonas.space import Spec


class Around(Evaluator):
    """Whatever a subclass does not define is the inner one's.

    Args:
        inner: What is passed on.
    """

    def __init__(self, inner: Evaluator):
        self.quality, self.is_buildable = inner.quality, inner.is_buildable
        self._inner = inner

    def prepare(self, listener: Listens) -> None:
        self._inner.prepare(listener)

    def phases(self) -> tuple[Phase, ...]:
        return self._inner.phases()

    def begin(self, listener: Listens) -> None:
        self._inner.begin(listener)

    def stages(self) -> tuple[Stage, ...]:
        return self._inner.stages()

    def about(self) -> About:
        return self._inner.about()

    def usual_ms(self, name: str, listener: Listens) -> float:
        return self._inner.usual_ms(name, listener)

    def seconds_a_trial(self) -> float | None:
        return self._inner.seconds_a_trial()

    def forget(self, spec: Spec) -> None:
        self._inner.forget(spec)
