"""What a student learns of its teacher."""

import math
import pickle
from dataclasses import dataclass, replace
from random import Random

import numpy as np
import pytest
import torch
from small_networks import SMALL
from torch import nn

from paretonas.data.augment import MEAN, STD, to_input
from paretonas.errors import TrainingError, UsageError
from paretonas.space import Interface, Spec, spec_hash
from paretonas.task.classification import Classification
from paretonas.task.distilled import Distilled, Teacher, _loaded, divergence
from paretonas.task.language import Language
from paretonas.task.recipe import Recipe
from paretonas.task.task import At, Task
from paretonas.testing.task import TaskContract
from paretonas.training.fit import Session, fit
from paretonas.training.state import StateFile
from paretonas.zoo import zoo_spec

TWICE = SMALL.scaled(2.0)

# The divergence


def test_divergence_is_that_of_hand_computed_probabilities():
    outputs = torch.tensor([[0.0, 0.0], [2.0, 2.0]])  # halves
    targets = torch.tensor([[3.0, 1.0], [9.0, 1.0]]).log()  # .75 and .25; .9 and .1
    first = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    second = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    assert float(divergence(outputs, targets)) == pytest.approx((first + second) / 2, rel=1e-5)


def test_divergence_is_not_the_one_of_the_student_from_the_teacher():
    outputs, targets = torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 1.0]]).log()
    assert float(divergence(outputs, targets)) != pytest.approx(float(divergence(targets, outputs)), rel=1e-2)


def test_divergence_at_a_temperature_is_that_of_flatter_probabilities_times_its_square():
    outputs, targets = torch.zeros(1, 2), torch.tensor([[9.0, 1.0]]).log()  # at 2: .75 and .25
    expected = 4 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    assert float(divergence(outputs, targets, 2.0)) == pytest.approx(expected, rel=1e-5)


def test_divergence_pulls_the_student_to_the_teacher_and_leaves_the_teacher_alone():
    outputs, targets = torch.zeros(1, 2, requires_grad=True), torch.tensor([[3.0, 1.0]]).log().requires_grad_()
    divergence(outputs, targets).backward()
    assert outputs.grad.tolist() == [pytest.approx([-0.25, 0.25])]
    assert targets.grad is None


def test_divergence_of_sequences_is_the_mean_over_words():
    generator = torch.Generator().manual_seed(0)
    outputs, targets = torch.randn(2, 3, 5, generator=generator), torch.randn(2, 3, 5, generator=generator)
    each = [divergence(outputs[n, t], targets[n, t]) for n in range(2) for t in range(3)]
    assert float(divergence(outputs, targets)) == pytest.approx(float(torch.stack(each).mean()), rel=1e-5)


def test_divergence_of_half_precision_is_computed_in_float32():
    outputs, targets = torch.tensor([[100.0, 0.0]]), torch.tensor([[100.0, 1.0]])
    exact, half = divergence(outputs, targets), divergence(outputs.bfloat16(), targets.bfloat16())
    assert half.dtype is torch.float32
    assert float(half) == float(exact)


# Tasks with a teacher


@dataclass(frozen=True)
class Pupil(Teacher):
    """A network with weights by a seed, for a task."""

    task: Task
    spec: Spec = TWICE
    seed: int = 0
    told: tuple[tuple[str, object], ...] = ()

    @property
    def digest(self):
        return f"{spec_hash(self.spec)} {self.seed}"

    @property
    def name(self):
        return "the pupil"

    @property
    def interface(self):
        return self.task.interface

    @property
    def metadata(self):
        return {**self.task.metadata, **dict(self.told)}

    def network(self):
        torch.manual_seed(self.seed)
        return self.task.network(self.spec, Recipe()).eval()


RECIPE = Recipe(epochs=1, batch_size=25, crop=0.0)


@pytest.fixture
def digits(tmp_path_factory):
    task = Classification("digits", train_images=100, val_images=50)
    task.prepare(tmp_path_factory.getbasetemp() / "digits")
    return task


