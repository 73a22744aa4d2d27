"""What is asked of a projection, against ordinary differentiation of its logits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from seqrl.losses import entropies_of, expectation, expected_signal, token_log_probs
from seqrl.models import energies, projection
from seqrl.models.projection import BARRED, LogProbs, Projection

H, V, P = 3, 7, 6
WORDS = torch.tensor([1, 2, 2, 5, 6, 1])
BAR = [0, 3]


@pytest.fixture(params=["whole", "in parts", "made again"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything at once; two rows at a time; and with nothing kept for the backward pass."""
    if request.param != "whole":
        monkeypatch.setattr(projection, "AT_ONCE", 2 * V)
        monkeypatch.setattr(energies, "AT_ONCE", 2 * 4 * H)
    if request.param == "made again":
        monkeypatch.setattr(projection, "KEPT", 3 * V)
        monkeypatch.setattr(energies, "KEPT", 3 * 4 * H)
    return str(request.param)


def network() -> Projection:
    torch.manual_seed(0)
    return Projection(H, V, BAR).double()


def some(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradients(values: Tensor, inputs: list[Tensor]) -> Iterator[Tensor]:
    weights = some(*values.shape, seed=9)
    yield from torch.autograd.grad((values * weights).sum(), inputs)


def same(ours: Callable[[Tensor], Tensor], plain: Callable[[Tensor], Tensor], net: Any) -> None:
    """Values and gradients with respect to features, weights and biases."""
    features = some(P, H).requires_grad_()
    inputs = [features, net.weight, net.bias]
    torch.testing.assert_close(ours(features), plain(features), rtol=1e-12, atol=1e-12)
    for found, expected in zip(
        gradients(ours(features), inputs), gradients(plain(features), inputs), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


def test_barred_words_have_no_probability_and_their_bias_no_gradient() -> None:
    net, features = network(), some(P, H)
    logits = net(features)
    assert (logits[:, BAR] - features @ net.weight[BAR].T == BARRED).all()
    assert (torch.softmax(logits, -1)[:, BAR] == 0).all()
    (slope,) = torch.autograd.grad(logits.sum(), net.bias)
    assert slope.tolist() == [0 if w in BAR else P for w in range(V)]


def test_log_probabilities(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net, applied = network(), LogProbs.backward

    def backward(ctx: Any, *slopes: Tensor) -> Any:
        assert ctx.keeps == (way != "made again")
        return applied(ctx, *slopes)

    monkeypatch.setattr(LogProbs, "backward", staticmethod(backward))
    same(
        lambda f: net.log_probs(f, WORDS)[0],
        lambda f: token_log_probs(net(f), WORDS),
        net,
    )


def test_entropies_come_without_gradient(way: str) -> None:
    net, features = network(), some(P, H).requires_grad_()
    log_probs, found = net.log_probs(features, WORDS, entropies=True)
    assert found is not None
    assert not found.requires_grad
    assert log_probs.requires_grad
    torch.testing.assert_close(found, entropies_of(net(features)), rtol=1e-12, atol=1e-12)
    assert net.log_probs(features, WORDS)[1] is None
    with torch.no_grad():
        again, _ = net.log_probs(features, WORDS)
    assert torch.equal(again, log_probs)


def test_logits_far_apart_do_not_overflow() -> None:
    net = Projection(1, 3, [])
    net.weight.data, net.bias.data = torch.tensor([[1e4], [0.0], [-1e4]]), torch.zeros(3)
    features = torch.tensor([[1.0], [-1.0]])
    found, entropies = net.log_probs(features, torch.tensor([0, 0]), entropies=True)
    assert found.tolist() == [0.0, -2e4]
    assert entropies is not None
    assert entropies.tolist() == [0.0, 0.0]


def test_no_tokens_have_no_log_probabilities() -> None:
    net = network()
    found, _ = net.log_probs(some(0, H).requires_grad_(), WORDS[:0])
    found.sum().backward()
    assert found.shape == (0,)
    assert net.weight.grad is not None
    assert not net.weight.grad.any()


def test_frozen_weights_get_no_gradient(way: str) -> None:
    net, features = network().requires_grad_(False), some(P, H).requires_grad_()
    ours, plain = net.log_probs(features, WORDS)[0], token_log_probs(net(features), WORDS)
    found, expected = next(gradients(ours, [features])), next(gradients(plain, [features]))
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
    assert net.weight.grad is None


def test_the_value_of_one_word() -> None:
    net = network()
    same(
        lambda f: net.chosen(f, WORDS),
        lambda f: net(f).gather(1, WORDS.unsqueeze(1)).squeeze(1),
        net,
    )


def test_the_expected_value(way: str) -> None:
    net, p = network(), torch.softmax(some(P, V, seed=2), -1)
    p[1, BAR], p[3, 2] = 0.0, 0.0
    same(lambda f: net.expected(f, p.log()), lambda f: expectation(p, net(f)), net)
    same(lambda f: net.expected(f, p[:1].log()), lambda f: expectation(p[:1], net(f)), net)


def test_the_spread() -> None:
    net = Projection(H, V, []).double()
    same(lambda f: net.spread(f), lambda f: net(f).var(-1, correction=0) * V, net)


def test_the_spread_does_not_see_what_all_words_share() -> None:
    """In single precision: the values' mean is a million times their distance."""
    net = Projection(H, V, [])
    spread = net.spread(torch.ones(1, H))
    net.bias.data += 2.0**10
    torch.testing.assert_close(net.spread(torch.ones(1, H)), spread, rtol=1e-2, atol=0)


def test_the_policy_gradient_over_all_words(way: str) -> None:
    net, signal = network(), some(P, V, seed=3)

    def ours(features: Tensor) -> Tensor:
        log_pi = torch.log_softmax(net(features), -1).detach()
        return net.expected_signal(features, log_pi, signal.clone())

    same(ours, lambda f: expected_signal(net(f), signal), net)


def test_under_autocast_products_are_in_half_and_sums_in_single() -> None:
    torch.manual_seed(0)
    net = Projection(64, 50, [0])
    features, words = torch.randn(20, 64, requires_grad=True), torch.randint(1, 50, (20,))
    exact = net.log_probs(features, words)[0]
    expected = [*torch.autograd.grad(exact.sum(), [features, net.weight, net.bias])]
    with torch.autocast("cpu", torch.bfloat16):
        found, entropies = net.log_probs(features.bfloat16(), words, entropies=True)
        spread, value = net.spread(features.bfloat16()), net.chosen(features.bfloat16(), words)
    assert found.dtype == spread.dtype == value.dtype == torch.float32
    assert entropies is not None
    assert entropies.dtype == torch.float32
    torch.testing.assert_close(found, exact, rtol=0.01, atol=0.02)
    assert not torch.equal(found, exact)
    slopes = torch.autograd.grad(found.sum(), [features, net.weight, net.bias])
    for slope, other in zip(slopes, expected, strict=True):
        assert slope.dtype == torch.float32
        torch.testing.assert_close(slope, other, rtol=0.1, atol=0.05)


def test_energies_of_additive_attention(way: str) -> None:
    """v . tanh(q_p + k_s) with the keys of the query's own row."""
    inputs = [x.requires_grad_() for x in (some(P, H), some(3, 4, H, seed=2), some(H, seed=3))]
    rows = torch.tensor([0, 0, 0, 2, 2, 1])

    def plain(queries: Tensor, keys: Tensor, energy: Tensor) -> Tensor:
        return torch.tanh(keys[rows] + queries.unsqueeze(1)) @ energy

    found = energies.additive_energies(*inputs, rows)
    torch.testing.assert_close(found, plain(*inputs), rtol=1e-12, atol=1e-12)
    for one, other in zip(gradients(found, inputs), gradients(plain(*inputs), inputs), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)
