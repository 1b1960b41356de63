"""Kill -9 in the middle of a real search with worker processes; resuming loses nothing that was finished."""

import signal

import pytest
from killed import Killable

from paretonas.search.search import open_search
from paretonas.store import Store
from paretonas.testing.replay import replayed_proposals
from paretonas.trial import State


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "workers", "number"), [(signal.SIGKILL, 1, 5), (signal.SIGTERM, 2, 10)])
def test_a_killed_search_resumes_without_loss(tmp_path, sent, workers, number):
    command = Killable(tmp_path)
    code, err = command.end(
        "search", "s", "--data", "digits", "--width", "0.25", "--trials", str(number), "--target-ms", "1",
        "--strategy", "regularized-evolution:population=3,tournament=2",
        "--recipe", "search:epochs=1,batch_size=64,layout=channels-last,precision=float32",
        "--executor", f"process:workers={workers}",
        when=lambda: command.complete >= 2, what="two complete trials", by=sent,
    )  # fmt: skip
    if sent == signal.SIGTERM:
        assert code == 143
        assert "paretonas resume s" in err
    before = {t.number: t for t in Store(tmp_path / "store.db").trials("s") if t.state is State.COMPLETE}
    assert len(before) >= 2

    command.run("resume", "s")
    store = Store(tmp_path / "store.db")
    trials = store.trials("s")
    assert [t.number for t in trials] == list(range(number))
    assert {t.state for t in trials} == {State.COMPLETE}
    assert {t.number: t for t in trials if t.number in before} == before
    assert sorted(t.told for t in trials) == list(range(number))
    search = open_search("s", store, tmp_path)
    assert replayed_proposals(search.plan(), trials, batch=4 * workers) == [t.architecture for t in trials]
