"""Tokens of the policy, the reference and the reward in one trajectory."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from seqrl.proposals.mixture import TokenMixture
from seqrl.rewards.base import PrefixReward, Reward
from seqrl.rewards.bleu import BleuReward
from seqrl.rewards.edit import EditReward
from seqrl.types import Batch, Clock, Trajectories
from tabular import (
    BARRED,
    BOS,
    EOS,
    NODE,
    NODES,
    PAD,
    SEQUENCES,
    SIZE,
    SPECIALS,
    STEPS,
    TabularPolicy,
    TabularReward,
    assert_fits,
    batch_of,
    law,
    policy_table,
    rows_of,
    value_table,
)

REFERENCES = [(4, 5, EOS), (6, EOS), (4, 4, 4, EOS)]
SELF, TRUTH, REWARD = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def mixture(
    shares: tuple[float, float, float], max_length: int = STEPS, **options: float | bool
) -> TokenMixture:
    proposal = TokenMixture(max_length=max_length, **options)
    proposal.shares = shares
    return proposal


def draw(
    proposal: TokenMixture,
    batch: Batch,
    policy: TabularPolicy | None = None,
    reward: Reward | None = None,
    clock: Clock | None = None,
) -> Trajectories:
    policy = policy or TabularPolicy(policy_table(0, rows=9))
    reward = reward or TabularReward(value_table(1))
    memory = policy.encode(batch.source, batch.source_mask)
    return proposal(policy, memory, batch, reward, clock or Clock(seed=1))


def many(references: list[tuple[int, ...]], times: int) -> Batch:
    """Each of the references so many times, copies adjacent."""
    batch = batch_of(references)
    rows = torch.arange(len(references)).repeat_interleave(times)
    return replace(
        batch,
        source=batch.source[rows],
        target=batch.target[rows],
        references=batch.references[rows],
        total=len(rows),
    )


def shifted(table: Tensor) -> Tensor:
    """Rewards [rows, nodes, V] in which BOS, of which no reference consists, is worst."""
    table = table.clone()
    table[..., BOS] = table.amin(-1) - 1
    return table


@pytest.mark.parametrize("per_row", [False, True])
def test_truth_alone_is_the_reference(per_row: bool) -> None:
    batch = batch_of(REFERENCES)
    found = draw(mixture(TRUTH, 60, per_row=per_row), batch)
    expected = batch.reference_trajectories()
    for name in ("inputs", "targets", "mask", "given"):
        assert torch.equal(getattr(found, name), getattr(expected, name))
    assert found.group == 1


def test_a_reference_longer_than_the_limit_is_not_cut() -> None:
    found = draw(mixture(TRUTH, max_length=2), batch_of(REFERENCES))
    assert rows_of(found.targets) == REFERENCES
    assert found.cut is not None
    assert not found.cut.any()


@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("shares", [SELF, REWARD])
def test_the_first_token_is_the_truths(shares: tuple[float, float, float], per_row: bool) -> None:
    batch = many(REFERENCES, 50)
    found = draw(mixture(shares, per_row=per_row), batch)
    assert torch.equal(found.targets[:, 0], batch.target[:, 0])
    assert found.given.sum(1).tolist() == [1] * 150


def test_self_alone_follows_the_policy_after_the_first_token() -> None:
    policy, samples = TabularPolicy(policy_table(0, rows=40)), 20000
    batch = many([(4, 5, EOS)], samples)
    found = Counter(rows_of(draw(mixture(SELF), batch, policy).targets))
    begun = law(policy.table[4].detach()) * torch.tensor([float(y[0] == 4) for y in SEQUENCES])
    assert set(found) == {y for y in SEQUENCES if y[0] == 4}
    assert_fits([found[y] for y in SEQUENCES], (begun / begun.sum()).tolist())


@pytest.mark.parametrize("relative", [False, True])
def test_reward_alone_follows_the_increments_after_the_first_token(relative: bool) -> None:
    """softmax(dr / T), or of the gains over BOS as shares of the greatest at that step."""
    table, samples, temperature = shifted(value_table(1)), 20000, 0.7
    batch = many([(4, 5, EOS)], samples)
    proposal = mixture(REWARD, temperature=temperature, relative=relative)
    rows = rows_of(draw(proposal, batch, reward=TabularReward(table)).targets)
    if relative:
        gains = table - table[..., BOS : BOS + 1]
        table = gains / gains.amax(-1, keepdim=True)
    logits = (table[4] / temperature).index_fill(-1, torch.tensor([PAD, BOS]), -1e9)
    chances: dict[tuple[int, ...], float] = {}

    def spread(prefix: tuple[int, ...], mass: float) -> None:
        """The law of all that can follow; the unknown word leads into no known prefix."""
        if len(prefix) == STEPS - 1:
            chances[(*prefix, EOS)] = chances.get((*prefix, EOS), 0.0) + mass
            return
        node = NODE.get(prefix, NODES - 1)
        for token, chance in enumerate(torch.softmax(logits[node], -1).tolist()):
            if token == EOS:
                chances[(*prefix, EOS)] = chances.get((*prefix, EOS), 0.0) + mass * chance
            elif chance > 0:
                spread((*prefix, token), mass * chance)

    spread((4,), 1.0)
    assert sum(chances.values()) == pytest.approx(1, abs=1e-9)
    found = Counter(rows)
    assert set(found) <= set(chances)
    assert_fits([found[y] for y in chances], list(chances.values()))


SURE = torch.full((40, NODES, SIZE), BARRED).double()
SURE[..., 6] = 0.0
"""A policy that says 6 and nothing else."""
PAYS = torch.zeros(SIZE, NODES, SIZE).double()
PAYS[..., 5] = 1.0
"""A reward for 5 and nothing else."""


def patterns(proposal: TokenMixture, batch: Batch, clock: Clock) -> list[tuple[int, ...]]:
    """4 is the truth's, 5 the reward's, 6 the policy's."""
    found = draw(proposal, batch, TabularPolicy(SURE), TabularReward(PAYS), clock)
    return [tuple(row) for row in found.targets.tolist()]