def network_of(task, spec=SMALL, recipe=RECIPE):
    torch.manual_seed(1)
    return task.network(spec, recipe)


def loss_of(task, model, recipe=RECIPE):
    (batch,) = task.batches("train", recipe, 0, range(1))
    torch.manual_seed(0)
    return task.loss(model, batch, At(0, 4, 0, recipe))


def test_loss_is_the_tasks_own_and_the_weighted_divergence(digits):
    teacher, model = Pupil(digits), network_of(digits)
    images, _ = next(digits.batches("train", RECIPE, 0, range(1)))
    x = to_input(images)
    with torch.no_grad():
        outputs, targets = model.eval()(x), teacher.network()(x)
    expected = float(loss_of(digits, model).detach()) + 0.7 * float(divergence(outputs, targets, 3.0))
    assert float(loss_of(Distilled(digits, teacher, 0.7, 3.0), model).detach()) == pytest.approx(expected, rel=1e-5)


def test_a_student_that_answers_as_its_teacher_loses_as_without(digits):
    teacher = Pupil(digits)
    student = teacher.network()
    assert float(loss_of(Distilled(digits, teacher), student).detach()) == pytest.approx(
        float(loss_of(digits, student).detach()), rel=1e-5
    )


def test_the_teacher_sees_the_mixed_images_of_its_student(digits):
    recipe, seen = replace(RECIPE, mixup=1.0), []

    class Watching(nn.Module):
        def forward(self, x):
            seen.append(x)
            return x.flatten(1)[:, :10]

    @dataclass(frozen=True)
    class Watcher(Pupil):
        def network(self):
            return Watching()

    loss_of(Distilled(digits, Watcher(digits)), Watching(), recipe)
    student, teacher = seen
    assert torch.equal(student, teacher)
    assert len(student) == 24  # an even number is mixed


def test_an_auxiliary_classifier_has_no_part_in_the_divergence(digits):
    class WithAnother(nn.Module):
        def forward(self, x):
            logits = x.flatten(1)[:, :10]
            return logits, 3 * logits

    teacher, recipe = Pupil(digits), replace(RECIPE, auxiliary=0.4)
    own = loss_of(digits, WithAnother(), recipe)
    taught = loss_of(Distilled(digits, teacher, 2.0), WithAnother(), recipe)
    x = to_input(next(digits.batches("train", RECIPE, 0, range(1)))[0])
    with torch.no_grad():
        expected = 2.0 * divergence(x.flatten(1)[:, :10], teacher.network()(x))
    assert float(taught - own) == pytest.approx(float(expected), rel=1e-4)


def test_a_teacher_of_other_pixels_is_fed_its_own(digits):
    seen = {}

    class Watching(nn.Module):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def forward(self, x):
            seen[self.name] = x
            return x.flatten(1)[:, :10]

    @dataclass(frozen=True)
    class Watcher(Pupil):
        def network(self):
            return Watching("teacher")

    told = (("mean", 0.2), ("std", 0.5))
    loss_of(Distilled(digits, Watcher(digits, told=told)), Watching("student"))
    pixels = seen["student"] * STD + MEAN
    assert torch.allclose(seen["teacher"], (pixels - 0.2) / 0.5, atol=1e-5)


def test_the_teacher_learns_nothing_and_the_student_does(digits):
    task = Distilled(digits, Pupil(digits))
    before = {name: tensor.clone() for name, tensor in Pupil(digits).network().state_dict().items()}
    trained = fit(network_of(task), task, replace(RECIPE, epochs=3), 0)
    after, _, _ = _loaded(task, torch.device("cpu"), torch.channels_last)
    assert all(torch.equal(before[name], tensor) for name, tensor in after.state_dict().items())
    assert trained.losses[-1] < trained.losses[0]


@pytest.mark.slow
def test_a_student_comes_nearer_to_its_teacher_than_without(digits):
    teacher, recipe = Pupil(digits, seed=3), replace(RECIPE, epochs=10, lr=0.2, bn_momentum=0.5)
    images = to_input(torch.from_numpy(digits.images.val.images.copy()))
    models = [fit(network_of(task), task, recipe, 0).model for task in (digits, Distilled(digits, teacher, 20.0))]
    with torch.inference_mode():
        targets = teacher.network()(images)
        apart = [float(divergence(model(images), targets)) for model in models]
    assert apart[1] < 0.5 * apart[0]


