"""Samples of the policy and the reward together, against exact laws."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from seqrl.proposals.guided import RewardGuided, guided
from seqrl.proposals.sampling import Sampling
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
    PREFIXES,
    SEQUENCES,
    SIZE,
    STEPS,
    TabularPolicy,
    TabularReward,
    assert_fits,
    batch_of,
    dyadic_table,
    law,
    policy_table,
    rows_of,
    trajectories_of,
    value_table,
)

REFERENCES = [(4, 5, EOS), (6, EOS), (4, 4, 4, EOS)]


def draw(
    proposal: RewardGuided | Sampling,
    policy: TabularPolicy,
    batch: Batch,
    reward: Reward,
    clock: Clock | None = None,
) -> Trajectories:
    memory = policy.encode(batch.source, batch.source_mask)
    return proposal(policy, memory, batch, reward, clock or Clock(seed=1))


class OneStream(Clock):
    """Gives every stream the same noise."""

    def uniform(self, stream: str, steps: int, batch: Batch, group: int = 1) -> Tensor:
        return super().uniform("noise", steps, batch, group)


def exact_law(logits: Tensor, changes: Tensor, weight: float) -> Tensor:
    """[40], the law of samples under one weight, from a policy's logits and dr, both [nodes, V]."""
    weights = torch.full_like(logits[:, 0], weight)
    return law(guided(logits, changes, weights))


def payoff(logits: Tensor, reward: PrefixReward, batch: Batch) -> Tensor:
    """[40], q(y) proportional to p(y) exp(R(y)) for the first sentence; no end is forced."""
    log_p = torch.stack(
        [
            sum(torch.log_softmax(logits[NODE[y[:t]]], -1)[y[t]] for t in range(len(y)))
            for y in SEQUENCES
        ]
    )
    scores = reward.score(trajectories_of(SEQUENCES, group=len(SEQUENCES)), batch)
    return torch.softmax(log_p + scores.double(), 0)


@pytest.mark.parametrize("options", [{"drop": 1.0}, {"weight": 0.0, "drop": 0.0}])
def test_without_the_reward_it_is_the_policy_draw_for_draw(options: dict[str, float]) -> None:
    policy, batch = TabularPolicy(policy_table(0, rows=9)), batch_of(REFERENCES)
    proposal = RewardGuided(samples=40, max_length=STEPS, **options)
    reward = TabularReward(value_table(1))
    found = draw(proposal, policy, batch, reward, OneStream(seed=3))
    expected = draw(
        Sampling(samples=40, max_length=STEPS), policy, batch, reward, OneStream(seed=3)
    )
    for name in ("inputs", "targets", "mask", "given", "cut"):
        assert torch.equal(getattr(found, name), getattr(expected, name))
    assert found.group == expected.group == 40


@pytest.mark.parametrize("drop", [0.0, 0.4])
def test_samples_follow_the_law(drop: float) -> None:
    """At each step that of the policy with probability `drop`, else the one with the reward."""
    policy, batch = TabularPolicy(policy_table(0, rows=9)), batch_of([(4, 5, EOS), (6, EOS)])
    reward, samples = TabularReward(value_table(1)), 20000
    proposal = RewardGuided(samples=samples, weight=1.5, drop=drop, max_length=STEPS)
    rows = rows_of(draw(proposal, policy, batch, reward).targets)
    for b, reference in enumerate([4, 6]):
        own = policy.table[4 + b].detach()
        weights = torch.full_like(own[:, 0], 1.5)
        with_reward = torch.softmax(guided(own, reward.table[reference], weights), -1)
        mixed = drop * torch.softmax(own, -1) + (1 - drop) * with_reward
        found = Counter(rows[b * samples : (b + 1) * samples])
        assert_fits([found[y] for y in SEQUENCES], law(mixed.clamp(min=1e-300).log()).tolist())


def test_each_sample_and_step_drops_the_reward_by_itself() -> None:
    """A policy that always says 4 and a reward for 5: how often, and which together."""
    table = torch.full((9, NODES, SIZE), BARRED).double()
    table[..., 4], table[..., 5] = 0.0, -30.0
    bonus = torch.zeros(SIZE, NODES, SIZE).double()
    bonus[..., 5] = 1.0
    proposal = RewardGuided(samples=20000, weight=1e4, drop=0.6, max_length=STEPS)
    drawn = draw(proposal, TabularPolicy(table), batch_of([(4, EOS)]), TabularReward(bonus))
    found = Counter(rows_of(drawn.targets))
    chance = {4: 0.6, 5: 0.4}
    chances = {
        (a, b, c, EOS): chance[a] * chance[b] * chance[c]
        for a in chance
        for b in chance
        for c in chance
    }
    assert set(found) == set(chances)
    assert_fits([found[y] for y in chances], list(chances.values()))


