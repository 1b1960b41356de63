from paretonas.objective import Goals, Limit
from paretonas.space import Decision, ForeignSpec, SearchSpace
from paretonas.strategy.surrogates.evidence import PARENTS, Evidence
from paretonas.testing.strategy import TOY_SPACE, TWO_GOALS, prior_trials, toy_latency, toy_reward


def learned(goals, trials, space=TOY_SPACE):
    evidence = Evidence(space, goals, 500)
    for trial in trials:
        evidence.learn(trial)
    return evidence


def test_each_goal_and_limit_has_a_model_of_its_own():
    trials = prior_trials()[:20]
    evidence = learned(Goals(("accuracy", "latency_ms"), (Limit("latency_ms", 8.0),)), trials)
    accuracy, latency = (model.values for model in evidence.goals)
    assert accuracy.tolist() == [toy_reward(trial.architecture) for trial in trials]
    assert latency.tolist() == [-toy_latency(trial.architecture) for trial in trials]  # to be maximized
    assert evidence.limits[0].values.tolist() == (-latency).tolist()


def test_the_best_are_a_few_of_one_goal_and_the_front_of_two():
    trials = prior_trials()
    best = learned(Goals(), trials).best
    by_reward = sorted(trials, key=lambda trial: -trial.reward)
    assert best == [trial.architecture.choices for trial in by_reward[:PARENTS]]
    front = {(toy_reward(trial.architecture), toy_latency(trial.architecture)) for trial in trials}
    kept = {(r, ms) for r, ms in front if not any((a >= r and b <= ms) and (a, b) != (r, ms) for a, b in front)}
    found = {
        (toy_reward(TOY_SPACE.architecture(c)), toy_latency(TOY_SPACE.architecture(c)))
        for c in learned(TWO_GOALS, trials).best
    }
    assert found == kept


def test_decisions_of_a_kind_share_what_is_learned():
    decisions = tuple(Decision(f"d{i}", ("a", "b", "c")[i % 2 :], kind="op") for i in range(4))
    space = SearchSpace("kinds", decisions, lambda v: ForeignSpec("toy:" + "".join(v.values())))
    rows = learned(Goals(), [], space)._written([(1, 0, 0, 0), (0, 0, 1, 0), (0, 0, 0, 0)])  # "bbab", "abbb", "abab"
    assert rows.counts.tolist() == [[1.0, 3.0, 0.0], [1.0, 3.0, 0.0], [2.0, 2.0, 0.0]]


def test_a_limit_is_kept_where_its_model_is_negative():
    evidence = learned(Goals(limits=(Limit("latency_ms", 8.0),)), prior_trials())
    fast, slow = TOY_SPACE.architecture([0] * 8), TOY_SPACE.architecture([1, 2, 3, 1, 2, 3, 1, 2])
    mean, _ = evidence.limits[0].predict([fast.choices, slow.choices], [])
    assert mean[0] < 0 < mean[1]