def test_interrupted_training_goes_on_to_the_same_losses(digits, tmp_path):
    task = Distilled(digits, Pupil(digits), 0.5, 2.0)
    recipe = replace(RECIPE, dropout=0.3)
    whole = fit(network_of(task, recipe=recipe), task, recipe, 7).losses
    state = StateFile(tmp_path / "training.state", {"digest": task.digest})
    fit(network_of(task, recipe=recipe), task, recipe, 7, Session(state=state, until=0.5))
    _loaded.cache_clear()
    assert fit(network_of(task, recipe=recipe), task, recipe, 7, Session(state=state)).losses == whole


# Language


@pytest.fixture
def texts(tmp_path):
    words, folder = list("abcdefg"), tmp_path / "texts"
    folder.mkdir()
    rng = Random(0)
    for name, lines in (("train", 60), ("valid", 10), ("test", 10)):
        text = "\n".join(" ".join(rng.choice(words) for _ in range(8)) for _ in range(lines))
        (folder / f"{name}.txt").write_text(text)
    return Language(str(folder), window=5)


def test_a_language_model_learns_from_another_over_the_words_of_a_window(texts):
    teacher, model = Pupil(texts, zoo_spec("lstm:hidden=12")), network_of(texts, zoo_spec("nascell:hidden=8"))
    task, kept, recipe = Distilled(texts, teacher, 0.7), {}, replace(RECIPE, batch_size=4)
    first, second = texts.batches("train", recipe, 0, range(2))
    assert (first[2], second[2]) == (True, False)
    network = teacher.network()
    logits, h, c = network.sequence(first[0])
    task.loss(model, first, At(0, 4, 0, recipe, kept))
    assert torch.allclose(kept["teacher.0"], h)
    assert torch.allclose(kept["teacher.1"], c)
    assert not kept["teacher.0"].requires_grad
    own_state = {name: kept[name] for name in ("h", "c")}
    own = texts.loss(model, second, At(1, 4, 0, recipe, dict(own_state)))
    outputs = model.sequence(second[0], own_state["h"], own_state["c"])[0]
    expected = own + 0.7 * divergence(outputs, network.sequence(second[0], h, c)[0])
    found = task.loss(model, second, At(1, 4, 0, recipe, kept))
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    assert logits.shape == (4, 5, len(texts.corpus.words))


def test_states_of_a_teacher_begin_anew_where_those_of_the_student_do(texts):
    task, recipe = Distilled(texts, Pupil(texts, zoo_spec("lstm:hidden=12"))), replace(RECIPE, batch_size=4)
    model, (first,) = network_of(texts, zoo_spec("nascell:hidden=8")), texts.batches("train", recipe, 0, range(1))
    losses = []
    for kept in ({}, {"h": torch.ones(4, 2, 8), "c": torch.ones(4, 2, 8), "teacher.0": torch.ones(4, 2, 12)}):
        losses.append(float(task.loss(model, first, At(0, 4, 0, recipe, kept)).detach()))
    assert losses[0] == losses[1]


def test_a_recurrent_training_with_a_teacher_goes_on_to_the_same_losses(texts, tmp_path):
    task, spec = Distilled(texts, Pupil(texts, zoo_spec("lstm:hidden=12"))), zoo_spec("nascell:hidden=8")
    recipe = Recipe(epochs=1, batch_size=4, lr=0.1, layout="contiguous")
    whole = fit(network_of(task, spec), task, recipe, 7).losses
    state = StateFile(tmp_path / "training.state", {"digest": task.digest})
    fit(network_of(task, spec), task, recipe, 7, Session(state=state, until=0.5))
    assert fit(network_of(task, spec), task, recipe, 7, Session(state=state)).losses == whole


# What the wrapper is