def test_an_exact_factorisation_samples_the_payoff_itself() -> None:
    """R of length three, additive over tokens; the policy's choices depend on the place alone."""
    places = policy_table(3, rows=STEPS)[:, 1]  # [STEPS, V], one distribution for each place
    bonus = value_table(4)[4, 1]  # [V]
    logits = torch.full((NODES, SIZE), BARRED).double()
    for prefix in PREFIXES:
        logits[NODE[prefix]] = places[len(prefix)]
        logits[NODE[prefix], EOS] = BARRED
        if len(prefix) == STEPS - 1:
            logits[NODE[prefix]] = BARRED
            logits[NODE[prefix], EOS] = 0.0
    rewards = bonus.expand(SIZE, NODES, SIZE)
    found = exact_law(logits, rewards[4], 1.0)
    expected = payoff(logits, TabularReward(rewards), batch_of([(4, EOS)]))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    assert (found > 1e-6).sum() == 27


def test_rewards_that_promise_nothing_for_later_sample_the_payoff_itself() -> None:
    """dr = log(p'(w) / p(w)) with any p': then E_p[exp(dr)] = 1 after every prefix."""
    logits, other = dyadic_table(1)[4], dyadic_table(2)[5]
    rewards = torch.zeros(SIZE, NODES, SIZE).double()
    rewards[:] = torch.log_softmax(other, -1) - torch.log_softmax(logits, -1)
    expected = payoff(logits, TabularReward(rewards), batch_of([(4, EOS)]))
    torch.testing.assert_close(exact_law(logits, rewards[4], 1.0), expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(expected, law(other), rtol=0, atol=1e-9)
    assert (law(other) - law(logits)).abs().max() > 0.1


def test_it_is_not_the_payoff_where_later_steps_matter() -> None:
    """There is no look-ahead: with a reward for the second token alone the law is another."""
    logits = dyadic_table(1)[4]
    rewards = torch.zeros(SIZE, NODES, SIZE).double()
    rewards[:, NODE[(4,)]] = 3.0
    expected = payoff(logits, TabularReward(rewards), batch_of([(4, EOS)]))
    assert (exact_law(logits, rewards[4], 1.0) - expected).abs().max() > 0.1


LONG = (4, 5, 6, 7, 8, 9, 10, 11, EOS)


class Endless(TabularPolicy):
    """Says the same at every step: 12, a word of no reference, then 4, whatever else."""

    def __init__(self) -> None:
        table = torch.full((30, NODES, 13), BARRED)
        table[..., EOS:] = 0.0
        table[..., 4], table[..., 12] = 8.0, 20.0
        super().__init__(table)
        self.target_size = 13

    def features(self, memory: object, inputs: Tensor) -> Tensor:
        raise NotImplementedError

    def step(self, memory: object, state: object, token: Tensor) -> tuple[Tensor, object]:
        return self.table[memory.row, 0], state  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("reward", "weight"),
    [
        (BleuReward(), 1e6),
        (BleuReward(), 1e30),
        (BleuReward(scale="reference_length"), 1e5),
        (EditReward(distance="hamming"), 1e4),
    ],
)
def test_a_huge_weight_follows_the_reference(reward: PrefixReward, weight: float) -> None:
    """The policy breaks the one tie, which of the reference's words is the first."""
    batch = replace(
        batch_of([LONG]), target=torch.tensor([LONG]), references=torch.tensor([[LONG]])
    )
    proposal = RewardGuided(samples=50, weight=weight, drop=0.0)
    rows = rows_of(draw(proposal, Endless(), batch, reward).targets)
    assert set(rows) == {LONG}


def test_the_edit_distance_may_leave_out_words() -> None:
    """Any later word of the reference brings as much as the next one: the policy chooses."""
    batch = replace(
        batch_of([LONG]), target=torch.tensor([LONG]), references=torch.tensor([[LONG]])
    )
    proposal = RewardGuided(samples=50, drop=0.0)
    rows = rows_of(draw(proposal, Endless(), batch, EditReward()).targets)
    assert len(set(rows)) > 1
    assert all(row[0] == 4 for row in rows)
    assert any(5 not in row for row in rows)


def test_the_paper_weight_does_not_lift_bleus_first_increments() -> None:
    """exp(1 - 20 / 1) of them: after one word of twenty the policy has its way at 10,000."""
    reference = (*range(4, 12), *[11] * 12, EOS)
    target = torch.tensor([reference])
    batch = replace(batch_of([LONG]), target=target, references=target.unsqueeze(1))
    for weight, first in ((1e4, 12), (1e30, 4)):
        proposal = RewardGuided(weight=weight, drop=0.0)
        assert draw(proposal, Endless(), batch, BleuReward()).targets[0, 0] == first


