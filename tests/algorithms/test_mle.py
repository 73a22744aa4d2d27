"""Maximum likelihood, on a policy whose every probability is known."""

from __future__ import annotations

import math

import pytest
import torch

from seqrl.algorithms.likelihood import MLE
from seqrl.types import Clock
from tabular import (
    BOS,
    EOS,
    NODE,
    NODES,
    PAD,
    SIZE,
    Fixed,
    TabularPolicy,
    batch_of,
    policy_table,
    sequence_log_prob,
    trajectories_of,
)

REFERENCES = [(4, 5, 6, EOS), (5, EOS), (EOS,), (6, 6, EOS)]


def test_a_uniform_models_loss_is_the_mean_length_times_log_v() -> None:
    policy = TabularPolicy(torch.zeros(8, NODES, SIZE).double())
    loss = MLE(policy=policy).losses(batch_of(REFERENCES), Clock())["policy"]
    assert loss.item() == pytest.approx((4 + 2 + 1 + 3) / 4 * math.log(SIZE), abs=1e-12)


def test_loss_is_the_mean_of_the_sentences_negative_log_probabilities() -> None:
    policy = TabularPolicy(policy_table(0, rows=8))
    loss = MLE(policy=policy).losses(batch_of(REFERENCES), Clock())["policy"]
    log_probs = [
        sequence_log_prob(policy.table[4 + b], y, forced=False).item()
        for b, y in enumerate(REFERENCES)
    ]
    assert loss.item() == pytest.approx(-sum(log_probs) / 4, abs=1e-12)


def test_gradient_is_p_minus_onehot_over_the_batch() -> None:
    policy = TabularPolicy(policy_table(1, rows=8))
    MLE(policy=policy).losses(batch_of(REFERENCES), Clock())["policy"].backward()
    expected = torch.zeros_like(policy.table)
    for b, y in enumerate(REFERENCES):
        for t, token in enumerate(y):
            node = NODE[y[:t]]
            expected[4 + b, node] = torch.softmax(policy.table[4 + b, node].detach(), -1) / 4
            expected[4 + b, node, token] -= 1 / 4
    torch.testing.assert_close(policy.table.grad, expected, rtol=0, atol=1e-12)


def test_wider_padding_changes_nothing() -> None:
    grads = []
    for width in (4, 9):
        policy = TabularPolicy(policy_table(2, rows=8))
        MLE(policy=policy).losses(batch_of(REFERENCES, width), Clock())["policy"].backward()
        grads.append(policy.table.grad)
    torch.testing.assert_close(grads[0], grads[1], rtol=0, atol=1e-14)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_parts_add_up_to_the_whole(rows: int) -> None:
    policy = TabularPolicy(policy_table(3, rows=8))
    algorithm, batch = MLE(policy=policy), batch_of(REFERENCES)
    whole = algorithm.losses(batch, Clock())["policy"]
    parts = sum(algorithm.losses(part, Clock())["policy"] for part in batch.split(rows))
    assert parts.item() == pytest.approx(whole.item(), abs=1e-12)
    (expected,) = torch.autograd.grad(whole, policy.table)
    (found,) = torch.autograd.grad(parts, policy.table)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_dev_loss_is_the_summed_negative_log_probability_and_the_tokens() -> None:
    policy = TabularPolicy(policy_table(4, rows=8))
    batch = batch_of(REFERENCES, width=7)
    total, count = MLE(policy=policy).evaluate(batch, Clock())["nll"]
    assert count.item() == 10
    loss = MLE(policy=policy).losses(batch, Clock())["policy"]
    assert total.item() == pytest.approx(4 * loss.item(), abs=1e-12)


def test_reported_loss_is_per_token() -> None:
    algorithm = MLE(policy=TabularPolicy(policy_table(5, rows=8)))
    loss = algorithm.losses(batch_of(REFERENCES), Clock())["policy"]
    assert algorithm.metrics()["nll_per_token"].item() == pytest.approx(
        loss.item() * 4 / 10, abs=1e-12
    )


def test_references_as_trajectories() -> None:
    trajectories = batch_of([(4, 5, EOS), (6, EOS)]).reference_trajectories()
    assert trajectories.inputs.tolist() == [[BOS, 4, 5], [BOS, 6, EOS]]
    assert trajectories.targets.tolist() == [[4, 5, EOS], [6, EOS, PAD]]
    assert trajectories.mask.tolist() == [[True] * 3, [True, True, False]]
    assert trajectories.length.tolist() == [3, 2]
    assert trajectories.group == 1


def test_the_trajectories_of_a_proposal_weigh_the_same() -> None:
    """The mean over the K of each sentence, and over sentences."""
    policy = TabularPolicy(policy_table(6, rows=8))
    rows = [(4, EOS), (5, 6, EOS), (6, EOS), (EOS,)]
    algorithm = MLE(policy=policy, proposal=Fixed(trajectories_of(rows, group=2)))
    loss = algorithm.losses(batch_of([(4, EOS), (5, EOS)]), Clock())["policy"]
    log_probs = [
        sequence_log_prob(policy.table[4 + n // 2], y, forced=False).item()
        for n, y in enumerate(rows)
    ]
    assert loss.item() == pytest.approx(-sum(log_probs) / 4, abs=1e-12)