def test_all_else_is_the_tasks(digits):
    task = Distilled(digits, Pupil(digits))

    def run(inputs):
        return (np.eye(10, dtype=np.float32)[np.zeros(len(inputs[0]), int)],)

    assert (task.quality, task.scores, task.interface, task.typical) == (
        digits.quality,
        digits.scores,
        digits.interface,
        digits.typical,
    )
    assert (task.examples, task.about()) == (digits.examples, digits.about())
    assert task.score(run, "val") == digits.score(run, "val")
    assert task.examine(run, "val") == digits.examine(run, "val")
    taught = {"digest": task.teacher.digest, "weight": 0.5, "temperature": 1.0}
    assert task.metadata == {**digits.metadata, "teacher": taught}


def test_digest_is_of_options_teacher_and_task(digits):
    other = replace(digits, train_images=99)
    tasks = [
        digits,
        Distilled(digits, Pupil(digits)),
        Distilled(digits, Pupil(digits), weight=1.0),
        Distilled(digits, Pupil(digits), temperature=2.0),
        Distilled(digits, Pupil(digits, seed=1)),
        Distilled(other, Pupil(other)),
    ]
    assert len({task.digest for task in tasks}) == len(tasks)


def test_a_task_with_a_teacher_travels(digits):
    task = Distilled(digits, Pupil(digits), 0.25, 4.0)
    found = pickle.loads(pickle.dumps(task))
    assert found == task
    assert found.digest == task.digest
    assert float(loss_of(found, network_of(found)).detach()) == float(loss_of(task, network_of(task)).detach())


@pytest.mark.parametrize("wrong", [{"weight": 0.0}, {"weight": -1.0}, {"temperature": 0.0}, {"weight": 1e9}])
def test_numbers_out_of_range_are_refused(digits, wrong):
    with pytest.raises(UsageError, match="must hold, but got"):
        Distilled(digits, Pupil(digits), **wrong)


def test_a_teacher_of_other_images_or_classes_is_refused(digits, tree):
    animals = Classification(str(tree), resolution=8)
    with pytest.raises(UsageError, match=r"is fed images of 1 x 8 x 8 .* but the pupil 3 x 8 x 8"):
        Distilled(digits, Pupil(animals)).check()
    larger = replace(digits, resolution=16)
    with pytest.raises(UsageError, match=r"is fed images of 1 x 8 x 8 .* but the pupil 1 x 16 x 16"):
        loss_of(Distilled(digits, Pupil(larger)), network_of(digits))
    with pytest.raises(UsageError, match=r"has the classes \['0', .* but the pupil \['9'"):
        Distilled(digits, Pupil(digits, told=(("classes", list("9876543210")),))).prepare(tree)


def test_classes_that_are_numbers_alone_are_taken_to_be_in_order(tree):
    animals = Classification(str(tree), resolution=8)
    Distilled(animals, Pupil(animals, told=(("classes", ["0", "1"]),))).check()
    with pytest.raises(UsageError, match="has the classes"):
        Distilled(animals, Pupil(animals, told=(("classes", ["1", "0"]),))).check()


def test_a_teacher_of_more_classes_is_refused(digits):
    @dataclass(frozen=True)
    class Wider(Pupil):
        @property
        def interface(self):
            return Interface.of_images(channels=1, resolution=8, classes=11)

    with pytest.raises(UsageError, match="gives logits of 10 as its students here, but the pupil 11"):
        Distilled(digits, Wider(digits)).check()


def test_a_task_whose_loss_runs_no_network_is_said_to(digits):
    @dataclass(frozen=True)
    class Idle(Classification):
        def loss(self, model, batch, at):
            return torch.zeros((), requires_grad=True)

    idle = Idle("digits", train_images=100, val_images=50)
    with pytest.raises(TrainingError, match="Idle does not"):
        loss_of(Distilled(idle, Pupil(digits)), network_of(digits))


class TestDistilled(TaskContract):
    @pytest.fixture
    def task(self, digits):
        return Distilled(digits, Pupil(digits))

    @pytest.fixture
    def spec(self):
        return SMALL