@pytest.mark.parametrize("weight", [1e4, 1e30])
def test_a_huge_weight_leaves_the_policy_its_say_among_equals(weight: float) -> None:
    """In single precision, in which 50,000 + log p would be rounded to steps of 0.004."""
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(1))
    changes = torch.full((3, 50), -0.25)
    best = torch.tensor([3, 17, 31])
    changes[:, best] = 5.0
    found = guided(logits, changes, torch.full((3,), weight))
    log_p = torch.log_softmax(logits, -1)
    assert torch.equal(found[:, best], log_p[:, best])
    others = torch.ones(50, dtype=torch.bool).index_fill(0, best, False)
    assert (found[:, others] < -5e4).all()
    among = torch.softmax(found, -1)[:, best]
    expected = torch.softmax(logits[:, best], -1)
    torch.testing.assert_close(among, expected, rtol=1e-6, atol=0)


def test_half_precision_is_not_used_for_the_sum() -> None:
    logits = torch.zeros(1, 4, dtype=torch.bfloat16)
    found = guided(logits, torch.tensor([[0.0, 0.1, 0.2, 0.2]]), torch.tensor([1.0]))
    assert found.dtype == torch.float32
    assert (found[0, 2] - found[0, 0]).item() == pytest.approx(0.2, abs=1e-6)


def test_padding_and_bos_are_never_sampled() -> None:
    policy, batch = TabularPolicy(policy_table(5, rows=9)), batch_of(REFERENCES)
    proposal = RewardGuided(samples=500, drop=0.0, weight=1e4, max_length=STEPS)
    for reward in (BleuReward(), EditReward()):
        drawn = draw(proposal, policy, batch, reward)
        assert not torch.isin(drawn.targets[drawn.mask], torch.tensor([PAD, BOS])).any()
        assert ((drawn.targets == EOS).sum(1) == 1).all()
        assert torch.equal(drawn.mask, drawn.targets != PAD)
        assert torch.equal(drawn.inputs[:, 1:], drawn.targets[:, :-1])


def test_penalties_lower_the_reward_of_repeats_and_of_an_early_end() -> None:
    sentences = batch_of([(4, 5, EOS), (6, EOS)]).select(torch.tensor([0, 0, 1, 1]))
    reward = TabularReward(value_table(1))
    plain = RewardGuided(samples=2)
    penalised = RewardGuided(samples=2, repeat_penalty=0.5, eos_penalty=2.0)
    expected = {0: [2, 2, 2, 2], 1: [2, 2, 0, 0], 2: [0, 0, 0, 0]}
    prefixes = torch.tensor([[4, 4], [5, 6], [6, 6], [4, 5]])
    for steps, eos in expected.items():
        prefix = prefixes[:, :steps]
        before = plain.changes(reward, prefix, sentences, SIZE)
        less = before - penalised.changes(reward, prefix, sentences, SIZE)
        wanted = torch.zeros(4, SIZE).double()
        wanted[:, EOS] = torch.tensor(eos).double()
        if steps:
            wanted[torch.arange(4), prefix[:, -1]] = 0.5
        torch.testing.assert_close(less, wanted, rtol=0, atol=1e-12)


def test_a_split_batch_draws_what_the_whole_one_draws() -> None:
    policy, batch = TabularPolicy(policy_table(0, rows=9)), batch_of(REFERENCES)
    proposal = RewardGuided(samples=4, weight=2.0, drop=0.5, max_length=STEPS)
    reward = BleuReward(scale="reference_length")
    whole = rows_of(draw(proposal, policy, batch, reward).targets)
    parts = [
        row
        for part in batch.split(2)
        for row in rows_of(draw(proposal, policy, part, reward).targets)
    ]
    assert parts == whole
    assert rows_of(draw(proposal, policy, batch, reward, Clock(seed=2)).targets) != whole


@pytest.mark.parametrize(("extra", "longest", "expected"), [(2, 50, 6), (10, 5, 5)])
def test_longest_sample(extra: int, longest: int, expected: int) -> None:
    table = torch.full((9, NODES, SIZE), BARRED).double()
    table[..., 4] = 0.0  # never ends by itself
    proposal = RewardGuided(extra_length=extra, max_length=longest, drop=1.0)
    drawn = draw(proposal, TabularPolicy(table), batch_of(REFERENCES), BleuReward())
    assert drawn.targets.tolist() == [[4] * (expected - 1) + [EOS]] * 3
    assert drawn.cut is not None
    assert drawn.cut.all()


def test_a_reward_without_prefixes_is_refused() -> None:
    class Whole(Reward):
        def score(self, trajectories: Trajectories, batch: Batch) -> Tensor:
            return torch.zeros(len(trajectories))

    policy, batch = TabularPolicy(policy_table(0, rows=9)), batch_of(REFERENCES)
    with pytest.raises(ValueError, match=r"every token \(bleu, rouge, edit\), not Whole"):
        draw(RewardGuided(), policy, batch, Whole())


@pytest.mark.parametrize(
    "options",
    [
        {"samples": 0},
        {"weight": -1.0},
        {"weight": float("inf")},
        {"drop": 1.5},
        {"repeat_penalty": -1.0},
        {"eos_penalty": -1.0},
        {"extra_length": -1},
        {"max_length": 0},
    ],
)
def test_unusable_arguments_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        RewardGuided(**options)
