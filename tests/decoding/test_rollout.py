"""The one loop that writes sequences, and the choices of a token."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from torch import Tensor

from seqrl.decoding.decoder import Greedy, Sample, SampledStart
from seqrl.decoding.rollout import FULL_ENOUGH, greedy, rollout, sampler
from tabular import (
    EOS,
    NODE,
    NODES,
    PAD,
    SEQUENCES,
    SIZE,
    STEPS,
    WORDS,
    TabularPolicy,
    assert_fits,
    batch_of,
    law,
    policy_table,
    rows_of,
    seeded,
)

ALMOST_ONE = 1 - 2**-24  # the greatest number that torch.rand gives


def written(table: Tensor, choose: object, max_length: int, rows: int = 1) -> tuple[Tensor, Tensor]:
    policy = TabularPolicy(table)
    memory = policy.encode(torch.full((rows, 1), 4), torch.ones(rows, 1).bool())
    return rollout(policy, memory, rows=rows, max_length=max_length, choose=choose)


def scripted(*rows: list[int]) -> object:
    """Chooses the given tokens whatever the policy thinks."""
    return lambda t, logits, prefix, written: torch.tensor(rows)[written, t]


def test_padding_and_mask_follow_the_end() -> None:
    choose = scripted([4, EOS, 5, 5], [EOS, 4, 4, 4], [4, 5, EOS, 6])
    tokens, mask = written(policy_table(0), choose, max_length=9, rows=3)
    assert tokens.tolist() == [[4, EOS, PAD], [EOS, PAD, PAD], [4, 5, EOS]]
    assert mask.tolist() == [[True, True, False], [True, False, False], [True] * 3]


def test_the_last_token_is_the_end() -> None:
    tokens, mask = written(policy_table(0), scripted([4, 5, 6, 4], [4, EOS, 4, 4]), 3, rows=2)
    assert tokens.tolist() == [[4, 5, EOS], [4, EOS, PAD]]
    assert mask.tolist() == [[True] * 3, [True, True, False]]
    tokens, _ = written(policy_table(0), scripted([4]), max_length=1)
    assert tokens.tolist() == [[EOS]]


def test_a_choice_sees_step_logits_and_what_was_written() -> None:
    table, seen = policy_table(0), []

    def choose(t: int, logits: Tensor, prefix: Tensor, rows: Tensor) -> Tensor:
        seen.append((t, logits, prefix.tolist()))
        return torch.tensor([5])

    written(table, choose, max_length=3)
    assert [t for t, _, _ in seen] == [0, 1, 2]
    assert [prefix for _, _, prefix in seen] == [[[]], [[5]], [[5, 5]]]
    for (_, logits, _), prefix in zip(seen, [(), (5,), (5, 5)], strict=True):
        assert torch.equal(logits[0], table[4, NODE[prefix]])


def test_rows_that_have_ended_are_computed_no_longer() -> None:
    """Which changes nothing of what the others are."""
    scripts = [[4, EOS, 4, 4], [4, 5, 6, EOS], [EOS, 4, 4, 4], [5, 6, EOS, 4]]
    seen = []

    def choose(t: int, logits: Tensor, prefix: Tensor, rows: Tensor) -> Tensor:
        seen.append((rows.tolist(), prefix.tolist()))
        return torch.tensor(scripts)[rows, t]

    tokens, mask = written(policy_table(0), choose, max_length=9, rows=4)
    assert seen == [
        ([0, 1, 2, 3], [[]] * 4),
        ([0, 1, 3], [[4], [4], [5]]),
        ([1, 3], [[4, 5], [5, 6]]),
        ([1], [[4, 5, 6]]),
    ]
    assert rows_of(tokens) == [(4, EOS), (4, 5, 6, EOS), (EOS,), (5, 6, EOS)]
    assert mask.sum(1).tolist() == [2, 4, 1, 3]


def test_samples_do_not_depend_on_which_rows_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    noise, found = torch.rand(STEPS, 500, generator=seeded(1)), []
    for enough in (0.0, 0.5, 1.0):
        monkeypatch.setitem(FULL_ENOUGH, "cpu", enough)
        found.append(written(policy_table(2), sampler(noise), max_length=STEPS, rows=500))
    for tokens, mask in found[1:]:
        assert torch.equal(tokens, found[0][0])
        assert torch.equal(mask, found[0][1])


def test_nothing_has_a_gradient() -> None:
    seen = []

    def choose(t: int, logits: Tensor, prefix: Tensor, rows: Tensor) -> Tensor:
        seen.append(logits.requires_grad)
        return logits.argmax(-1)

    written(policy_table(0), choose, max_length=3)
    assert not any(seen)


def test_greedy_takes_the_most_probable_token() -> None:
    for seed in range(5):
        table, prefix = policy_table(seed), ()
        while len(prefix) < STEPS:
            best = int(table[4, NODE[prefix]].argmax()) if len(prefix) < STEPS - 1 else EOS
            prefix = (*prefix, best)
            if best == EOS:
                break
        tokens, _ = written(table, greedy, max_length=STEPS)
        assert rows_of(tokens) == [prefix]


def test_samples_follow_the_softmax() -> None:
    rows, table = 20000, policy_table(3)
    noise = torch.rand(STEPS, rows, generator=seeded(0))
    tokens, _ = written(table, sampler(noise), max_length=STEPS, rows=rows)
    found = Counter(rows_of(tokens))
    assert_fits([found[y] for y in SEQUENCES], law(table[4]).tolist())


def test_one_step_of_the_sampler_inverts_the_distribution_function() -> None:
    logits = torch.tensor([0.5, 0.125, 0.0, 0.375]).log().expand(7, 4)
    noise = torch.tensor([[0.0, 0.49, 0.5, 0.62, 0.625, 0.99, ALMOST_ONE]])
    found = sampler(noise)(0, logits, torch.zeros(7, 0), torch.arange(7))
    assert found.tolist() == [0, 0, 1, 1, 3, 3, 3]


@pytest.mark.parametrize("noise", [0.0, 1e-8, 0.5, ALMOST_ONE])
@pytest.mark.parametrize("barred", [[0], [0, 1, 2], [6], [4, 5, 6], [0, 3, 6], [1, 2, 3, 4, 5]])
@pytest.mark.parametrize("low", [-1e4, -math.inf])
def test_what_has_no_probability_is_never_drawn(
    noise: float, barred: list[int], low: float
) -> None:
    logits = torch.randn(200, SIZE, generator=seeded(0)) * 5
    logits[:, barred] = low
    draw = sampler(torch.full((1, 200), noise))
    found = draw(0, logits, torch.zeros(200, 0), torch.arange(200))
    assert not set(found.tolist()) & set(barred)


def test_noise_of_one_stays_within_the_vocabulary() -> None:
    draw = sampler(torch.ones(1, 50))
    found = draw(0, torch.randn(50, SIZE), torch.zeros(50, 0), torch.arange(50))
    assert found.max() < SIZE


def test_noise_belongs_to_its_step_and_row() -> None:
    table = torch.full((SIZE, NODES, SIZE), -1e4).double()
    table[..., list(WORDS)] = 0.0
    noise = torch.tensor([[0.1, 0.9], [0.5, 0.1], [0.9, 0.5], [0.5, 0.5]])
    tokens, _ = written(table, sampler(noise), max_length=4, rows=2)
    assert tokens.tolist() == [[4, 5, 6, EOS], [6, 4, 5, EOS]]


def test_decoders_restore_the_mode_and_repeat_themselves() -> None:
    policy, batch = TabularPolicy(policy_table(0, rows=9)).train(), batch_of([(4, EOS)] * 3)
    for decoder in (Greedy(max_length=STEPS), Sample(max_length=STEPS, seed=3)):
        first, again = decoder(policy, batch), decoder(policy, batch)
        assert policy.training
        assert torch.equal(first, again)
        assert set(rows_of(first)) <= set(SEQUENCES)
    other = [Sample(max_length=STEPS, seed=seed)(policy, batch).tolist() for seed in range(8)]
    assert any(tokens != other[0] for tokens in other)


@pytest.mark.parametrize("sampled", range(STEPS + 1))
def test_after_a_sampled_start_the_most_probable_tokens_follow(sampled: int) -> None:
    """None drawn: greedy; all: a sample; between, each token is what its prefix asks for."""
    table, batch = policy_table(0, rows=70), batch_of([(4, EOS)] * 60)
    policy = TabularPolicy(table)
    found = rows_of(SampledStart(sampled=sampled, max_length=STEPS, seed=3)(policy, batch))
    samples = rows_of(Sample(max_length=STEPS, seed=3)(policy, batch))
    for row, (y, sample) in enumerate(zip(found, samples, strict=True)):
        assert y[:sampled] == sample[:sampled]
        for t in range(sampled, min(len(y), STEPS - 1)):
            assert y[t] == table[4 + row, NODE[y[:t]]].argmax()
    assert (found == samples) == (sampled >= STEPS - 1)
    assert (found == rows_of(Greedy(max_length=STEPS)(policy, batch))) == (sampled == 0)


def test_decoders_refuse_unusable_arguments() -> None:
    with pytest.raises(ValueError, match="sampled must not be negative, not -1"):
        SampledStart(sampled=-1)
    with pytest.raises(ValueError, match="max_length"):
        Greedy(max_length=0)
