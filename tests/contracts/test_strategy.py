import pytest

from paretonas.objective import Goals
from paretonas.strategy import StrategyOptions, strategies
from paretonas.testing.strategy import TOY_SPACE, TWO_GOALS, StrategyContract, run


@pytest.mark.parametrize("name", [name for name in strategies if name != "enumeration"])
class TestEveryStrategy(StrategyContract):
    @pytest.fixture
    def options(self, name: str) -> StrategyOptions:
        return strategies.create(name)


class TestEnumeration(StrategyContract):
    test_the_seed_decides = None  # it decides nothing: a list is gone through in its own order
    test_rewards_like_accuracies_are_as_good_as_random_search = None  # the beginning of a list is no sample
    test_a_hopeless_restriction_is_an_error = None  # a list may be empty

    @pytest.fixture
    def options(self) -> StrategyOptions:
        return strategies.create("enumeration")

    def test_a_hopeless_restriction_is_the_end(self, options: StrategyOptions) -> None:
        strategy = options.start(TOY_SPACE.restricted(lambda spec: False), 0, Goals())
        assert strategy.ask(1) == []
        assert strategy.is_finished


@pytest.mark.slow
class TestPPOWithSmallBatches(StrategyContract):
    @pytest.fixture
    def options(self) -> StrategyOptions:
        return strategies.create("ppo:batch=4,lr=0.005,hidden=20")


class TestEvolutionWithSmallPopulation(StrategyContract):
    @pytest.fixture
    def options(self) -> StrategyOptions:
        return strategies.create("regularized-evolution:population=10,tournament=3")


class TestNSGA2OnTwoGoals(StrategyContract):
    test_rewards_like_accuracies_are_as_good_as_random_search = None  # latency pulls the other way

    @pytest.fixture
    def options(self) -> StrategyOptions:
        return strategies.create("nsga2:population=10")

    @pytest.fixture
    def goals(self) -> Goals:
        return TWO_GOALS


class TestSurrogateOnTwoGoals(StrategyContract):
    test_rewards_like_accuracies_are_as_good_as_random_search = None  # latency pulls the other way
    test_earlier_searches_help_those_that_learn_from_them = None  # likewise

    @pytest.fixture
    def options(self) -> StrategyOptions:
        return strategies.create("surrogate:initial=5,candidates=500")

    @pytest.fixture
    def goals(self) -> Goals:
        return TWO_GOALS


@pytest.mark.slow
class TestReinforceWithSmallBatches(StrategyContract):
    @pytest.fixture
    def options(self) -> StrategyOptions:
        return strategies.create("reinforce:batch=4,lr=0.005,hidden=20")


def test_learning_strategies_end_clearly_above_random_search():
    def mean(name: str) -> float:
        started = (strategies.create(name).start(TOY_SPACE, seed, Goals()) for seed in range(3))
        history = [trial for strategy in started for trial in run(strategy, [], 240)[160:]]
        return sum(t.reward or 0 for t in history) / len(history)

    random = mean("random")
    assert mean("regularized-evolution:population=20,tournament=5") > random + 0.1
    assert mean("ppo:batch=10,lr=0.01,hidden=30") > random + 0.03
    assert mean("reinforce:batch=10,lr=0.02,hidden=30") > random + 0.03
    assert mean("nsga2") > random + 0.1
    assert mean("local-search") > random + 0.04  # half of what it tries lies beside an optimum
