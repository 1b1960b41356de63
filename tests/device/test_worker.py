"""A process that answers, crashes or hangs."""

import os
import sys

import numpy as np
import pytest

from paretonas.device.runner.bundle import bundle, written_bundle
from paretonas.device.runner.wire import Message, read_message, to_bytes
from paretonas.device.runner.worker import Worker

ODD = """
import os, signal, sys, time
sys.path.insert(0, sys.argv[1])
from paretonas.device.runner.wire import Message, read_message, write_message
while True:
    asked = read_message(sys.stdin.buffer).head["ask"]
    if asked == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if asked == "leave":
        sys.exit(3)
    if asked == "hang":
        time.sleep(100)
    if asked == "babble":
        sys.stdout.buffer.write(b"nonsense" * 20000)
        sys.exit(0)
    write_message(sys.stdout.buffer, Message({"pid": os.getpid()}))
"""


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    return written_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def odd(runner):
    worker = Worker([sys.executable, "-c", ODD, str(runner)], 5)
    yield worker
    worker.close()


def test_a_worker_stays_for_the_next(odd):
    assert odd.ask(Message({"ask": ""})).head == odd.ask(Message({"ask": ""})).head


@pytest.mark.parametrize(
    ("ask", "said"),
    [("crash", "The engine crashed (signal SIGSEGV)."), ("leave", "exit code 3"), ("babble", "The engine crashed")],
)
def test_a_crash_costs_one_answer(odd, ask, said):
    first = odd.ask(Message({"ask": ""})).head["pid"]
    told = odd.ask(Message({"ask": ask})).head
    assert told["error"] == "MeasureError"
    assert said in told["text"]
    assert odd.ask(Message({"ask": ""})).head["pid"] != first


def test_who_hangs_is_ended(runner):
    worker = Worker([sys.executable, "-c", ODD, str(runner)], 0.5)
    assert worker.ask(Message({"ask": "hang"})).head["text"] == "There was no answer within 0.5 s."
    worker.close()


def test_the_runner_is_one_file_of_the_same_bytes_that_needs_nothing_of_ours(runner, tmp_path):
    import subprocess

    bundle.cache_clear()
    assert bundle()[1] == runner.read_bytes()
    asked = to_bytes(Message({"ask": "hello"})) + to_bytes(Message({"ask": "identify", "engine": "onnxruntime"}))
    command = [sys.executable, "-I", str(runner), "serve", str(tmp_path), "60"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path) as serving:
        serving.stdin.write(asked)
        serving.stdin.flush()
        greeting, hello, told = (read_message(serving.stdout).head for _ in range(3))
    assert serving.returncode == 0
    assert greeting == hello == {"protocol": 1}
    assert told["version"] == __import__("onnxruntime").__version__


def test_who_waits_no_more_ends_what_the_engine_is_at(runner, tmp_path):
    import subprocess

    code = (
        f"import sys; sys.path.insert(0, {str(runner)!r}); from paretonas.device.runner.worker import serve; "
        f"sys.exit(serve([sys.executable, '-c', {ODD!r}, {str(runner)!r}], 90))"
    )
    for asked in ([], ["", "hang"]):
        command = [sys.executable, "-I", "-c", code]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as serving:
            for ask in asked:
                serving.stdin.write(to_bytes(Message({"ask": ask})))
            serving.stdin.flush()
            heads = [read_message(serving.stdout).head for _ in range(1 + len(asked[:1]))]
            serving.stdin.close()
            assert serving.wait(30) == 0
        for head in heads[1:]:
            with pytest.raises(ProcessLookupError):
                os.kill(head["pid"], 0)


def test_nobody_answers_after_the_end(odd):
    odd.end()
    assert "The engine crashed (signal SIGKILL)." in odd.ask(Message({"ask": ""})).head["text"]


def test_the_runner_imports_no_torch(runner):
    import subprocess

    code = (
        f"import sys; sys.path.insert(0, {str(runner)!r}); import paretonas.device.runner.worker, "
        "paretonas.device.agent.__main__; sys.exit(any(n in sys.modules for n in ('torch', 'onnx', 'sqlalchemy')) "
        "or 'pyz' not in sys.modules['paretonas'].__file__)"
    )
    assert subprocess.run([sys.executable, "-I", "-c", code], check=False).returncode == 0


def test_what_an_engine_prints_stands_in_no_answers_way(runner, tmp_path):
    """Arrays of a megabyte go both ways."""
    worker = Worker([sys.executable, str(runner), "work", str(tmp_path)], 60)
    told = worker.ask(Message({"ask": "run", "engine": "onnxruntime"}, (np.zeros((1, 1 << 18), np.float32),)))
    assert told.head["error"] == "MeasureError"
    worker.close()
