import pytest

from paretonas.strategy import StrategyOptions, strategies
from paretonas.testing.strategy import TOY_SPACE, StrategyContract, run


@pytest.mark.parametrize("name", list(strategies))
class TestEveryStrategy(StrategyContract):
    @pytest.fixture
    def options(self, name: str) -> StrategyOptions:
        return strategies.create(name)


class TestPPOWithSmallBatches(StrategyContract):
    @pytest.fixture
    def options(self) -> StrategyOptions:
        return strategies.create("ppo:batch=4,lr=0.005,hidden=20")


class TestEvolutionWithSmallPopulation(StrategyContract):
    @pytest.fixture
    def options(self) -> StrategyOptions:
        return strategies.create("regularized-evolution:population=10,tournament=3")


def test_learning_strategies_end_clearly_above_random_search():
    def mean(name: str) -> float:
        history = [t for seed in range(3) for t in run(strategies.create(name).start(TOY_SPACE, seed), [], 240)[160:]]
        return sum(t.reward or 0 for t in history) / len(history)

    random = mean("random")
    assert mean("regularized-evolution:population=20,tournament=5") > random + 0.1
    assert mean("ppo:batch=10,lr=0.01,hidden=30") > random + 0.03