def test_one_draw_per_step_holds_for_the_whole_batch() -> None:
    proposal, batch = mixture((0.2, 0.5, 0.3)), many([(4, 4, 4, EOS)], 3)
    names, counts = {0: 6, 1: 4, 2: 5}, Counter[tuple[int, ...]]()
    for update in range(4000):
        clock = Clock(update=update, seed=2)
        sources = proposal.sources(STEPS, batch, clock)
        assert sources.shape == (STEPS, 1)
        pattern = (*(names[source] for source in sources[:3, 0].tolist()), EOS)
        counts[pattern] += 1
        if update < 50:
            assert patterns(proposal, batch, clock) == [pattern] * 3
    chance = {6: 0.2, 4: 0.5, 5: 0.3}
    expected = {(4, a, b, EOS): chance[a] * chance[b] for a in chance for b in chance}
    assert set(counts) == set(expected)
    assert_fits([counts[y] for y in expected], list(expected.values()))


def test_each_row_can_draw_for_itself() -> None:
    proposal = mixture((0.2, 0.5, 0.3), per_row=True)
    found = Counter(patterns(proposal, many([(4, 4, 4, EOS)], 5000), Clock(seed=2)))
    chance = {6: 0.2, 4: 0.5, 5: 0.3}
    expected = {(4, a, b, EOS): chance[a] * chance[b] for a in chance for b in chance}
    assert set(found) == set(expected)
    assert_fits([found[y] for y in expected], list(expected.values()))


