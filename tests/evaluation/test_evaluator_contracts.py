"""The contracts of tasks and evaluators, over those of ours."""

import itertools
from dataclasses import asdict

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from paretonas.device import parse_device
from paretonas.device.calibration import reference_interface
from paretonas.evaluation import keys
from paretonas.evaluation.job import Folders, Schooling
from paretonas.evaluation.table import TableEvaluator, TableSource
from paretonas.evaluation.trained import TrainedEvaluator
from paretonas.latency import Latency
from paretonas.loop.listener import SILENT
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec
from paretonas.space.table import TabularSpec
from paretonas.store import Store
from paretonas.task import recipes
from paretonas.task.classification import Classification
from paretonas.task.prepared import CACHE
from paretonas.testing.evaluator import EvaluatorContract
from paretonas.testing.task import TaskContract

SMALL = MnasNetSpec((BlockSpec("mbconv", 3, 8, 1, 2, 3),), stem_filters=8, head_filters=16)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """Prepared images are kept from test to test."""
    monkeypatch.setenv(CACHE, str(tmp_path_factory.getbasetemp() / "prepared"))


class TestDigits(TaskContract):
    @pytest.fixture
    def task(self):
        return Classification("digits", train_images=200)

    @pytest.fixture
    def spec(self):
        return SMALL


@pytest.mark.slow  # processes that decode take their time to start
class TestStreamedDigits(TaskContract):
    @pytest.fixture
    def task(self):
        return Classification("digits", train_images=200, stream=True)

    @pytest.fixture
    def spec(self):
        return SMALL


class TestTrained(EvaluatorContract):
    @pytest.fixture
    def evaluator(self, tmp_path):
        task = Classification("digits", train_images=100, val_images=100)
        recipe = recipes.create("search:epochs=1,batch_size=50,layout=contiguous,precision=float32")
        schooling = Schooling(recipe, torch_device="cpu", shares=(0.5, 1.0), width=0.25)
        devices = (parse_device("one=onnxruntime"), parse_device("other=torch"))
        store, folders = Store(tmp_path / "store.db"), Folders(tmp_path / "cache", tmp_path / "run")
        for device in devices:  # so slow that this machine never seems slower, however busy it is
            key = keys.calibration(reference_interface(task.interface), device.identity)
            key.put(store, asdict(Latency((1.0,) * 2, (1.0,) * 2, (1.0,) * 2, (1.0,) * 2, calibrated=1.0)))
        evaluator = TrainedEvaluator(task, devices, schooling, store, folders, True)
        evaluator.prepare(SILENT)
        return evaluator

    @pytest.fixture
    def spec(self):
        return SMALL


class TestTable(EvaluatorContract):
    @pytest.fixture
    def evaluator(self, tmp_path):
        rows = list(itertools.product("ab", repeat=3))
        numbers = [float(1 + n) for n in range(8)]
        columns = {"ops": [list(row) for row in rows], "acc": numbers, "ms": numbers, "pi": numbers, "params": numbers}
        pq.write_table(pa.table(columns), tmp_path / "toy.parquet")
        evaluator = TableEvaluator(TableSource(str(tmp_path / "toy.parquet"), "acc", ("phone=ms", "pi")))
        evaluator.prepare(SILENT)
        return evaluator

    @pytest.fixture
    def spec(self):
        return TabularSpec("toy", ("a", "b", "a"))
