"""Noised references: which tokens are replaced, by what, and how often."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch

from seqrl.algorithms.likelihood import MLE
from seqrl.data.counts import TokenCounts
from seqrl.proposals.noising import Noising
from seqrl.types import Clock, Trajectories
from tabular import (
    BOS,
    EOS,
    PAD,
    SIZE,
    SPECIALS,
    UNK,
    Scripted,
    TabularPolicy,
    assert_fits,
    batch_of,
    policy_table,
)

TRAINING = [(4, 5, EOS), (4, 4, 6, EOS), (5, UNK, EOS), (4, 5, EOS)]
COUNTS = TokenCounts(TRAINING, size=SIZE, bos=BOS)
REFERENCES = [(4, 5, 6, EOS), (5, EOS), (6, UNK, EOS), (EOS,)]


def drawn(proposal: Noising, references: list[tuple[int, ...]], seed: int = 0) -> Trajectories:
    policy = TabularPolicy(policy_table(0, rows=len(references) + 4))
    return proposal(policy, None, batch_of(references), None, Clock(seed=seed))


def test_counts_by_hand() -> None:
    by_token = {4: 4, 5: 3, 6: 1, UNK: 1, EOS: 4}
    assert COUNTS.tokens.tolist() == [by_token.get(w, 0) for w in range(SIZE)]
    before = {BOS: 4, 4: 4, 5: 3, 6: 1, UNK: 1}
    assert COUNTS.contexts.tolist() == [before.get(w, 0) for w in range(SIZE)]
    following = {BOS: 2, 4: 3, 5: 2, 6: 1, UNK: 1}  # BOS: 4 5; 4: 5 4 6; 5: EOS UNK
    assert COUNTS.following.tolist() == [following.get(w, 0) for w in range(SIZE)]
    preceding = {4: 2, 5: 2, 6: 1, UNK: 1, EOS: 3}  # 4: BOS 4; 5: BOS 4; EOS: 5 6 UNK
    assert COUNTS.preceding.tolist() == [preceding.get(w, 0) for w in range(SIZE)]


def test_unigram_noise_is_the_law_of_the_relaxed_delta_reward() -> None:
    """exp(R) = prod_t [(1 - gamma) 1(y_t = y*_t) + gamma u(y_t)], which sums to one."""
    gamma, reference, size = 0.4, (4, 5, UNK, EOS), 20000
    unigram = {4: 4 / 9, 5: 3 / 9, 6: 1 / 9, UNK: 1 / 9}
    law = {
        y: math.prod(
            (1 - gamma) * (v == w) + gamma * unigram[v] for v, w in zip(y, reference, strict=False)
        )
        for y in product(unigram, repeat=3)
    }
    assert sum(law.values()) == pytest.approx(1, abs=1e-12)
    proposal = Noising(counts=COUNTS, noise="both", gamma=gamma, samples=size)
    found = drawn(proposal, [reference])
    assert (found.targets[:, 3] == EOS).all()
    rows = [tuple(row[:3]) for row in found.targets.tolist()]
    assert_fits([rows.count(y) for y in law], list(law.values()))
    assert torch.equal(found.inputs[:, 1:], found.targets[:, :-1])


def test_the_share_of_tokens_that_become_others() -> None:
    """gamma (1 - sum_w f(w) u(w)), where f are the references' frequencies."""
    gamma, references = 0.3, [(4, 5, 6, EOS), (4, 4, 5, EOS)]
    found = drawn(Noising(counts=COUNTS, noise="both", gamma=gamma, samples=20000), references)
    target = batch_of(references).target.repeat_interleave(20000, dim=0)
    share = (found.targets != target)[:, :3].double().mean().item()
    agreement = (3 * 4 + 2 * 3 + 1 * 1) / (6 * 9)
    assert share == pytest.approx(gamma * (1 - agreement), abs=0.004)


def test_noise_on_the_inputs_leaves_the_targets_clean() -> None:
    proposal = Noising(counts=COUNTS, scheme="blank", noise="input", gamma=1.0)
    found = drawn(proposal, REFERENCES)
    batch = batch_of(REFERENCES)
    assert torch.equal(found.targets, batch.target)
    assert found.inputs[:, 0].tolist() == [BOS] * 4
    assert found.inputs.tolist() == [
        [BOS, UNK, UNK, UNK],
        [BOS, UNK, EOS, PAD],
        [BOS, UNK, UNK, EOS],
        [BOS, EOS, PAD, PAD],
    ]


