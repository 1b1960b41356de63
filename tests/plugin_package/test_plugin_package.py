"""Another package's task, metric, space, spec and network: installed, found by its entry points, and searched."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from paretonas.network import builders
from paretonas.objective import metrics
from paretonas.space import spaces
from paretonas.space.spec import spec_kinds
from paretonas.task import tasks

HERE = Path(__file__).parent
FILES = ("pyproject.toml", "paretonas_vectors.py")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the package as pip leaves it."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in FILES:
        shutil.copy(HERE / name, source)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(source)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return target


@pytest.fixture(scope="module")
def run(installed):
    """Runs a Python that has the package."""

    def run(*words, folder):
        paths = [str(installed), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, *map(str, words)]
        ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    return run


@pytest.fixture(scope="module")
def found(run, tmp_path_factory):
    """What a search, a final training and an export gave."""
    home = tmp_path_factory.mktemp("home")
    run(HERE / "search_vectors.py", home, folder=home)
    return json.loads((home / "found.json").read_text())


@pytest.mark.parametrize(
    ("registry", "name"),
    [
        (metrics, "rmse"),
        (tasks, "regression"),
        (spaces, "perceptrons"),
        (spec_kinds, "perceptron"),
        (builders, "perceptron"),
    ],
)
def test_nothing_of_the_package_is_known_where_it_is_not_installed(registry, name):
    assert name not in registry


@pytest.mark.slow
def test_the_package_keeps_the_contracts(run, tmp_path):
    settings = ("-p", "no:cacheprovider", "-p", "no:xdist", "-c", HERE.parents[1] / "pyproject.toml")
    run("-m", "pytest", "-q", *settings, HERE / "contracts.py", folder=tmp_path)


def test_a_search_of_it_has_trials_with_its_own_metric(found):
    assert found["states"] == ["complete", "complete"]
    for metrics_of, reward in zip(found["metrics"], found["rewards"], strict=True):
        assert 0 < metrics_of["rmse"] < 2
        assert metrics_of["latency_ms"] > 0
        assert {"params", "macs", "peak_memory_bytes", "train_loss"} <= metrics_of.keys()
        expected = 80 / metrics_of["rmse"] ** 2 * (metrics_of["latency_ms"] / 0.05) ** -0.07
        assert reward == pytest.approx(expected)
    assert found["front"]


def test_it_is_recorded_by_its_names_and_options(found):
    config = found["config"]
    assert config["task"] == {"name": "regression", "noise": 0.05, "points": 200}
    assert config["space"] == {"name": "perceptrons", "widest": 16}
    assert config["objective"]["reward"]["name"] == "inverse-square"  # of a quality that falls
    assert config["recorded"]["quality"] == "rmse"
    assert config["recorded"]["validation"] == 40


def test_a_finalist_of_it_is_scored_exported_and_timed(found):
    finalist, stored = found["finalist"], found["stored"]
    assert finalist["test_rmse"] == pytest.approx(finalist["exported_rmse"], abs=0.01)
    assert stored["test_rmse"] == finalist["test_rmse"]
    assert stored["final_latency_ms"] == finalist["latency_ms"] > 0
    assert "test_rmse" not in found["validated"]
    assert found["validated"]["rmse"] < stored["rmse"]  # it learned for longer
    info = found["info"]
    assert (info["kind"], info["spec"]["kind"]) == ("number", "perceptron")
    assert [port["name"] for port in info["interface"]["inputs"]] == ["vector"]


def test_its_exported_file_is_fed_vectors_and_gives_numbers(found):
    session = onnxruntime.InferenceSession(found["file"])
    assert [(one.name, one.shape[1:]) for one in session.get_inputs()] == [("vector", [6])]
    (number,) = session.run(None, {"vector": np.zeros((1, 6), np.float32)})
    assert number.shape == (1, 1)
    assert abs(float(number[0, 0])) < 1  # the function is 0 there


def test_images_of_another_size_are_not_for_it(found):
    assert found["refused"] == "UsageError: There are tasks of images in other sizes, but Regression is none of them."
