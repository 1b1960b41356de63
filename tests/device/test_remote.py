"""A device behind a link that breaks, refuses or talks nonsense."""

from dataclasses import asdict

import numpy as np
import pytest

from paretonas.device import runtimes
from paretonas.device.runner.wire import Message
from paretonas.device.timing import Protocol, Samples
from paretonas.device.transport import remote
from paretonas.device.transport.remote import LinkError, Remote
from paretonas.errors import DeviceError, MachineError, MeasureError
from paretonas.export import ModelFile
from paretonas.space import Interface

RUNTIME, PROTOCOL = runtimes.create("onnxruntime"), Protocol(pairs=4, loads=2)
FACTS = {"version": "1", "cpu": "a", "machine": "b"}


class Board:
    """Answers from a list; an exception in it is raised."""

    def __init__(self, answers):
        self.answers, self.asked, self.closed = answers, [], 0

    def ask(self, message):
        self.asked.append(message)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Message) else Message(answer)

    def close(self):
        self.closed += 1


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Pauses take no time and are counted."""
    now = [0.0]
    monkeypatch.setattr(remote.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(remote.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return now


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"\x08model")
    return ModelFile(path, Interface.of_images(3, 8, 2))


def samples(**changes):
    times = (1e-3,) * PROTOCOL.pairs
    return asdict(Samples(times, times, times, times, True, PROTOCOL.portions)) | changes


def measured(told, file):
    board = Board([{"has": True}, {"has": True}, told])
    return Remote("ssh:pi", lambda: board, 10, 60).measure(RUNTIME, file, file, PROTOCOL), board


def test_a_lost_link_is_made_again_and_the_request_with_it(capsys, clock):
    first, second = Board([LinkError("cut")]), Board([FACTS])
    links = [first, second]
    assert Remote("ssh:pi", lambda: links.pop(0), 10, 60).identify(RUNTIME) == FACTS
    assert (first.closed, second.closed) == (1, 0)
    assert [message.head for message in second.asked] == [message.head for message in first.asked]
    assert "ssh:pi is gone (cut); trying again in 1 s." in capsys.readouterr().err
    assert clock == [1.0]


def test_a_device_that_stays_away_ends_the_session(clock):
    def connect():
        raise LinkError("No route to host")

    with pytest.raises(MachineError, match="ssh:pi is unavailable for 100 s: No route to host"):
        Remote("ssh:pi", connect, 100, 60).identify(RUNTIME)
    assert clock == [100.0]


def test_what_can_never_be_is_not_tried_again(clock):
    def connect():
        raise DeviceError("Permission denied")

    with pytest.raises(DeviceError, match="denied"):
        Remote("ssh:pi", connect, 100, 60).identify(RUNTIME)
    assert clock == [0.0]


@pytest.mark.parametrize(("kind", "error"), [("MeasureError", MeasureError), ("MachineError", MachineError)])
def test_an_error_of_the_device_says_where_it_was(kind, error):
    board = Board([{"error": kind, "text": "No space left"}])
    with pytest.raises(error, match="On ssh:pi: No space left"):
        Remote("ssh:pi", lambda: board, 10, 60).identify(RUNTIME)


def test_a_file_is_sent_unless_it_is_there(file):
    board = Board([{"has": False}, {"has": True}, Message({}, (np.zeros(2),)), Message({}, (np.ones(2),))])
    run = Remote("ssh:pi", lambda: board, 10, 60).open(RUNTIME, file)
    assert [message.head["ask"] for message in board.asked] == ["has", "put", "run"]
    assert board.asked[1].body == b"\x08model"
    np.testing.assert_array_equal(run((np.zeros(3),))[0], np.ones(2))


def test_times_are_those_that_the_device_tells(file):
    (found, conditions), board = measured({"samples": samples(), "conditions": {"core": 3}}, file)
    assert found == Samples(*(((1e-3,) * PROTOCOL.pairs,) * 4), True, PROTOCOL.portions)
    assert conditions == {"core": 3}
    assert board.asked[-1].head["protocol"] == asdict(PROTOCOL)
    assert len(board.asked[-1].arrays) == 2


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"samples": samples(), "conditions": None},
        {"samples": samples(candidate_wall=[1e-3]), "conditions": {}},
        {"samples": samples(candidate_cpu=[0.0] * 4), "conditions": {}},
        {"samples": samples(reference_cpu=["1"] * 4), "conditions": {}},
        {"samples": samples(reference_wall=[float("nan")] * 4), "conditions": {}},
        {"samples": samples(loads=[4]), "conditions": {}},
        {"samples": "many", "conditions": {}},
    ],
)
def test_times_that_are_none_are_an_error(told, file):
    with pytest.raises(MeasureError, match="ssh:pi tells"):
        measured(told, file)


def test_facts_that_are_none_are_an_error():
    with pytest.raises(MeasureError, match="tells version, cpu and machine"):
        Remote("ssh:pi", lambda: Board([{"version": 3}]), 10, 60).identify(RUNTIME)


def test_a_runtime_that_cannot_be_sent_is_refused():
    with pytest.raises(DeviceError, match="TorchRuntime runs only within paretonas"):
        Remote("ssh:pi", lambda: Board([]), 10, 60).identify(runtimes.create("torch"))


def test_a_link_that_was_kept_for_long_is_made_again_without_a_word(capsys, clock):
    first, second = Board([FACTS, LinkError("broken pipe")]), Board([FACTS])
    links = [first, second]
    remote = Remote("ssh:pi", lambda: links.pop(0), 0, 60)
    assert remote.identify(RUNTIME) == remote.identify(RUNTIME) == FACTS
    assert (capsys.readouterr().err, clock) == ("", [0.0])


def test_a_device_that_has_served_is_waited_for_whatever_the_network_says(clock):
    links = [Board([FACTS]), None]

    def connect():
        if len(links) == 1:
            raise DeviceError("Could not resolve hostname")
        return links.pop(0)

    remote = Remote("ssh:pi", connect, 100, 60)
    assert remote.identify(RUNTIME) == FACTS
    remote.close()
    with pytest.raises(MachineError, match="ssh:pi is unavailable for 100 s: Could not resolve"):
        remote.identify(RUNTIME)


def test_runs_that_take_longer_than_an_answer_may_are_refused(file):
    with pytest.raises(MeasureError, match="60 s at most, but 100 runs every 1 s"):
        Remote("ssh:pi", lambda: Board([]), 10, 60).run_as_app(RUNTIME, file, 100, 1.0)
