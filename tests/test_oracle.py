"""The random network that makes the synthetic data: its law, its floor, its seeds."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch

from seqrl.oracle import Oracle
from tabular import assert_fits


def test_probabilities_of_all_sequences_sum_to_one() -> None:
    oracle = Oracle(words=4, units=5, seed=1)
    everything = torch.tensor(list(product(range(4), repeat=4)))
    assert math.isclose(float(oracle.log_probs(everything).sum(1).exp().sum()), 1, abs_tol=1e-6)


def test_samples_have_its_law() -> None:
    oracle = Oracle(words=3, units=5, seed=2)
    everything = list(product(range(3), repeat=3))
    chances = oracle.log_probs(torch.tensor(everything)).sum(1).exp().tolist()
    drawn = list(map(tuple, oracle.sample(4000, 3, seed=0).tolist()))
    assert_fits([drawn.count(y) for y in everything], chances)


def test_a_step_by_hand() -> None:
    """i, f, o, g of x W + h U + b from zero states and word 0; here the gates are written out."""
    oracle = Oracle(words=3, units=1, seed=0)
    gates = [float(oracle._embedding[0] @ oracle._inputs[:, k] + oracle._bias[k]) for k in range(4)]
    enters, leaves = (1 / (1 + math.exp(-gates[k])) for k in (0, 2))
    hidden = leaves * math.tanh(enters * math.tanh(gates[3]))
    logits = [hidden * float(oracle._output[0, w] + 0) + float(oracle._offset[w]) for w in range(3)]
    total = sum(map(math.exp, logits))
    expected = [math.log(math.exp(z) / total) for z in logits]
    found = oracle.log_probs(torch.tensor([[0], [1], [2]])).squeeze(1)
    assert torch.allclose(found, torch.tensor(expected).double(), atol=1e-6)


def test_the_floor_is_its_entropy_and_below_what_it_thinks_of_anything_else() -> None:
    """Of its samples the mean of -log p and of the entropy agree within three standard errors."""
    oracle = Oracle(words=500, units=16, seed=0)
    samples = oracle.sample(2000, 10, seed=0)
    nll, entropy = -oracle.log_probs(samples).mean(1), oracle.entropies(samples).mean(1)
    error = float((nll - entropy).std()) / math.sqrt(2000)
    assert abs(float(nll.mean() - entropy.mean())) < 3 * error
    assert error < 0.02
    assert oracle.uniform_nll(10) > float(nll.mean()) + 1
    assert oracle.uniform_nll(10) > math.log(500)  # what any other law has for its own samples


def test_seeds() -> None:
    one, same, other = Oracle(words=20, seed=1), Oracle(words=20, seed=1), Oracle(words=20, seed=2)
    samples = one.sample(30, 6, seed="a")
    assert torch.equal(samples, same.sample(30, 6, seed="a"))
    assert not torch.equal(samples, one.sample(30, 6, seed="b"))
    assert torch.equal(one.log_probs(samples), same.log_probs(samples))
    assert not torch.allclose(one.log_probs(samples), other.log_probs(samples))


def test_weights_are_standard_normal() -> None:
    oracle = Oracle(words=5000, units=32, seed=0)
    for weights in (oracle._embedding, oracle._output, oracle._inputs, oracle._hidden):
        assert abs(float(weights.mean())) < 0.05
        assert abs(float(weights.std()) - 1) < 0.03


@pytest.mark.parametrize("setting", [{"words": 1}, {"units": 0}])
def test_what_is_out_of_range(setting: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(setting))} must be at least"):
        Oracle(**setting)