def test_truth_past_its_end_is_the_end() -> None:
    """A sentence that the policy has kept from its end goes on to the next turn of the truth,
    within the width of the longest reference and beyond it."""
    proposal = mixture((0.5, 0.5, 0.0), max_length=8, per_row=True)
    batch = many([(4, EOS), (4, 4, 4, EOS)], 300)
    found = draw(proposal, batch, TabularPolicy(SURE))
    rows = set(rows_of(found.targets)[:300])
    assert {(4, *[6] * n, EOS) for n in range(5)} <= rows <= {(4, *[6] * n, EOS) for n in range(7)}
    assert torch.equal(found.mask, found.targets != PAD)


def test_what_is_given_is_the_truths() -> None:
    proposal = mixture((0.2, 0.5, 0.3), per_row=True)
    found = draw(
        proposal,
        many([(4, 4, 4, EOS)], 500),
        TabularPolicy(SURE),
        TabularReward(PAYS),
        Clock(seed=2),
    )
    words = found.targets != EOS
    assert torch.equal((found.given & words), found.targets == 4)
    assert not (found.given & ~found.mask).any()
    assert torch.equal(found.mask, found.targets != PAD)
    assert torch.equal(found.inputs[:, 1:], found.targets[:, :-1])


@pytest.mark.parametrize("per_row", [False, True])
def test_a_split_batch_draws_what_the_whole_one_draws(per_row: bool) -> None:
    batch = many(REFERENCES, 3)
    batch = replace(batch, source=torch.arange(9).unsqueeze(1))
    proposal = mixture((0.4, 0.3, 0.3), per_row=per_row, max_length=7)
    found = set()
    for update in range(20):
        clock = Clock(update=update)
        whole = rows_of(draw(proposal, batch, clock=clock).targets)
        parts = [
            row
            for part in batch.split(2)
            for row in rows_of(draw(proposal, part, clock=clock).targets)
        ]
        assert parts == whole
        found |= set(whole)
    assert len(found) > 10


def test_shared_noise_depends_on_the_clock_and_the_stream() -> None:
    noise = Clock(update=3, seed=1).shared("sources", 5000)
    assert noise.shape == (5000,)
    assert ((noise >= 0) & (noise < 1)).all()
    assert noise.mean().item() == pytest.approx(0.5, abs=0.02)
    assert torch.equal(noise, Clock(update=3, seed=1, epoch=2).shared("sources", 5000))
    for other in (Clock(update=4, seed=1), Clock(update=3, seed=2)):
        assert not torch.equal(noise, other.shared("sources", 5000))
    assert not torch.equal(noise, Clock(update=3, seed=1).shared("others", 5000))


def long_batch(length: int) -> Batch:
    """A reference of so many different words."""
    target = torch.tensor([[*range(4, 4 + length), EOS]])
    return Batch(target, target, target.unsqueeze(1), PAD, SPECIALS)


def mass_on_the_reference(
    proposal: TokenMixture, reward: PrefixReward, prefix: list[int], vocabulary: int
) -> float:
    """Probability that the reward's sample is a word of a reference of 20 words, or EOS."""
    batch = long_batch(20)
    logits = proposal.reward_logits(reward, torch.tensor([prefix]), batch, vocabulary)
    return torch.softmax(logits, -1)[0, batch.target[0]].sum().item()


PREFIXES = {
    "first": [4],
    "followed": list(range(4, 12)),
    "strayed": [4, 5, 30, 31, 8, 32, 33, 12],
    "lost": [30, 31, 32],
    "ended": list(range(4, 24)),
    "beyond": [*range(4, 24), 30, 31],
}


@pytest.mark.parametrize("vocabulary", [4568, 22811])
@pytest.mark.parametrize("prefix", PREFIXES.values(), ids=PREFIXES)
@pytest.mark.parametrize("scale", ["none", "reference_length"])
def test_the_reward_samples_words_of_the_reference(
    prefix: list[int], vocabulary: int, scale: str
) -> None:
    """With Multi30k's vocabulary and IWSLT14's; as released it samples noise, at scale none."""
    reward = BleuReward(scale=scale)
    assert mass_on_the_reference(TokenMixture(), reward, prefix, vocabulary) > 0.9999
    released = TokenMixture(temperature=1.0, relative=False, eos_penalty=1.0)
    if scale == "none":
        assert mass_on_the_reference(released, reward, prefix, vocabulary) < 0.006


