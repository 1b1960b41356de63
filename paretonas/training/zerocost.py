"""Metrics of an untrained network that are said to foretell its accuracy. Whether they do is to be measured.

Source: Abdelfattah et al., Zero-Cost Proxies for Lightweight NAS, ICLR 2021. `synflow`: Tanaka et al., Pruning Neural
Networks without any Data by Iteratively Conserving Synaptic Flow, NeurIPS 2020. `jacobian_covariance`: Mellor et al.,
Neural Architecture Search without Training, arXiv 2006.04647v1, 2020.
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from paretonas.errors import TrainingError
from paretonas.task.recipe import Recipe
from paretonas.task.task import At, Task

NORMALIZATIONS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
PASSED = (*NORMALIZATIONS, nn.ReLU6, nn.Hardswish, nn.SiLU)
"""Layers that `synflow` leaves out: normalization undoes the products that it sums up, the others bound them."""


PLAIN = Recipe(batch_size=64, crop=0.0, is_flipped=False)
"""An untrained network is shown the first batch of this recipe: so many examples, as they are."""


def zero_cost(model: nn.Module, task: Task, seed: int) -> dict[str, float]:
    """All metrics of a network with its initial weights, which are left as they are. More is said to be better.

    Args:
        model: Untrained; on the CPU.
        task: Gives a batch and its loss.
        seed: Of the batch.

    Raises:
        TrainingError: A metric is not a finite number.
    """
    (batch,), at = task.batches("train", PLAIN, seed, range(1)), At(0, 1, seed, PLAIN)
    shape = task.interface.inputs[0].shape

    def loss(of: nn.Module) -> Tensor:
        return task.loss(of, batch, at)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        values = {
            "synflow": synflow(model, shape),
            "jacobian_covariance": jacobian_covariance(model, inputs_of(model, loss)),
            "gradient_norm": gradient_norm(model, loss),
        }
    for name, value in values.items():
        if not math.isfinite(value):
            raise TrainingError(f"A metric of an untrained network is a finite number, but its {name} is {value}.")
    return values


def inputs_of(model: nn.Module, loss: Callable[[nn.Module], Tensor]) -> Tensor:
    """What a loss feeds a network first: (n, …)."""
    fed: list[Tensor] = []
    shown = copy.deepcopy(model)
    shown.register_forward_pre_hook(lambda _, inputs: fed.append(inputs[0].detach().clone()))
    with torch.no_grad():
        loss(shown)
    return fed[0]


def synflow(model: nn.Module, shape: Sequence[int]) -> float:
    """Logarithm of the sum over weights of weight x gradient, with all weights positive and an image of ones.

    Without normalization, bounded activations and biases, so that what is summed are products of weights along paths;
    in double precision, as they grow large.

    Args:
        model: Untrained.
        shape: Of the image, (1, channels, height, width).
    """
    linear = copy.deepcopy(model).double().eval()
    for module in linear.modules():
        if isinstance(module, PASSED):
            module.forward = _same  # type: ignore[method-assign]
    weights = {n: p.detach().abs().requires_grad_() for n, p in linear.named_parameters() if p.dim() > 1}
    others = {n: p.detach().abs() for n, p in linear.named_parameters() if n not in weights}  # biases, scales
    rest = {n: torch.zeros_like(p) if n.endswith("bias") else p for n, p in others.items()}
    output = functional_call(linear, {**weights, **rest}, torch.ones(shape, dtype=torch.float64)).sum()
    gradients = torch.autograd.grad(output, list(weights.values()), allow_unused=True)
    total = sum((w * g).sum().item() for w, g in zip(weights.values(), gradients, strict=True) if g is not None)
    return math.log(total + sys.float_info.min)


def jacobian_covariance(model: nn.Module, inputs: Tensor) -> float:
    """How little the gradients to the examples of a batch resemble each other.

    Minus the sum of log(v) + 1/v over the eigenvalues v of the correlations of the gradients, each example's flattened.

    Args:
        model: Untrained.
        inputs: (n, …), n >= 2, as the network takes them.
    """
    x = inputs.clone().requires_grad_()
    output = copy.deepcopy(model).train()(x).sum() + 0.0 * x.sum()  # which may not depend on the examples at all
    (gradient,) = torch.autograd.grad(output, x)
    alike = torch.corrcoef(gradient.flatten(1).double()).nan_to_num(1.0)  # constant gradients have no correlation
    values = torch.linalg.eigvalsh(alike).clamp(min=0.0) + 1e-5
    return -float((values.log() + 1.0 / values).sum())


def gradient_norm(model: nn.Module, loss: Callable[[nn.Module], Tensor]) -> float:
    """Euclidean norms of the gradient of one batch's loss, summed over the layers' weights.

    Args:
        model: Untrained.
        loss: Of a network on the batch.
    """
    trained = copy.deepcopy(model).train()
    weights = [p for p in trained.parameters() if p.dim() > 1]
    gradients = torch.autograd.grad(loss(trained), weights, allow_unused=True)
    return sum(float(g.norm()) for g in gradients if g is not None)


def _same(x: Tensor) -> Tensor:
    return x
