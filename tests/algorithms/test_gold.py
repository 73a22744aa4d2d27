"""GOLD: weights by hand, its limits, and what a batch's padding must not change."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from seqrl.algorithms.gold import GOLD
from seqrl.algorithms.likelihood import MLE
from seqrl.types import Batch, Clock
from tabular import EOS, NODE, TabularPolicy, batch_of, policy_table

REFERENCES = [(4, 5, 6, EOS), (5, EOS), (6, 6, EOS), (EOS,)]


def loss_and_gradient(algorithm: MLE | GOLD, batch: Batch) -> tuple[Tensor, Tensor]:
    loss = algorithm.losses(batch, Clock())["policy"]
    (gradient,) = torch.autograd.grad(loss, list(algorithm.policy.parameters()))
    return loss.detach(), gradient


def gold(seed: int = 0, **options: float | str | bool) -> GOLD:
    return GOLD(policy=TabularPolicy(policy_table(seed, rows=9)), **options)  # type: ignore[arg-type]


def probability(policy: TabularPolicy, row: int, y: tuple[int, ...], t: int) -> float:
    return torch.softmax(policy.table[4 + row, NODE[y[:t]]].detach(), -1)[y[t]].item()


@pytest.mark.parametrize("variant", ["s", "p"])
def test_weights_by_hand(variant: str) -> None:
    """With three policies that differ, which only training can bring about."""
    algorithm = gold(
        variant=variant, suffix=2, discount=0.5, least_weight=0.15, least_reward=0.2, base=-3.0
    )
    first, stale = (TabularPolicy(policy_table(seed, rows=9)) for seed in (1, 2))
    algorithm.first, algorithm.stale = first, stale
    loss, gradient = loss_and_gradient(algorithm, batch_of(REFERENCES))
    expected, slope = 0.0, torch.zeros_like(gradient)
    for row, y in enumerate(REFERENCES):
        for t, token in enumerate(y):
            value = 0.0
            for k in range(2):
                if t + k < len(y):
                    p = probability(first, row, y, t + k)
                    reward = p if variant == "s" else math.log(p + 1e-10) + 3.0
                    value += 0.5**k * max(reward, 0.2)
            weight = max(0.15, probability(stale, row, y, t)) * value / 4
            expected -= weight * math.log(probability(algorithm.policy, row, y, t))
            node = NODE[y[:t]]
            pi = torch.softmax(algorithm.policy.table[4 + row, node].detach(), -1)
            slope[4 + row, node] += weight * pi
            slope[4 + row, node, token] -= weight
    assert loss.item() == pytest.approx(expected, abs=1e-12)
    torch.testing.assert_close(gradient, slope, rtol=0, atol=1e-12)


def test_with_weights_of_one_it_is_maximum_likelihood_to_the_bit() -> None:
    """u = 1 and c = 1 over one term: max(1, pi~) max(p, 1) = 1."""
    batch = batch_of(REFERENCES)
    for options in ({"least_weight": 1.0}, {"importance": False}):
        algorithm = gold(suffix=1, least_reward=1.0, **options)
        found = loss_and_gradient(algorithm, batch)
        expected = loss_and_gradient(MLE(policy=algorithm.policy), batch)
        assert torch.equal(found[0], expected[0])
        assert torch.equal(found[1], expected[1])


def test_certain_policies_count_the_terms_of_the_suffix() -> None:
    algorithm = gold(suffix=6)
    mask = torch.tensor([[True] * 9, [True] * 3 + [False] * 6])
    found = algorithm.values(torch.zeros(2, 9), mask)
    assert found.tolist() == [[6, 6, 6, 6, 5, 4, 3, 2, 1], [3, 2, 1, 0, 0, 0, 0, 0, 0]]


@pytest.mark.parametrize("variant", ["s", "p"])
def test_padding_changes_nothing(variant: str) -> None:
    found = [
        loss_and_gradient(gold(variant=variant), batch_of(REFERENCES, width)) for width in (4, 11)
    ]
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-14)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_parts_add_up_to_the_whole(rows: int) -> None:
    algorithm, batch = gold(), batch_of(REFERENCES)
    loss, gradient = loss_and_gradient(algorithm, batch)
    parts = [loss_and_gradient(algorithm, part) for part in batch.split(rows)]
    assert sum(part.item() for part, _ in parts) == pytest.approx(loss.item(), abs=1e-12)
    torch.testing.assert_close(sum(part for _, part in parts), gradient, rtol=0, atol=1e-12)


def test_the_copy_is_renewed_and_the_first_policy_is_not() -> None:
    algorithm = gold(renew_every=3)
    start = algorithm.policy.table.detach().clone()
    for update in range(5):
        with torch.no_grad():
            algorithm.policy.table += 1.0
        algorithm.after_update(Clock(update=update))
    torch.testing.assert_close(algorithm.stale.state_dict()["table"], start + 3)
    assert torch.equal(algorithm.first.state_dict()["table"], start)
    resumed = gold(renew_every=3)
    resumed.load_state_dict(algorithm.state_dict())
    torch.testing.assert_close(resumed.stale.state_dict()["table"], start + 3)


def test_the_constant_stays_with_its_variant() -> None:
    assert (gold(variant="s").least_reward, gold(variant="p").least_reward) == (0.1, 1.0)
    assert gold(variant="p", least_reward=0.5).least_reward == 0.5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("variant", "x"),
        ("least_weight", 1.5),
        ("renew_every", 0),
        ("suffix", 0),
        ("discount", 2.0),
        ("lambda_mle", -1.0),
    ],
)
def test_unusable_arguments_are_refused(name: str, value: float | str) -> None:
    with pytest.raises(ValueError, match=name):
        gold(**{name: value})
