"""To change how a task behaves one wraps it: nothing else has to know."""

import hashlib
import pickle
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from small_networks import SMALL
from torch import Tensor

from paretonas.executor import executors
from paretonas.registry import Registry
from paretonas.space import spec_from_json, spec_to_json
from paretonas.task.classification import Classification
from paretonas.task.recipe import Recipe
from paretonas.task.task import Task
from paretonas.task.wrapper import Wrapper
from paretonas.training.autotune import SpeedJob, examples_per_second
from paretonas.training.fit import Session, as_run, fit
from paretonas.training.state import StateFile
from paretonas.training.zerocost import zero_cost

RECIPE = Recipe(epochs=1, batch_size=25, crop=0.0)


@dataclass(frozen=True)
class Wrapped(Wrapper):
    """As the task that it wraps.

    Args:
        task: Any.
    """

    task: Task

    @property
    def digest(self):
        options = {name: value for name, value in vars(self).items() if name != "task"}
        return hashlib.sha256(f"{type(self).__name__} {options} {self.task.digest}".encode()).hexdigest()


@dataclass(frozen=True)
class Louder(Wrapped):
    """The loss times a constant."""

    factor: float = 2.0

    def loss(self, model, batch, at) -> Tensor:
        return self.factor * self.task.loss(model, batch, at)


@dataclass(frozen=True)
class WithNoise(Wrapped):
    """A share of the labels is drawn anew; what is random follows from the seed and the step."""

    share: float = 0.5

    def batches(self, part, recipe, seed, steps):
        for step, (images, labels) in zip(steps, self.task.batches(part, recipe, seed, steps), strict=True):
            generator = torch.Generator().manual_seed(1000 * seed + step)
            drawn = torch.randint(0, self.interface.classes, labels.shape, generator=generator)
            is_changed = torch.rand(labels.shape, generator=generator) < self.share
            yield images, torch.where(is_changed, drawn, labels)


@pytest.fixture
def digits(tmp_path_factory):
    task = Classification("digits", train_images=100, val_images=50)
    task.prepare(tmp_path_factory.getbasetemp() / "digits")
    return task


def trained_on(task, recipe=RECIPE, session=None):
    torch.manual_seed(0)
    return fit(task.network(SMALL, recipe), task, recipe, 7, session)


def test_wrapper_of_nothing_trains_as_what_it_wraps(digits):
    plain, wrapped = trained_on(digits), trained_on(Wrapped(digits))
    assert plain.losses == wrapped.losses
    scores = [task.score(as_run(one.model), "val") for task, one in ((digits, plain), (Wrapped(digits), wrapped))]
    assert scores[0] == scores[1]


def test_louder_loss_begins_at_as_much_more(digits):
    plain, louder = trained_on(digits).losses, trained_on(Louder(digits, 3.0)).losses
    assert louder[0] == pytest.approx(3 * plain[0], rel=1e-6)


def test_louder_loss_at_a_smaller_rate_is_the_same_training(digits):
    recipe = replace(RECIPE, momentum=0.0, weight_decay=0.0, clip=0.0, optimizer="momentum", lr=0.02)
    plain = trained_on(digits, recipe).losses
    louder = trained_on(Louder(digits, 2.0), replace(recipe, lr=0.01)).losses
    assert louder == pytest.approx([2 * loss for loss in plain], rel=1e-3)


def test_noise_changes_the_labels_and_nothing_else(digits):
    steps = range(2, 6)
    plain = list(digits.batches("train", RECIPE, 3, steps))
    noisy = list(WithNoise(digits).batches("train", RECIPE, 3, steps))
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(plain, noisy, strict=True))
    changed = torch.cat([a != b for (_, a), (_, b) in zip(plain, noisy, strict=True)])
    assert 0.3 < changed.float().mean() < 0.6  # half, of which a tenth is drawn as it was


def test_noise_makes_learning_harder(digits):
    recipe = replace(RECIPE, epochs=8, lr=0.5, bn_momentum=0.5)
    plain, noisy = trained_on(digits, recipe), trained_on(WithNoise(digits, 0.9), recipe)
    assert noisy.train_loss > plain.train_loss + 0.2


def test_wrapped_training_goes_on_from_where_it_was_stopped(digits, tmp_path):
    task = Louder(WithNoise(digits), 0.5)
    whole = trained_on(task)
    state = StateFile(tmp_path / "training.state", {"digest": task.digest})
    first = trained_on(task, session=Session(state=state, until=0.5))
    rest = trained_on(task, session=Session(state=state))
    assert len(first.losses) == 2
    assert rest.losses == whole.losses


def test_digest_is_of_the_wrapper_its_options_and_what_it_wraps(digits, tmp_path):
    other = Classification("digits", train_images=99, val_images=50)
    tasks = [
        digits,
        other,
        Wrapped(digits),
        Louder(digits),
        Louder(digits, 3.0),
        WithNoise(digits, 3.0),
        Louder(other),
        Louder(WithNoise(digits)),
        WithNoise(Louder(digits)),
    ]
    assert len({task.digest for task in tasks}) == len(tasks)
    assert Louder(digits).digest == Louder(Classification("digits", train_images=100, val_images=50)).digest


def test_pickled_wrapper_is_prepared_as_what_it_wraps(digits, monkeypatch):
    task = Louder(WithNoise(digits, 0.25), 2.0)
    sent = pickle.dumps(task)
    assert len(sent) < 1500
    monkeypatch.setattr("paretonas.task.classification.prepare_data", lambda *_: pytest.fail("listed again"))
    found = pickle.loads(sent)
    assert found == task
    assert found.digest == task.digest
    assert trained_on(found).losses == trained_on(task).losses


def losses_in_worker(task, spec):
    torch.manual_seed(0)
    return fit(task.network(spec_from_json(spec), RECIPE), task, RECIPE, 7).losses


@pytest.mark.slow
def test_wrapped_task_is_trained_in_another_process(digits):
    task = WithNoise(digits)
    with executors.create("process:workers=1").start() as executor:
        job = executor.submit("train", losses_in_worker, task, spec_to_json(SMALL))
        executor.wait()
    assert job.result() == pytest.approx(trained_on(task).losses, rel=1e-4)


def test_what_is_done_with_tasks_is_done_with_wrapped_ones(digits):
    task = WithNoise(digits)
    torch.manual_seed(0)
    model = task.network(SMALL, RECIPE)
    assert zero_cost(model, task, 0)["synflow"] == zero_cost(model, digits, 0)["synflow"]
    assert zero_cost(model, task, 0)["gradient_norm"] != zero_cost(model, digits, 0)["gradient_norm"]
    assert examples_per_second(SpeedJob(spec_to_json(SMALL), task, RECIPE, "cpu")) > 0


def test_options_of_a_wrapper_are_read_as_any_plugins(digits):
    registry = Registry("task", {"louder": f"{__name__}:Louder"})
    assert registry.create("louder:factor=4", {"task": digits}) == Louder(digits, 4.0)
    assert registry.record("louder:factor=4", Louder(digits, 4.0)).options == {"factor": 4.0}


def test_score_of_a_wrapper_is_that_of_what_it_wraps(digits):
    def run(inputs):
        return (np.eye(10, dtype=np.float32)[np.zeros(len(inputs[0]), int)],)

    assert WithNoise(digits).score(run, "test") == digits.score(run, "test")
