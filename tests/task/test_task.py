"""The contract of a task, kept by one that is no classification of images: a sine, whose quality falls."""

import math
import pickle
import random
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest
import torch
from torch import nn

from paretonas.errors import TrainingError, UsageError
from paretonas.network import build
from paretonas.network.cost import spec_cost
from paretonas.objective import Goals, Limit, Metric, Objective, metric, metrics, rewards
from paretonas.space import Architecture, ForeignSpec, Interface, Port, spec_to_json
from paretonas.space.trust import trust
from paretonas.task.recipe import Recipe
from paretonas.task.task import At, Task, memory_format
from paretonas.training.autotune import SpeedJob, examples_per_second
from paretonas.training.fit import Session, as_run, fit
from paretonas.training.state import StateFile
from paretonas.training.zerocost import zero_cost
from paretonas.trial import State, Trial

RMSE = Metric("rmse", "root mean square error", False, "training", form=".3f")


def perceptron(num_classes, in_chans):
    """Built by its source: `test_task:perceptron`."""
    return nn.Sequential(nn.Linear(in_chans, 32), nn.Tanh(), nn.Linear(32, num_classes))


SPEC = ForeignSpec(f"{__name__}:perceptron")


@pytest.fixture(autouse=True)
def _trusted():
    trust(SPEC.source)


PARTS = {"train": 512, "val": 128, "test": 128, "full_train": 640}