def test_absolute_discounting_replaces_what_many_words_follow() -> None:
    proposal = Noising(counts=COUNTS, scheme="absolute_discounting", gamma=0.8)
    found = proposal.probabilities()
    assert found[[4, 5, 6]].tolist() == pytest.approx([0.8 * 3 / 4, 0.8 * 2 / 3, 0.8])
    share = proposal.distribution(SPECIALS)
    assert share[[UNK, 4, 5, 6]].tolist() == pytest.approx([1 / 9, 4 / 9, 3 / 9, 1 / 9])


def test_kneser_ney_draws_what_follows_many_words_for_inputs_and_targets_apart() -> None:
    proposal = Noising(counts=COUNTS, scheme="kneser_ney", gamma=0.8, samples=5000)
    share = proposal.distribution(SPECIALS)
    assert share[[UNK, 4, 5, 6]].tolist() == pytest.approx([1 / 6, 2 / 6, 2 / 6, 1 / 6])
    assert share[[PAD, BOS, EOS]].sum() == 0
    found = drawn(proposal, [(4, EOS)])
    read, told = found.inputs[:, 1], found.targets[:, 0]
    cells = list(product((UNK, 4, 5, 6), repeat=2))
    changed = {
        w: 0.6 * p + 0.4 * (w == 4)
        for w, p in zip((UNK, 4, 5, 6), (1 / 6, 2 / 6, 2 / 6, 1 / 6), strict=True)
    }
    counts = [int(((read == a) & (told == b)).sum()) for a, b in cells]
    assert_fits(counts, [changed[a] * changed[b] for a, b in cells])
    given = found.given[:, 0]
    assert (told[given] == 4).all()
    assert_fits([int(given.sum()), int((~given).sum())], [0.4, 0.6])


@pytest.mark.parametrize("scheme", ["blank", "unigram", "absolute_discounting", "kneser_ney"])
@pytest.mark.parametrize("noise", ["input", "both"])
def test_without_noise_it_is_maximum_likelihood_to_the_bit(scheme: str, noise: str) -> None:
    policy = TabularPolicy(policy_table(0, rows=9).float())
    batch = batch_of(REFERENCES)
    noising = Noising(counts=COUNTS, scheme=scheme, noise=noise, gamma=0.0)
    found = MLE(policy=policy, proposal=noising).losses(batch, Clock())["policy"]
    expected = MLE(policy=policy).losses(batch, Clock())["policy"]
    assert torch.equal(found, expected)
    gradients = [torch.autograd.grad(loss, policy.table)[0] for loss in (found, expected)]
    assert torch.equal(*gradients)


@pytest.mark.parametrize("scheme", ["unigram", "kneser_ney"])
def test_parts_draw_what_the_whole_draws(scheme: str) -> None:
    policy = TabularPolicy(policy_table(0, rows=9))
    proposal = Noising(counts=COUNTS, scheme=scheme, gamma=0.7, samples=2)
    batch, clock = batch_of(REFERENCES), Clock(update=4, seed=1)
    whole = proposal(policy, None, batch, None, clock)
    for name in ("inputs", "targets", "given"):
        parts = [getattr(proposal(policy, None, p, None, clock), name) for p in batch.split(3)]
        assert torch.equal(torch.cat(parts), getattr(whole, name))


def test_the_greatest_number_falls_on_a_word_and_the_least_on_another() -> None:
    """Whatever the uniform numbers are, no special symbol is drawn."""
    proposal = Noising(counts=COUNTS, noise="both", gamma=1.0)
    policy = TabularPolicy(policy_table(0))
    for value, word in ((0.0, UNK), (1 - 2**-24, 6)):
        noise = torch.cat([torch.zeros(2, 1), torch.full((2, 1), value)])
        found = proposal(policy, None, batch_of([(4, EOS)]), None, Scripted(noise))
        assert found.targets.tolist() == [[word, EOS]]


def test_what_is_no_noise_is_refused() -> None:
    for options in ({"gamma": 1.5}, {"scheme": "bigram"}, {"noise": "target"}, {"samples": 0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            Noising(counts=COUNTS, **options)  # type: ignore[arg-type]
