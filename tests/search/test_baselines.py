"""What stands beside a search: the same data, devices and recipe, and another choice of networks."""

from dataclasses import dataclass, replace

import pytest
import toy_table
from abacus import CONFIG

from paretonas.errors import SpecError, UsageError
from paretonas.loop.plan import Budget
from paretonas.registry import Selection
from paretonas.search.baselines import baselines
from paretonas.search.companions import check_names, companions
from paretonas.search.config import DeviceConfig, Recorded
from paretonas.search.search import new_search, open_search
from paretonas.search.sections import config_to_json
from paretonas.space import Decision, ForeignSpec, SearchSpace, spaces
from paretonas.trial import State

EVOLUTION = Selection("regularized-evolution", {"population": 4, "tournament": 2})
WITH = replace(CONFIG, strategy=EVOLUTION, budget=Budget(trials=4), baselines=True)


@pytest.fixture
def table(tmp_path):
    return toy_table.write_table(tmp_path / "toy.parquet")


def test_baselines_share_all_but_the_choice_of_networks(store, tmp_path):
    search = new_search(replace(WITH, limits=("params<=1e6",)), store, tmp_path)
    found = list(baselines(search))
    assert [b.config.name for b in found] == ["s.zoo", "s.random"]
    own, zoo, random = (store.config(name) for name in ("s", "s.zoo", "s.random"))
    for other in (zoo, random):
        same = set(own) - {"name", "strategy", "space", "budget", "objective", "baselines", "recorded"}
        assert {key: other[key] for key in same} == {key: own[key] for key in same}
        assert other["recorded"] == {**own["recorded"], "baseline_of": "s"}
        assert other["objective"]["reward"] == own["objective"]["reward"]
        assert other["baselines"] is False
    assert (random["space"], random["budget"], random["objective"]) == (own["space"], own["budget"], own["objective"])
    assert random["strategy"]["name"] == "random"
    assert "limits" not in zoo["objective"]
    assert zoo["space"] == {"name": "zoo", "width": 0.25, "resolution": 8, "networks": "", "also": ""}
    (network,) = found[0].space.decisions
    assert {"mobilenet-v2 x0.25", "mnasnet-a1 x0.25", "mnasnet-small x1", "efficientnet-b0 x1"} <= {*network.choices}
    assert zoo["strategy"] == {"name": "enumeration", "goals": ["reward"]}
    assert zoo["budget"]["trials"] == len(network.choices)


@pytest.mark.slow  # most of the zoo goes through PyTorch's exporter
@pytest.mark.timeout(900)
def test_the_zoo_is_tried_once_each(store, tmp_path):
    zoo = next(baselines(new_search(WITH, store, tmp_path)))
    trials = zoo.run()
    names = [zoo.space.values(trial.architecture)["network"] for trial in trials]
    assert len(set(names)) == len(names) == zoo.space.size
    assert {trial.state for trial in trials} == {State.COMPLETE}


def test_interrupted_baselines_go_on_and_get_a_raised_budget(table, store, tmp_path):
    search = new_search(toy_table.config(table, "regularized-evolution", 3, baselines=True), store, tmp_path)
    search.run()
    next(baselines(search))  # recorded; then somebody pulls the plug
    assert store.trials("toy.random") == []
    raised = open_search("toy", store, tmp_path, change=replace(search.config, budget=Budget(trials=5)))
    raised.run()
    for baseline in baselines(raised):
        baseline.run()
    assert len(store.trials("toy.random")) == len(store.trials("toy")) == 5
    assert store.config("toy.random")["budget"]["trials"] == 5


def test_baselines_can_be_asked_for_afterwards(store, tmp_path):
    search = new_search(CONFIG, store, tmp_path)
    assert not list(baselines(search))
    found = open_search("s", store, tmp_path, change=replace(search.config, baselines=True))
    assert [b.config.name for b in baselines(found)] == ["s.zoo"]  # a random search needs no other beside it
    assert store.config("s")["baselines"] is True


def test_a_model_of_the_users_is_a_baseline(store, tmp_path):
    config = replace(WITH, models=("timm:mobilenetv3_small_050",))
    zoo = next(iter(baselines(new_search(config, store, tmp_path))))
    assert "timm:mobilenetv3_small_050" in zoo.space.decisions[0].choices


@pytest.mark.parametrize(
    ("model", "problem"), [("no colon", "module:factory"), ("no_such_module:net", "only if it is trusted")]
)
def test_a_model_that_is_none_is_found_before_anything_runs(store, tmp_path, model, problem):
    with pytest.raises(SpecError, match=problem):
        new_search(replace(WITH, models=(model,)), store, tmp_path)
    assert store.searches() == []