@dataclass(frozen=True)
class Sine(Task):
    """What is the sine of the sum of four numbers?

    Args:
        noise: Deviation of the values that are learned from.
    """

    noise: float = 0.0

    quality = "rmse"

    @cached_property
    def _parts(self):
        rng = np.random.default_rng(0)
        x = rng.uniform(-1, 1, (768, 4)).astype(np.float32)
        y = np.sin(x.sum(1, keepdims=True)).astype(np.float32)
        learned = (y + self.noise * rng.standard_normal(y.shape)).astype(np.float32)
        return {
            "train": (x[:512], learned[:512]),
            "val": (x[512:640], y[512:640]),
            "test": (x[640:], y[640:]),
            "full_train": (x[:640], learned[:640]),
        }

    @property
    def interface(self):
        return Interface((Port("numbers", (1, 4)),), (Port("sine", (1, 1)),))

    @property
    def digest(self):
        return f"sine {self.noise}"

    @property
    def typical(self):
        return SPEC

    @property
    def examples(self):
        return {part: len(x) for part, (x, _) in self._parts.items()}

    @property
    def metadata(self):
        return {"kind": "sine"}

    def network(self, spec, recipe):
        return build(spec, self.interface, recipe.dropout)

    def batches(self, part, recipe, seed, steps):
        x, y = map(torch.from_numpy, self._parts[part])
        n = recipe.batch_of(len(x))
        for step in steps:
            epoch, place = divmod(step, len(x) // n)
            order = list(range(len(x)))
            random.Random(f"{seed}/{epoch}").shuffle(order)
            chosen = order[place * n : (place + 1) * n]
            yield {"x": x[chosen], "y": y[chosen]}

    def loss(self, model, batch, at):
        return (model(batch["x"]) - batch["y"]).square().mean()

    def score(self, run, part):
        x, y = self._parts[part]
        (found,) = run((x,))
        error = float(np.sqrt(np.mean((found - y) ** 2)))
        if not math.isfinite(error):
            raise TrainingError(f"An error is a finite number, but got {error}.")
        return {"rmse": error}


@pytest.fixture(autouse=True)
def declared(monkeypatch):
    """The quality is declared, as another package's would be."""
    monkeypatch.setitem(metrics._entries, "rmse", f"{__name__}:RMSE")
    yield
    metric.cache_clear()


RECIPE = Recipe(epochs=40, batch_size=64, lr=1.0, weight_decay=0.0)


def trained_on(task, recipe=RECIPE, session=None):
    torch.manual_seed(0)
    return fit(task.network(SPEC, recipe), task, recipe, 0, session)


def test_task_that_is_no_classification_is_learned():
    task = Sine()
    torch.manual_seed(0)
    before = task.score(as_run(task.network(SPEC, RECIPE)), "val")["rmse"]
    trained = trained_on(task)
    assert len(trained.losses) == 40 * 8
    assert trained.examples == 40 * 512
    after = task.score(as_run(trained.model), "val")
    assert after.keys() == {task.quality}
    assert after["rmse"] < 0.15 < 0.5 < before
    assert trained.train_loss < trained.losses[0] / 10


def test_reward_rises_as_the_quality_falls():
    task = Sine()
    short, long = (
        task.score(as_run(trained_on(task, Recipe(epochs=epochs, batch_size=64, lr=1.0)).model), "val")
        for epochs in (1, 10)
    )
    assert long["rmse"] < short["rmse"]
    objective = Objective(task.quality, rewards.create("inverse-square:scale=1"), {"latency_ms": 2.0})
    found = [objective.reward_of({**metrics, "latency_ms": 4.0}) for metrics in (short, long)]
    assert found == pytest.approx([2**-0.07 / metrics["rmse"] ** 2 for metrics in (short, long)])
    with pytest.raises(UsageError, match="a quality that rises, which 'rmse' does not: choose inverse-square"):
        Objective(task.quality)


def test_declared_quality_is_a_goal_and_no_limit():
    goals = Goals(("rmse", "latency_ms"))
    trial = Trial(0, Architecture("toy", (0,)), "0" * 16, State.COMPLETE, {"rmse": 0.25, "latency_ms": 3.0})
    assert goals.values(trial) == (-0.25, -3.0)
    assert metric("test_rmse").title == "test root mean square error"
    with pytest.raises(UsageError, match="known before training"):
        Limit("rmse", 1.0)


def test_cost_of_a_network_of_vectors_as_by_hand():
    cost = spec_cost(SPEC, Sine().interface)
    assert (cost.params, cost.macs) == (4 * 32 + 32 + 32 + 1, 4 * 32 + 32)


def test_interrupted_training_goes_on_to_the_identical_losses(tmp_path):
    task, recipe = Sine(0.1), Recipe(epochs=2, batch_size=64, ema=0.9, optimizer="adamw", lr=0.01)
    state = StateFile(tmp_path / "training.state", {})
    trained_on(task, recipe, Session(state=state, until=0.4))
    whole, rest = trained_on(task, recipe), trained_on(task, recipe, Session(state=state))
    assert rest.losses == whole.losses
    assert task.score(as_run(rest.model), "test") == task.score(as_run(whole.model), "test")


def test_final_training_learns_from_all_but_the_test_part():
    assert trained_on(Sine(), Recipe(epochs=1, batch_size=64), Session("full_train")).examples == 640


def test_task_of_numbers_travels_and_is_timed_and_judged_untrained():
    task = pickle.loads(pickle.dumps(Sine(0.1)))
    assert task == Sine(0.1)
    torch.manual_seed(0)
    model = task.network(SPEC, RECIPE)
    found = zero_cost(model, task, 0)
    assert found.keys() == {"synflow", "jacobian_covariance", "gradient_norm"}
    assert zero_cost(model, task, 0) == found
    assert examples_per_second(SpeedJob(spec_to_json(SPEC), task, RECIPE, "cpu")) > 0


def test_divergence_of_a_score_is_an_error():
    with pytest.raises(TrainingError, match="finite"):
        Sine().score(lambda inputs: (np.full((len(inputs[0]), 1), np.nan, np.float32),), "val")


# What tasks share


def test_task_that_has_nothing_to_prepare_or_tell_needs_not_say_so(tmp_path):
    counts = []
    Sine().prepare(tmp_path, lambda *count: counts.append(count))
    assert counts == []
    assert Sine().about() == ()
    assert list(tmp_path.iterdir()) == []


def test_preparing_computes_what_identifies_the_task(tmp_path):
    asked = []

    class Curious(Sine):
        @property
        def digest(self):
            asked.append("digest")
            return "curious"

    Curious().prepare(tmp_path)
    assert asked == ["digest"]


def test_task_without_a_method_of_the_contract_cannot_be():
    class Half(Task):
        quality = "accuracy"

    with pytest.raises(TypeError, match="abstract"):
        Half()


@pytest.mark.parametrize(
    ("layout", "format"),
    [("auto", torch.channels_last), ("channels-last", torch.channels_last), ("contiguous", torch.contiguous_format)],
)
def test_layout_of_the_recipe_is_the_memory_format(layout, format):
    assert memory_format(Recipe(layout=layout)) is format
    assert At(0, 1, 0, Recipe(layout=layout)).memory_format is format


def test_examples_of_the_parts_are_counted():
    assert Sine().examples == PARTS
