"""The losses and the one rule by which they are reduced."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from seqrl.losses import entropy, expected_signal, kl, reduce, token_log_probs, weighted_nll

N, T, V = 3, 4, 5
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]]).bool()


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def gradient(loss: Tensor, of: Tensor) -> Tensor:
    return torch.autograd.grad(loss, of)[0]


def test_the_reduction_sums_over_tokens_and_divides_by_the_sentences_of_the_whole() -> None:
    values = torch.arange(12, dtype=torch.float64).view(N, T)
    # 0 + 1 + 2 + 3 + 4 + 5 + 8 over 5 sentences, two of them elsewhere
    assert reduce(values, MASK, 5).item() == 23 / 5


def test_what_is_masked_does_not_count_whatever_it_is() -> None:
    values = torch.where(MASK, 1.0, torch.tensor([[math.inf], [math.nan], [-math.inf]]))
    assert reduce(values, MASK, 1).item() == 7


def test_log_probs_of_the_targets() -> None:
    logits = torch.tensor([[[0.0, math.log(3)], [math.log(4), 0.0]]], dtype=torch.float64)
    found = token_log_probs(logits, torch.tensor([[1, 1]]))
    torch.testing.assert_close(
        found, torch.tensor([[math.log(0.75), math.log(0.2)]]).double(), rtol=0, atol=1e-7
    )
    assert found.dtype == torch.float64


def test_log_probs_of_half_precision_logits_are_single() -> None:
    logits = normal(N, T, V).bfloat16()
    found = token_log_probs(logits, torch.zeros(N, T, dtype=torch.long))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.log_softmax(logits.float(), -1)[..., 0])


def test_gradient_of_the_weighted_likelihood_is_p_minus_onehot() -> None:
    logits, weights = normal(N, T, V).requires_grad_(), normal(N, T, seed=1)
    targets = torch.randint(V, (N, T), generator=torch.Generator().manual_seed(2))
    loss = weighted_nll(token_log_probs(logits, targets), weights, MASK, 6)
    onehot = torch.nn.functional.one_hot(targets, V)
    expected = (torch.softmax(logits, -1) - onehot) * (weights * MASK).unsqueeze(-1) / 6
    torch.testing.assert_close(gradient(loss, logits), expected, rtol=0, atol=1e-12)


def test_sequence_weights_count_for_every_token() -> None:
    log_probs, weights = normal(N, T), normal(N, 1, seed=1)
    expected = -sum(
        weights[n, 0] * log_probs[n, t] for n in range(N) for t in range(T) if MASK[n, t]
    )
    found = weighted_nll(log_probs, weights, MASK, 2)
    assert found.item() == pytest.approx(expected.item() / 2, abs=1e-12)


def test_weights_and_signals_get_no_gradient() -> None:
    logits, weights = normal(N, T, V).requires_grad_(), normal(N, T).requires_grad_()
    signal = normal(N, T, V).requires_grad_()
    targets = torch.zeros(N, T, dtype=torch.long)
    loss = weighted_nll(token_log_probs(logits, targets), weights, MASK, 1)
    (loss + reduce(-expected_signal(logits, signal), MASK, 1)).backward()
    assert weights.grad is None
    assert signal.grad is None
    assert logits.grad is not None


def test_value_of_the_expected_signal() -> None:
    logits = torch.log(torch.tensor([[[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]]])).double()
    signal = torch.tensor([[[1.0, 2.0, -1.0], [9.0, 9.0, 9.0]]]).double()
    mask = torch.tensor([[True, False]])
    # -(0.2 + 0.6 - 0.5) / 2
    assert reduce(-expected_signal(logits, signal), mask, 2).item() == pytest.approx(
        -0.15, abs=1e-7
    )


def test_gradient_of_the_expected_signal_is_that_of_cross_entropy_to_pi_times_advantage() -> None:
    logits, values = normal(N, T, V).requires_grad_(), normal(N, T, V, seed=1)
    pi = torch.softmax(logits, -1).detach()
    advantage = values - (pi * values).sum(-1, keepdim=True)
    cross_entropy = -(pi * advantage * torch.log_softmax(logits, -1)).sum(-1)
    found = gradient(reduce(-expected_signal(logits, values), MASK, 7), logits)
    torch.testing.assert_close(
        found, gradient(cross_entropy[MASK].sum() / 7, logits), rtol=0, atol=1e-12
    )
    torch.testing.assert_close(found, -pi * advantage * MASK.unsqueeze(-1) / 7, rtol=0, atol=1e-12)


def test_a_function_of_the_state_does_not_move_the_expected_signals_gradient() -> None:
    logits, values = normal(N, T, V).requires_grad_(), normal(N, T, V, seed=1)
    baseline = 10 * normal(N, T, 1, seed=2)
    torch.testing.assert_close(
        gradient(reduce(-expected_signal(logits, values + baseline), MASK, 3), logits),
        gradient(reduce(-expected_signal(logits, values), MASK, 3), logits),
        rtol=0,
        atol=1e-12,
    )


def test_detached_entropy_signal_has_the_gradient_of_the_entropy() -> None:
    logits, values, tau = normal(N, T, V).requires_grad_(), normal(N, T, V, seed=1), 0.3
    signal = values - tau * torch.log_softmax(logits, -1).detach()
    objective = (torch.softmax(logits, -1) * values).sum(-1) + tau * entropy(
        torch.log_softmax(logits, -1)
    )
    torch.testing.assert_close(
        gradient(reduce(-expected_signal(logits, signal), MASK, 3), logits),
        gradient(-objective[MASK].sum() / 3, logits),
        rtol=0,
        atol=1e-12,
    )


def test_kl() -> None:
    p, q = torch.tensor([0.5, 0.5, 0.0]).double(), torch.tensor([0.25, 0.5, 0.25]).double()
    log_p = p.log().masked_fill(p == 0, -1e4)  # a token that is no action
    assert kl(log_p, q.log()).item() == pytest.approx(0.5 * math.log(2), abs=1e-12)
    assert kl(log_p, log_p).item() == 0


def test_entropy() -> None:
    uniform = torch.full((V,), -math.log(V), dtype=torch.float64)
    assert entropy(uniform).item() == pytest.approx(math.log(V), abs=1e-12)
    log_probs = torch.tensor([0.5, 0.25, 0.25]).double().log()
    assert entropy(log_probs).item() == pytest.approx(1.5 * math.log(2), abs=1e-12)
    assert entropy(torch.tensor([0.0, -1e4])).item() == 0


def test_sums_over_the_vocabulary_keep_single_precision_under_autocast() -> None:
    logits, signal = normal(N, T, 1000).float().requires_grad_(), normal(N, T, 1000, seed=1).float()
    log_probs = torch.log_softmax(logits.detach(), -1)
    expected = (
        entropy(log_probs),
        gradient(reduce(-expected_signal(logits, signal), MASK, 1), logits),
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = (
            entropy(log_probs),
            gradient(reduce(-expected_signal(logits, signal), MASK, 1), logits),
        )
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