def test_baselines_train_as_long_and_the_zoo_to_the_end_unscreened():
    config = replace(WITH, screen=Selection("params"), fidelity=Selection("asha"))
    zoo, random = companions(config)
    assert (zoo.fidelity, zoo.screen) == (Selection("full"), None)
    assert (random.fidelity, random.screen) == (config.fidelity, None)


def test_baselines_neither_learn_from_earlier_searches_nor_pursue_goals(table):
    config = toy_table.config(table, "surrogate", baselines=True, prior=("other@3",), goals=("accuracy",))
    (random,) = companions(config)
    assert (random.prior, random.goals) == ((), ())


@dataclass(frozen=True)
class Wide:
    """A space whose option `width` is no multiplier of filters.

    Args:
        width: Of something else.
    """

    width: int = 64

    def build(self):
        return SearchSpace("wide", (Decision("a", (1, 2)),), lambda values: ForeignSpec(f"toy:{values['a']}"))


def test_the_zoo_is_as_wide_as_the_space_says(monkeypatch):
    zoo, _ = companions(replace(WITH, space=Selection("mnasnet", {"width": 0.5})))
    assert zoo.space.options["width"] == 0.5
    monkeypatch.setitem(spaces._entries, "wide", "test_baselines:Wide")
    zoo, _ = companions(replace(WITH, space=Selection("wide", {"width": 64})))
    assert zoo.space.options["width"] == 1.0


def test_a_search_without_baselines_has_none():
    assert companions(CONFIG) == ()


# Names


def test_a_baseline_is_known_by_the_search_that_it_is_recorded_for(table, store, tmp_path):
    search = new_search(toy_table.config(table, "local-search", baselines=True), store, tmp_path)
    (random,) = baselines(search)
    assert random.config.recorded.baseline_of == "toy"
    random.run()
    (again,) = baselines(open_search("toy", store, tmp_path))
    assert again.config == random.config
    assert len(again.run()) == 12


@pytest.mark.parametrize("recorded", [Recorded(), Recorded(baseline_of="another")])
def test_a_search_of_the_users_own_is_never_taken_for_a_baseline(table, store, tmp_path, recorded):
    config = toy_table.config(table, "local-search", baselines=True)
    search = new_search(config, store, tmp_path)
    new_search(toy_table.config(table, name="toy.random", recorded=recorded), store, tmp_path)
    with pytest.raises(UsageError, match="of that name, which is none of them"):
        list(baselines(search))
    assert store.trials("toy.random") == []
    assert store.config("toy.random")["strategy"]["name"] == "random"


def test_a_name_that_is_taken_is_found_before_anything_runs(table, store, tmp_path):
    taken = r"baselines of 'toy' would have the name 'toy\.random', but there is a search of that name, which is none"
    new_search(toy_table.config(table, name="toy.random"), store, tmp_path)
    with pytest.raises(UsageError, match=taken):
        new_search(toy_table.config(table, "local-search", baselines=True), store, tmp_path)
    search = new_search(toy_table.config(table, "local-search"), store, tmp_path)
    with pytest.raises(UsageError, match=taken):
        open_search("toy", store, tmp_path, change=replace(search.config, baselines=True))
    assert not store.config("toy")["baselines"]


def test_free_names_are_no_problem(table, store):
    for name in ("toy", "toy.zoo", "random"):
        store.create_search(name, {"name": name})
    check_names(toy_table.config(table, "local-search", baselines=True), store)
    store.create_search("toy.random", {"name": "toy.random"})
    check_names(toy_table.config(table), store)


def test_a_search_that_took_the_name_meanwhile_is_found_before_the_main_search_goes_on(table, store, tmp_path):
    new_search(toy_table.config(table, "local-search", baselines=True), store, tmp_path)
    new_search(toy_table.config(table, name="toy.random"), store, tmp_path)
    with pytest.raises(UsageError, match="which is none of them"):
        open_search("toy", store, tmp_path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"seed": 1}, "was made with another seed"),
        ({"devices": (DeviceConfig("table", target_ms=3.0),)}, "was made with another devices"),
        ({"recorded": Recorded(digest="0", baseline_of="toy")}, "was made with another digest of its data"),
    ],
)
def test_a_baseline_of_other_settings_is_none(table, store, tmp_path, change, problem):
    search = new_search(toy_table.config(table, "local-search", baselines=True), store, tmp_path)
    (random,) = baselines(search)
    check_names(search.config, store)
    store.set_config("toy.random", config_to_json(replace(random.config, **change)))
    with pytest.raises(UsageError, match=problem):
        check_names(search.config, store)


def test_names_that_share_a_folder_on_some_systems_are_refused(table, store, tmp_path):
    new_search(toy_table.config(table), store, tmp_path)
    with pytest.raises(UsageError, match="differ in more than case, but got 'Toy' beside 'toy'"):
        new_search(toy_table.config(table, name="Toy"), store, tmp_path)
