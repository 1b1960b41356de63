import pytest

from paretonas.strategy import StrategyOptions, strategies
from paretonas.testing.strategy import TOY_SPACE, StrategyContract, run


@pytest.mark.parametrize("name", [name for name in strategies if name != "enumeration"])
class TestEveryStrategy(StrategyContract):
    @pytest.fixture
    def options(self, name: str) -> StrategyOptions:
        return strategies.create(name)


class TestEnumeration(StrategyContract):
    test_the_seed_decides = None  # it decides nothing: a list is gone through in its own order
    test_rewards_like_accuracies_are_as_good_as_random_search = None  # the beginning of a list is no sample

    @pytest.fixture
    def options(self) -> StrategyOptions:
        return strategies.create("enumeration")


class TestPPOWithSmallBatches(StrategyContract):
    @pytest.fixture
    def options(self) -> StrategyOptions:
        return strategies.create("ppo:batch=4,lr=0.005,hidden=20")


class TestEvolutionWithSmallPopulation(StrategyContract):
    @pytest.fixture
    def options(self) -> StrategyOptions:
        return strategies.create("regularized-evolution:population=10,tournament=3")


class TestNSGA2OnTheReward(StrategyContract):
    @pytest.fixture
    def options(self) -> StrategyOptions:
        return strategies.create("nsga2:goals=reward,population=10")


class TestReinforceWithSmallBatches(StrategyContract):
    @pytest.fixture
    def options(self) -> StrategyOptions:
        return strategies.create("reinforce:batch=4,lr=0.005,hidden=20")


def test_learning_strategies_end_clearly_above_random_search():
    def mean(name: str) -> float:
        history = [t for seed in range(3) for t in run(strategies.create(name).start(TOY_SPACE, seed), [], 240)[160:]]
        return sum(t.reward or 0 for t in history) / len(history)

    random = mean("random")
    assert mean("regularized-evolution:population=20,tournament=5") > random + 0.1
    assert mean("ppo:batch=10,lr=0.01,hidden=30") > random + 0.03
    assert mean("reinforce:batch=10,lr=0.02,hidden=30") > random + 0.03
    assert mean("nsga2:goals=reward") > random + 0.1
    assert mean("local-search") > random + 0.04  # half of what it tries lies beside an optimum
