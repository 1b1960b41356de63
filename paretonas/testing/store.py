"""The contract of a store. A subclass gives the fixture `open_store`, which opens the same fresh database each time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from paretonas.errors import StoreError, UsageError
from paretonas.space import Architecture
from paretonas.store import Store
from paretonas.trial import State, Trial

OpenStore = Callable[[], Store]


def some_trial(number: int) -> Trial:
    """A waiting trial."""
    return Trial(number, Architecture("toy", (0, number)), f"{number:016x}", context={"log_probs": [-0.1, -2.5e-7]})


class StoreContract:
    """What every store keeps."""

    def test_trials_come_back_as_they_were(self, open_store: OpenStore) -> None:
        store = open_store()
        store.create_search("s", {"seed": 0})
        store.add_trials("s", [some_trial(0), some_trial(1)])
        ended = replace(
            some_trial(1), state=State.COMPLETE, metrics={"accuracy": 0.1 + 0.2}, reward=1 / 3, told=0, seconds=1.5
        )
        ended = replace(
            ended, evidence={"cost": None, "latency": "0" * 64}, fidelity=0.5, seed=7, is_reused=True, retries=2
        )
        store.update_trial("s", ended, seconds=2.5)
        assert open_store().trials("s") == [some_trial(0), ended]
        assert open_store().seconds("s") == 2.5

    def test_a_search_has_one_configuration(self, open_store: OpenStore) -> None:
        store = open_store()
        store.create_search("s", {"seed": 1})
        with pytest.raises(StoreError, match="resume s"):
            store.create_search("s", {"seed": 2})
        assert open_store().config("s") == {"seed": 1}
        store.set_config("s", {"seed": 1, "trials": 9})
        assert open_store().config("s")["trials"] == 9

    def test_an_unknown_search_names_the_known_ones(self, open_store: OpenStore) -> None:
        store = open_store()
        store.create_search("known", {})
        for call in (store.config, store.trials, store.delete_search, store.seconds):
            with pytest.raises(StoreError, match="Known: known"):
                call("other")

    def test_adding_trials_is_all_or_nothing(self, open_store: OpenStore) -> None:
        store = open_store()
        store.create_search("s", {})
        store.add_trials("s", [some_trial(1)])
        with pytest.raises(StoreError, match="number of its own"):
            store.add_trials("s", [some_trial(0), some_trial(1)])
        assert [t.number for t in store.trials("s")] == [1]

    def test_updating_an_unknown_trial_is_refused(self, open_store: OpenStore) -> None:
        store = open_store()
        store.create_search("s", {})
        with pytest.raises(StoreError, match="no trial 3"):
            store.update_trial("s", some_trial(3))

    def test_deleting_a_search_leaves_others_and_evaluations(self, open_store: OpenStore) -> None:
        store = open_store()
        for name in ("a", "b"):
            store.create_search(name, {})
            store.add_trials(name, [some_trial(0)])
        store.put("accuracy", {"spec": "x"}, {"accuracy": 0.5})
        store.delete_search("a")
        assert [s.name for s in store.searches()] == ["b"]
        assert len(store.trials("b")) == 1
        assert store.get("accuracy", {"spec": "x"}) == {"accuracy": 0.5}
        store.create_search("a", {})
        assert store.trials("a") == []

    def test_evaluations_are_found_by_kind_and_key_in_any_order(self, open_store: OpenStore) -> None:
        store = open_store()
        store.put("latency", {"spec": "x", "threads": 1}, {"value": 1})
        store.put("latency", {"spec": "x", "threads": 1}, {"value": 2})
        assert open_store().get("latency", {"threads": 1, "spec": "x"}) == {"value": 2}
        assert store.get("accuracy", {"spec": "x", "threads": 1}) is None
        assert store.get("latency", {"spec": "x", "threads": 2}) is None
        assert store.evaluations("latency") == [({"spec": "x", "threads": 1}, {"value": 2})]

    def test_an_evaluation_is_found_by_its_id(self, open_store: OpenStore) -> None:
        store, key = open_store(), {"spec": {"kind": "x"}, "threads": 1}
        id = store.id_of("latency", key)
        assert store.evaluation(id) is None
        assert store.put("latency", key, {"value": 1}) == id
        assert store.put("latency", dict(reversed(key.items())), {"value": 2}) == id  # the order makes no difference
        assert open_store().evaluation(id) == ("latency", key, {"value": 2})
        others = [store.id_of("accuracy", key), store.id_of("latency", {**key, "threads": 2})]
        assert len({id, *others}) == 3
        assert store.evaluation(others[0]) is None

    def test_ids_are_the_same_in_every_store(self, open_store: OpenStore) -> None:
        id = open_store().id_of("latency", {"spec": "x", "threads": 1})
        assert id == "a090a473d82d86d33cca1c825e23b2c5e2dda0caebff0982bf4d087efdd6d7f0"

    def test_summaries_count_states_and_unique_specs(self, open_store: OpenStore) -> None:
        store = open_store()
        store.create_search("s", {})
        twin = replace(some_trial(1), number=2, state=State.FAILED)
        store.add_trials("s", [some_trial(0), some_trial(1), twin])
        store.set_seconds("s", 12.5)
        summary = store.searches()[0]
        assert dict(summary.trials) == {State.WAITING: 2, State.FAILED: 1}
        assert (summary.unique, summary.seconds) == (2, 12.5)

    def test_a_search_is_held_by_one_at_a_time(self, open_store: OpenStore) -> None:
        first, second = open_store(), open_store()
        for name in ("s", "s.zoo"):
            first.create_search(name, {})
        with first.hold("s"):
            with pytest.raises(StoreError, match="written by one process at a time, but another one holds 's'"):
                second.hold("s").__enter__()
            with second.hold("s.zoo"):
                pass  # another search is free
            assert second.config("s") == {}  # reading needs no hold
        with second.hold("s"):
            pass

    def test_a_hold_ends_with_its_block_however_that_ends(self, open_store: OpenStore) -> None:
        first, second = open_store(), open_store()
        with pytest.raises(KeyError), first.hold("s"):
            raise KeyError
        with second.hold("s"):
            pass

    def test_whoever_holds_a_search_may_hold_it_again(self, open_store: OpenStore) -> None:
        first, second = open_store(), open_store()
        with first.hold("s"):
            with first.hold("s"):
                pass
            with pytest.raises(StoreError, match="one process at a time"):
                second.hold("s").__enter__()  # the outer one has not ended
        with second.hold("s"):
            pass

    @pytest.mark.parametrize("name", ["../s", "a/b", "", ".", "nul", "store.db", "x" * 101])
    def test_what_is_no_name_is_not_held(self, open_store: OpenStore, name: str) -> None:
        with pytest.raises(UsageError, match="A search's name is"):
            open_store().hold(name).__enter__()

    def test_what_is_not_there_is_empty(self, open_store: OpenStore) -> None:
        store = open_store()
        assert not store.searches()
        assert not store.evaluations("latency")
        with pytest.raises(StoreError, match="Known: none"):
            store.config("s")

    def test_many_may_make_a_store_at_once(self, open_store: OpenStore) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: open_store().create_search(f"s{i}", {}), range(8)))
        assert len(open_store().searches()) == 8

    def test_writers_beside_each_other_lose_nothing(self, open_store: OpenStore) -> None:
        open_store().create_search("s", {})

        def write(writer: int) -> None:
            store = open_store()
            for i in range(10):
                store.add_trials("s", [some_trial(100 * writer + i)])
                store.put("kind", {"writer": writer, "i": i}, {"value": i})

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(4)))
        assert len(open_store().trials("s")) == 40
        assert all(open_store().get("kind", {"writer": w, "i": 9}) == {"value": 9} for w in range(4))

    def test_many_may_open_a_fresh_store_at_once(self, open_store: OpenStore) -> None:
        with ThreadPoolExecutor(8) as pool:
            stores = list(pool.map(lambda _: open_store(), range(8)))
        stores[0].create_search("s", {})
        assert [s.name for s in stores[-1].searches()] == ["s"]
