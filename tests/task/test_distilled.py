"""What a student learns of its teacher."""

import math

import pytest
import torch

from paretonas.task.distilled import divergence

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
