"""Every loss of the project, and the one rule by which they are reduced.

The rule: sum over tokens, divided by the number of sentences of the whole batch. Weights
carry whatever else an algorithm divides by (1/K for K samples per sentence).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

AT_ONCE = 1 << 20
"""Logits whose entropy is computed at once: what fits into a cache takes half the time."""


def reduce(values: Tensor, mask: Tensor, sentences: int) -> Tensor:
    """(1/B) sum over n, t of the values [N, T] where `mask` [N, T] is true; B = `sentences`."""
    return torch.where(mask, values, 0.0).sum() / sentences


def token_log_probs(logits: Tensor, targets: Tensor) -> Tensor:
    """log p(y_t | y_<t, x) [...] from logits [..., V] and targets [...]."""
    flat = F.cross_entropy(
        at_least_single(logits.flatten(0, -2)), targets.flatten(), reduction="none"
    )
    return -flat.view_as(targets)


def at_least_single(values: Tensor) -> Tensor:
    """The values in single precision, or as they are in double: half is too coarse to be summed."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def weighted_nll(log_probs: Tensor, weights: Tensor, mask: Tensor, sentences: int) -> Tensor:
    """-(1/B) sum_n,t w[n,t] log p[n,t]; weights [N, T] or [N, 1], without gradient."""
    return reduce(-weights.detach() * log_probs, mask, sentences)


def expected_signal(logits: Tensor, signal: Tensor) -> Tensor:
    """sum_w pi(w) S(w) [...] from logits and signal [..., V]: the full-vocabulary policy gradient.

    The signal is detached, so that with S = Q - tau log pi the gradient is that of
    sum_w pi Q + tau H(pi) (Dai et al. 2018, eq. 20).
    """
    return expectation(torch.softmax(logits, dim=-1), signal.detach())


def entropy(log_probs: Tensor) -> Tensor:
    """-sum_w p log p in nats, [...] from log-probabilities [..., V]."""
    return -expectation(log_probs.exp(), log_probs)


def kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) = sum_w p (log p - log q) in nats, [...] from log-probabilities [..., V]."""
    return expectation(log_p.exp(), log_p - log_q)


def tempered(logits: Tensor, temperature: float) -> Tensor:
    """softmax(logits / temperature) [..., V]."""
    return torch.softmax(at_least_single(logits) / temperature, dim=-1)


def expectation(probabilities: Tensor, values: Tensor) -> Tensor:
    """sum_w p(w) v(w), [...] from [..., V], without the product as a tensor of its own."""
    with torch.autocast(probabilities.device.type, enabled=False):  # or the sum is in half
        expected: Tensor = torch.linalg.vecdot(probabilities, values.to(probabilities.dtype))
    return expected


@torch.no_grad()
def entropies_of(logits: Tensor) -> Tensor:
    """-sum_w p log p in nats [...] of the distributions with logits [..., V]."""
    rows = max(1, AT_ONCE // logits.shape[-1])
    kind = torch.promote_types(logits.dtype, torch.float32)
    parts = torch.split(logits.flatten(0, -2), rows)
    found = [entropy(torch.log_softmax(part, dim=-1, dtype=kind)) for part in parts]
    return torch.cat(found).view(logits.shape[:-1])