@pytest.mark.parametrize("distance", ["edit", "hamming"])
@pytest.mark.parametrize("prefix", [PREFIXES["first"], PREFIXES["followed"], PREFIXES["ended"]])
def test_so_do_distances(prefix: list[int], distance: str) -> None:
    reward = EditReward(distance=distance)
    assert mass_on_the_reference(TokenMixture(), reward, prefix, 22811) > 0.9999


def test_the_mass_of_twenty_words_with_a_gain_of_a_fifth() -> None:
    """The figure of the paper's code: a thousandth."""
    rewards = torch.zeros(1, NODES, 22811)
    rewards[..., 4:24] = 0.2
    batch = long_batch(20)

    class Ahead(TabularReward):
        def lookahead(self, prefix: Tensor, batch: Batch, group: int, vocabulary: int) -> Tensor:
            return self.table[:, 0]

    released = TokenMixture(temperature=1.0, relative=False)
    logits = released.reward_logits(Ahead(rewards), torch.tensor([[4]]), batch, 22811)
    found = torch.softmax(logits, -1)[0, 4:24].sum().item()
    assert found == pytest.approx(0.00107, abs=5e-6)


def test_without_a_gain_all_words_are_alike() -> None:
    """And nothing is divided by it."""
    rewards = torch.zeros(SIZE, NODES, SIZE)
    logits = mixture(REWARD).reward_logits(
        TabularReward(rewards), torch.tensor([[4], [5]]), batch_of([(4, EOS), (5, EOS)]), SIZE
    )
    chances = torch.softmax(logits, -1)
    assert chances[:, [PAD, BOS]].tolist() == [[0, 0]] * 2
    torch.testing.assert_close(chances[:, [1, *range(3, 7)]], torch.full((2, 5), 0.2))


def test_a_gain_that_is_tiny_beside_the_changes_counts_as_any_other() -> None:
    rewards = torch.full((SIZE, NODES, SIZE), -0.5)
    rewards[..., 5] += 6e-8  # the next number in single precision
    logits = TokenMixture().reward_logits(
        TabularReward(rewards), torch.tensor([[4]]), batch_of([(4, EOS)]), SIZE
    )
    assert (logits[0, 5] - logits[0, 6]).item() == pytest.approx(20, abs=1e-5)


def test_the_penalty_of_an_early_end() -> None:
    batch = batch_of([(4, 5, EOS), (6, EOS)])
    reward = TabularReward(value_table(1))
    prefix = torch.tensor([[4], [5]])
    plain, penalised = (
        TokenMixture(temperature=0.5, relative=False, eos_penalty=penalty).reward_logits(
            reward, prefix, batch, SIZE
        )
        for penalty in (0.0, 1.0)
    )
    change = torch.nan_to_num(plain - penalised)  # of the first sentence alone is it too early
    expected = torch.zeros(2, SIZE).double()
    expected[0, EOS] = 2.0
    torch.testing.assert_close(change, expected, rtol=0, atol=1e-12)


def test_a_reward_without_prefixes_is_refused() -> None:
    class Whole(Reward):
        def score(self, trajectories: Trajectories, batch: Batch) -> Tensor:
            return torch.zeros(len(trajectories))

    with pytest.raises(ValueError, match=r"every token \(bleu, rouge, edit\), not Whole"):
        draw(mixture(TRUTH), batch_of(REFERENCES), reward=Whole())


@pytest.mark.parametrize(
    "options", [{"temperature": 0.0}, {"eos_penalty": -1.0}, {"max_length": 0}]
)
def test_unusable_arguments_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        TokenMixture(**options)
