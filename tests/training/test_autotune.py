from dataclasses import replace

import pytest
import torch
from image_tasks import visible

from paretonas.errors import TrainingError
from paretonas.executor import executors
from paretonas.space import spec_to_json
from paretonas.task.recipe import Recipe
from paretonas.training import autotune as module
from paretonas.training.autotune import SpeedJob, autotune
from paretonas.zoo import zoo_spec

JOB = SpeedJob(spec_to_json(zoo_spec("mobilenet-v2", 0.25, 8)), visible(), Recipe(batch_size=16), "cpu")
SPEEDS = {
    ("channels-last", "float32"): 100.0,
    ("channels-last", "bfloat16"): 150.0,
    ("contiguous", "float32"): 60.0,
    ("contiguous", "bfloat16"): 70.0,
}


@pytest.fixture
def started(monkeypatch):
    """Executors that were asked for, and speeds that depend on the recipe alone."""
    asked = []
    monkeypatch.setattr(
        module, "examples_per_second", lambda job, steps: SPEEDS[job.recipe.layout, job.recipe.precision] / len(asked)
    )

    def start(workers, threads):
        asked.append((workers, threads))
        return executors.create("serial").start()

    start.asked = asked
    return start


def test_the_fastest_layout_and_precision_are_picked(started):
    tuning = autotune(JOB, started, cores=1, is_sharing=False)
    assert (tuning.layout, tuning.precision) == ("channels-last", "bfloat16")
    assert tuning.examples_per_second["contiguous float32"] == 60.0
    assert "channels-last bfloat16 was the fastest here" in str(tuning)


def test_what_the_recipe_fixes_is_kept(started):
    job = replace(JOB, recipe=Recipe(batch_size=16, precision="float32"))
    tuning = autotune(job, started, cores=1, is_sharing=False)
    assert (tuning.layout, tuning.precision) == ("channels-last", "float32")
    assert len(tuning.examples_per_second) == 2


def test_cores_are_shared_out_by_the_sum_of_all_workers(started):
    tuning = autotune(JOB, started, cores=4, is_sharing=True)
    assert started.asked == [(1, 1), (4, 1), (2, 2), (1, 4)]
    assert tuning.examples_per_second["4 x 1 threads"] == 4 * 150 / 2  # the fake slows down with every executor
    assert (tuning.workers, tuning.threads) == (4, 1)


def test_a_way_that_fails_is_not_picked(started, monkeypatch):
    def speed(job, steps):
        if job.recipe.precision == "bfloat16":
            raise RuntimeError("no bfloat16 here")
        return 1.0

    monkeypatch.setattr(module, "examples_per_second", speed)
    assert autotune(JOB, started, 1, False).precision == "float32"


def test_what_is_far_from_the_best_is_not_measured_any_longer(started, monkeypatch):
    speeds, seen = {**SPEEDS, ("channels-last", "bfloat16"): 49.0}, []

    def speed(job, steps):
        way = job.recipe.layout, job.recipe.precision
        seen.append((way, steps))
        return speeds[way]

    monkeypatch.setattr(module, "examples_per_second", speed)
    tuning = autotune(JOB, started, 1, False)
    assert [steps for _, steps in seen] == [2, 4, 2, 2, 4, 2, 4]
    assert tuning.precision == "float32"
    assert tuning.examples_per_second["channels-last bfloat16"] == 49.0


def test_nothing_that_trains_is_an_error(started, monkeypatch):
    monkeypatch.setattr(module, "examples_per_second", lambda job, steps: 1 / 0)
    with pytest.raises(TrainingError, match="no way to train"):
        autotune(JOB, started, 1, False)


def test_speed_is_measured_by_real_steps():
    assert module.examples_per_second(JOB) > 0


def test_speed_is_that_of_the_steps_after_the_first(monkeypatch):
    times = iter([100.0, 101.0, 103.0, 104.0])
    monkeypatch.setattr(module, "_now", lambda: next(times))
    assert module.examples_per_second(JOB) == 3 * 16 / 4.0


@pytest.mark.parametrize("steps", [1, 3, 4, 5, 9])
def test_first_steps_are_so_many_whatever_the_recipe_says(steps):
    seen = []
    trained = module.first_steps(JOB, steps, lambda done, _: seen.append(done))
    assert seen == list(range(1, steps + 1))
    assert trained.examples == 16 * steps


def test_first_steps_leave_the_global_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    module.first_steps(JOB, 1)
    assert torch.equal(torch.get_rng_state(), before)
