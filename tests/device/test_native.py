"""The runner itself: what it answers, whatever it is asked."""

import os
import re
import subprocess

import numpy as np
import onnx
import pytest
from native_runner import compiled, onnxruntime_library
from onnx import TensorProto, helper, numpy_helper

from paretonas.device.timing import Protocol
from paretonas.device.transport.adb_answers import (
    CODES,
    answer_of,
    conditions_of,
    read_examples,
    samples_of,
    write_examples,
)
from paretonas.errors import MachineError, MeasureError


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("native"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A token finds its row of a table, which is added to the state: two inputs, two outputs, whole numbers."""
    path = tmp_path_factory.mktemp("models") / "recurrent.onnx"
    table = numpy_helper.from_array(np.arange(20, dtype=np.float32).reshape(5, 4), "table")
    nodes = [
        helper.make_node("Gather", ["table", "token"], ["row"]),
        helper.make_node("Add", ["row", "state"], ["new"]),
        helper.make_node("Neg", ["new"], ["logits"]),
    ]
    value, kinds = helper.make_tensor_value_info, TensorProto
    inputs = [value("token", kinds.INT64, ["batch"]), value("state", kinds.FLOAT, ["batch", 4])]
    outputs = [value("logits", kinds.FLOAT, None), value("new", kinds.FLOAT, None)]
    graph = helper.make_graph(nodes, "test", inputs, outputs, [table])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def examples(count):
    return [(np.array([i % 5]), np.full((1, 4), i, np.float32)) for i in range(count)]


def ask(runner, *words, cwd=None):
    """Text and return code of the runner; with the options of ONNX Runtime where its library is asked for."""
    ran = subprocess.run([runner, *map(str, words)], capture_output=True, text=True, cwd=cwd, timeout=60)
    return ran.stdout


def with_engine():
    return ["--engine", "onnxruntime", "--library", onnxruntime_library()]


def test_runner_runs_several_examples_of_several_inputs_and_outputs(runner, model, tmp_path):
    write_examples(tmp_path / "in", examples(7))
    answer = answer_of(ask(runner, "run", *with_engine(), model, tmp_path / "in", tmp_path / "out"))
    assert answer == {"protocol": 1, "examples": 7, "bytes": (tmp_path / "out").stat().st_size}
    found = read_examples(tmp_path / "out")
    table = np.arange(20, dtype=np.float32).reshape(5, 4)
    for (token, state), (logits, new) in zip(examples(7), found, strict=True):
        np.testing.assert_array_equal(new, table[token] + state)
        np.testing.assert_array_equal(logits, -new)


def test_runner_measures_by_the_protocol(runner, model, tmp_path):
    write_examples(tmp_path / "in", examples(1))
    protocol = Protocol(pairs=7, loads=3, shortest=2e-4)
    options = ["--pairs", 7, "--loads", 3, "--shortest", 2e-4, "--clock", "thread"]
    files = [model, model, tmp_path / "in", tmp_path / "in"]
    answer = answer_of(ask(runner, "measure", *with_engine(), *options, *files))
    samples = samples_of(answer, protocol)
    assert samples.loads == (3, 2, 2)
    conditions = conditions_of(answer, "thread")
    assert conditions["core"] in os.sched_getaffinity(0)
    assert conditions["load"] >= 0
    # Repeats within a run: one of them takes some microseconds, and the fewest were of 200.
    assert 0 < min(samples.candidate_wall) < 1e-3


def test_runner_tells_version_and_machine(runner):
    import onnxruntime

    answer = answer_of(ask(runner, "version", *with_engine()))
    assert answer["version"] == onnxruntime.__version__
    assert answer["machine"] == os.uname().machine
    assert set(answer["cores"]) <= os.sched_getaffinity(0)
    assert set(answer["state"]) == {"governor", "mhz", "celsius", "load", "throttled"}


def test_runner_uses_the_cores_that_it_is_told(runner, model, tmp_path):
    write_examples(tmp_path / "in", examples(1))
    core = min(os.sched_getaffinity(0))
    files = [model, model, tmp_path / "in", tmp_path / "in"]
    answer = answer_of(ask(runner, "measure", *with_engine(), "--pairs", 2, "--cores", hex(1 << core), *files))
    assert answer["cores"] == [core]
    with pytest.raises(MeasureError, match="lets nobody use the cores"):
        answer_of(ask(runner, "measure", *with_engine(), "--cores", hex(1 << 45), *files))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "version, measure, run or app"),
        (["dance"], "version, measure, run or app"),
        (["version", "--engine", "tvm", "--library", "x"], "engines onnxruntime and litert, but got 'tvm'"),
        (["version", "--engine", "litert", "--library", "/no/lib.so"], "cannot be opened: .*no/lib.so"),
        (["version", "--threads", "0"], "--threads is a number from 1 to 1024, but got 0"),
        (["version", "--threads", "many"], "but got many"),
        (["version", "--colour", "red"], "no option --colour"),
        (["version", "--threads"], "has no value"),
        (["run", "one"], "takes 3 files here, but got 1"),
        (["version", "one"], "takes 0 files here, but got one"),
    ],
)
def test_runner_says_what_it_does_not_take(runner, words, said):
    with pytest.raises(MeasureError, match=said):
        answer_of(ask(runner, *words))


def test_runner_refuses_the_library_of_another_engine(runner):
    for engine, said in (("litert", "no LiteRtCreateEnvironment"), ("onnxruntime", "no OrtGetApiBase")):
        library = onnxruntime_library() if engine == "litert" else "libm.so.6"
        with pytest.raises(MeasureError, match=said):
            answer_of(ask(runner, "version", "--engine", engine, "--library", library))


def test_runner_says_what_the_engine_does_not_take(runner, model, tmp_path):
    run = ["run", *with_engine()]
    for content, said in (
        ([(np.array([1]),)], "has 2 inputs, but got 1"),
        ([(np.array([1]), np.zeros((1, 5), np.float32))], "invalid dimensions"),
        ([(np.array([1], np.int32), np.zeros((1, 4), np.float32))], "Unexpected input data type"),
    ):
        write_examples(tmp_path / "in", content)
        with pytest.raises(MeasureError, match=f"(?s)ONNX Runtime cannot run the model.*{said}"):
            answer_of(ask(runner, *run, model, tmp_path / "in", tmp_path / "out"))
    write_examples(tmp_path / "in", examples(1))
    (tmp_path / "junk.onnx").write_bytes(b"junk")
    with pytest.raises(MeasureError, match="cannot load the model"):
        answer_of(ask(runner, *run, tmp_path / "junk.onnx", tmp_path / "in", tmp_path / "out"))
    with pytest.raises(MachineError, match="cannot be written"):
        answer_of(ask(runner, *run, model, tmp_path / "in", tmp_path / "no folder" / "out"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device here")
def test_a_full_disk_is_the_machines_fault(runner, model, tmp_path):
    write_examples(tmp_path / "in", examples(1))
    with pytest.raises(MachineError, match="No space left on device"):
        answer_of(ask(runner, "run", *with_engine(), model, tmp_path / "in", "/dev/full"))


@pytest.mark.parametrize("kept", [0, 10, 40, 70, -1])
def test_runner_refuses_damaged_examples(runner, model, tmp_path, kept):
    write_examples(tmp_path / "in", examples(1))
    data = (tmp_path / "in").read_bytes()
    (tmp_path / "in").write_bytes(data[:kept])
    with pytest.raises(MeasureError, match=r"no (whole )?file of examples"):
        answer_of(ask(runner, "run", *with_engine(), model, tmp_path / "in", tmp_path / "out"))


def test_runner_refuses_examples_of_impossible_sizes(runner, model, tmp_path):
    for counts in ((1 << 40, 1 << 40), (-1, 1), (1, 0)):
        (tmp_path / "in").write_bytes(b"paretonas-tensor" + np.array(counts, "<i8").tobytes())
        with pytest.raises(MeasureError, match="no file of examples"):
            answer_of(ask(runner, "run", *with_engine(), model, tmp_path / "in", tmp_path / "out"))
    for head in ((1, 2, 1 << 40, 1 << 40), (1, 99), (77, 0), (1, 1, -4)):
        (tmp_path / "in").write_bytes(b"paretonas-tensor" + np.array((1, 1, *head), "<i8").tobytes())
        with pytest.raises(MeasureError, match=r"fixed sides|no file|ONNX type 77"):
            answer_of(ask(runner, "run", *with_engine(), model, tmp_path / "in", tmp_path / "out"))


def test_runner_ends_itself_in_time(runner, model, tmp_path):
    write_examples(tmp_path / "in", examples(1))
    slow = ["--seconds", 1, "--pairs", 100000, "--shortest", 1]
    files = [model, model, tmp_path / "in", tmp_path / "in"]
    with pytest.raises(MeasureError, match="past its time limit"):
        answer_of(ask(runner, "measure", *with_engine(), *slow, *files))


def library_of(folder, code):
    """A shared library made of C code."""
    source, library = folder / "made.c", folder / "libmade.so"
    source.write_text(code)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


def test_a_crash_of_the_engine_is_an_answer(runner, tmp_path):
    code = "#include <signal.h>\nvoid *OrtGetApiBase(void) { raise(SIGSEGV); return 0; }\n"
    with pytest.raises(MeasureError, match="crashed with signal 11"):
        answer_of(ask(runner, "version", "--engine", "onnxruntime", "--library", library_of(tmp_path, code)))


def test_what_engines_print_stands_in_no_answers_way(runner, tmp_path):
    code = '#include <stdio.h>\n__attribute__((constructor)) static void loud(void) { puts("hello"); }\n'
    text = ask(runner, "version", "--engine", "litert", "--library", library_of(tmp_path, code))
    assert "hello" not in text
    with pytest.raises(MeasureError, match="not LiteRT's"):
        answer_of(text)


def test_runner_keeps_no_more_files_than_it_may(runner, model, tmp_path):
    names = [f"{digit * 64}.onnx" for digit in "abc"]
    for age, name in enumerate([*names, "notes.txt"]):
        (tmp_path / name).write_bytes(bytes(1000))
        os.utime(tmp_path / name, (1e9 + age, 1e9 + age))
    write_examples(tmp_path / "in", examples(1))
    run = ["run", *with_engine(), "--folder", ".", "--keep", 1500]
    ask(runner, *run, f"./{names[0]}", "in", "out", cwd=tmp_path)  # which is no model, but used
    assert {path.name for path in tmp_path.iterdir()} >= {names[0], "notes.txt", "in"}
    assert not {path.name for path in tmp_path.iterdir()} & set(names[1:])


def test_all_types_of_numbers_come_back_as_they_were(tmp_path):
    arrays = tuple(np.array([[1, 0, 3]]).astype(name) for name in CODES)
    write_examples(tmp_path / "a", [arrays, arrays])
    for found in read_examples(tmp_path / "a"):
        for before, after in zip(arrays, found, strict=True):
            assert before.dtype == after.dtype
            np.testing.assert_array_equal(before, after)


def test_an_answer_is_believed_if_its_end_says_its_length(runner):
    text = ask(runner, "version", *with_engine())
    assert answer_of(text)["protocol"] == 1
    assert answer_of(f"noise\n{text}") == answer_of(text) == answer_of(f"{text}\n")
    for damaged in (text[:-5], text.replace("machine", "machin"), re.sub(r"end \d+", "end 9999", text), "", "x\ny"):
        assert answer_of(damaged) is None
