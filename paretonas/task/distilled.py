"""Knowledge distillation: a network learns from its task and from what another network answers."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def divergence(outputs: Tensor, targets: Tensor, temperature: float = 1.0) -> Tensor:
    """How far the classes' probabilities of a student are from a teacher's: a scalar, 0 where they agree.

    `temperature ** 2 * sum_i p_i * (log p_i - log q_i)`, p and q the softmax over i of `targets / temperature` and of
    `outputs / temperature`, averaged over all but the last side. The square keeps the size of the gradients, whatever
    the temperature. Computed in float32; no gradient flows into `targets`.

    Args:
        outputs: The student's logits, (..., classes).
        targets: The teacher's, of the same shape.
        temperature: Positive; the higher, the more the unlikely classes count.

    Source: Hinton et al., Distilling the Knowledge in a Neural Network, 2015, section 2.

    >>> import torch
    >>> round(float(divergence(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 1.0]]).log())), 6)  # .75 and .25
    0.130812
    """
    classes = outputs.shape[-1]
    log_q = F.log_softmax(outputs.float().reshape(-1, classes) / temperature, dim=-1)
    log_p = F.log_softmax(targets.detach().float().reshape(-1, classes) / temperature, dim=-1)
    return temperature**2 * F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)
