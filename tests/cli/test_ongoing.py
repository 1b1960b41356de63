"""Work that goes on, where there is no terminal."""

import pytest

from paretonas.cli import ongoing


def test_where_there_is_no_terminal_long_work_is_told_of_in_lines(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(ongoing.time, "monotonic", lambda: now[0])
    with ongoing.search_listener(False) as listener:
        for seconds, done in ((0, 0), (3, 1), (20, 10), (30, 15), (90, 40), (100, 100)):
            now[0] = 100.0 + seconds
            listener.counting("training the supernet", done, 100)
        listener.counting("decoding images", 0, 10)  # soon done
        listener.counting("decoding images", 10, 10)
    assert capsys.readouterr().out.splitlines() == [
        "training the supernet: 10 of 100, about 3 min 0 s left",
        "training the supernet: 40 of 100, about 2 min 15 s left",
    ]


@pytest.mark.parametrize("stream", ["out", "err"])
def test_trainings_and_counted_work_are_told_of_too(capsys, monkeypatch, stream):
    now = [0.0]
    monkeypatch.setattr(ongoing.time, "monotonic", lambda: now[0])
    with ongoing.trainings([3, 5]) as shares, ongoing.counting("runs") as count:
        shares({3: 0.0, 5: 0.0})
        count(0, 8)
        now[0] = 30.0
        shares({3: 0.25})
        count(2, 8)
    said = {"out": "training trial 3: 25 of 100, about 1 min 30 s left", "err": "runs: 2 of 8, about 1 min 30 s left"}
    assert getattr(capsys.readouterr(), stream).splitlines() == [said[stream]]
