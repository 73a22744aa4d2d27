"""Sequence Tutor: fixed points by enumeration, targets by hand, and what its memory keeps."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from networks import lstm
from seqrl.algorithms.replay import Plays, Replay
from seqrl.algorithms.sequence_tutor import SequenceTutor
from seqrl.build import check
from seqrl.cli import running
from seqrl.cli.configuration import conf_folder
from seqrl.identity import plain, run_folder
from seqrl.models.language_model import LanguageModel
from seqrl.models.tilted import Tilted
from seqrl.proposals.exploring import Exploring
from seqrl.rewards.bleu import BleuReward
from seqrl.rewards.chrf import ChrfReward
from seqrl.tracking.metrics_log import read_metrics
from seqrl.types import Batch, Clock, Trajectories
from tabular import (
    BARRED,
    EOS,
    NODE,
    PAD,
    PREFIXES,
    SEQUENCES,
    SIZE,
    SPECIALS,
    STEPS,
    TabularPolicy,
    TabularReward,
    batch_of,
    padded,
    policy_table,
    sequence_log_prob,
    trajectories_of,
    value_table,
)

REFERENCES = [(4, 5, 6, EOS), (5, EOS), (6, 6, EOS)]
ROW = 4  # of the tables, of the only sentence that is enumerated


def closed_table(seed: int) -> Tensor:
    """Random logits that are no log-probabilities; at the last step nothing but EOS can stand."""
    table = policy_table(seed) + 3.0
    table[:, [NODE[p] for p in PREFIXES if len(p) == STEPS - 1]] = BARRED
    table[:, [NODE[p] for p in PREFIXES if len(p) == STEPS - 1], EOS] = 0.0
    return table


def copies(count: int) -> Batch:
    """One sentence so many times."""
    target = padded([(ROW, 5, 6, EOS)] * count)
    return Batch(torch.full((count, 1), ROW), target, target.unsqueeze(1), PAD, SPECIALS)


def tutor(prior: Tensor, rewards: Tensor | None = None, **options: Any) -> SequenceTutor:
    """Of tables; the policy begins as the prior."""
    network = TabularPolicy(prior)
    return SequenceTutor(
        policy=TabularPolicy(prior),
        prior=network,
        reward=TabularReward(torch.zeros_like(prior) if rewards is None else rewards),
        proposal=Exploring(prior=network, max_length=STEPS),
        **({"memory": 50} | options),
    )


def everything(algorithm: SequenceTutor) -> Plays:
    """All sequences as if they had been played."""
    plays, _ = algorithm.recorded(trajectories_of(SEQUENCES), copies(len(SEQUENCES)))
    return plays


def at_the_fixed_point(algorithm: SequenceTutor) -> Tensor:
    """[nodes, V], the values when every action has been set to its target until nothing changes.

    The last table stays the target network's, too.
    """
    plays, table = everything(algorithm), algorithm.slow.table.data[ROW]
    for _ in range(STEPS):
        states = algorithm.state_values(plays)
        goals = algorithm.targets(plays, states) + algorithm.offset(plays)
        if algorithm.target == "g":
            goals = goals + plays.log_prior
        for n, y in enumerate(SEQUENCES):
            for t in range(len(y)):
                if plays.actions[n, t]:
                    table[NODE[y[:t]], y[t]] = goals[n, t]
    algorithm.policy.table.data.copy_(algorithm.slow.table.data)
    errors = algorithm.values(plays) - algorithm.targets(plays, algorithm.state_values(plays))
    assert errors[plays.actions].abs().max() < 1e-12
    return table


def of_sequences(table: Tensor) -> Tensor:
    """[40], log p of all sequences."""
    return torch.stack([sequence_log_prob(table, y, forced=False) for y in SEQUENCES])


def returns(rewards: Tensor) -> Tensor:
    """[40]"""
    found = [sum(rewards[ROW, NODE[y[:t]], y[t]] for t in range(len(y))) for y in SEQUENCES]
    return torch.stack([torch.as_tensor(value) for value in found])


@pytest.mark.parametrize("target", ["psi", "g"])
@pytest.mark.parametrize("c", [0.5, 2.0, math.inf])
def test_the_fixed_point_is_the_best_policy_of_kl_control(target: str, c: float) -> None:
    prior, rewards = closed_table(0), value_table(1)
    algorithm = tutor(prior, rewards, target=target, gamma=1.0, c=c)
    found = of_sequences(at_the_fixed_point(algorithm))
    logits = of_sequences(prior[ROW]) + returns(rewards) / c
    torch.testing.assert_close(found, torch.log_softmax(logits, 0), rtol=0, atol=1e-9)
    if c == math.inf:
        torch.testing.assert_close(found, of_sequences(prior[ROW]), rtol=0, atol=1e-9)
    start = algorithm.state_values(everything(algorithm))[0, 0].item()
    assert start == pytest.approx(torch.logsumexp(logits, 0).item(), abs=1e-9)


def test_the_fixed_point_of_q_leads_to_the_best_sum() -> None:
    for seed in range(5):
        prior, rewards = closed_table(seed), value_table(seed + 10)
        table = at_the_fixed_point(tutor(prior, rewards, target="q", gamma=1.0, c=0.7))
        sums = of_sequences(prior[ROW]) + returns(rewards) / 0.7
        y: tuple[int, ...] = ()
        while not y or y[-1] != EOS:
            y = (*y, int(table[NODE[y]].argmax()))
        assert y == SEQUENCES[int(sums.argmax())]


@pytest.mark.parametrize("centred", [True, False])
def test_without_a_prior_it_is_soft_q_learning(centred: bool) -> None:
    prior, rewards = closed_table(0), value_table(1)
    options = {"prior_weight": 0.0, "gamma": 1.0, "c": 0.5, "centred": centred}
    found = of_sequences(at_the_fixed_point(tutor(prior, rewards, **options)))
    expected = torch.log_softmax(returns(rewards) / 0.5, 0)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_psi_and_g_are_one_rule() -> None:
    """Against G's, written with its own network values: same loss, same gradient."""
    prior, slow, rewards, c, gamma = closed_table(0), closed_table(2), value_table(1), 0.5, 0.8
    table = closed_table(3).requires_grad_(True)
    log_p = torch.log_softmax(prior, -1)
    normaliser = torch.logsumexp(prior, -1, keepdim=True)
    values, behind = (z - normaliser - log_p for z in (table, slow))  # G and G-
    soft = torch.logsumexp(log_p + behind, -1)
    expected = table.new_zeros(())
    for y in SEQUENCES:
        for t, token in enumerate(y[: STEPS - 1]):
            node, after = NODE[y[:t]], NODE.get(y[: t + 1])
            goal = rewards[ROW, node, token] / c
            if token != EOS:
                goal = goal + gamma * soft[ROW, after]
                if t + 1 == STEPS - 1:  # nothing but EOS can follow, nor is it discounted
                    goal = (rewards[ROW, node, token] + rewards[ROW, after, EOS]) / c
            expected = expected + (values[ROW, node, token] - goal).square() / len(SEQUENCES)
    (slope,) = torch.autograd.grad(expected, [table])
    for target in ("psi", "g"):
        algorithm = tutor(prior, rewards, target=target, c=c, gamma=gamma)
        algorithm.policy.table.data.copy_(table.detach())
        algorithm.slow.table.data.copy_(slow)
        algorithm.memory = Given(everything(algorithm))  # type: ignore[assignment]
        loss = algorithm.losses(copies(len(SEQUENCES)), Clock())["policy"]
        (gradient,) = torch.autograd.grad(loss, [algorithm.policy.table])
        assert loss.item() == pytest.approx(expected.item(), abs=1e-12)
        torch.testing.assert_close(gradient, slope, rtol=0, atol=1e-12)


class Given:
    """A memory from which always the same is drawn."""

    def __init__(self, plays: Plays) -> None:
        self.plays = plays

    def __len__(self) -> int:
        return len(self.plays)

    def draw(self, noise: Tensor) -> Plays:
        return self.plays


@pytest.mark.parametrize("gamma", [1.0, 0.5])
@pytest.mark.parametrize("target", ["psi", "g"])
def test_without_rewards_there_is_nothing_to_learn(target: str, gamma: float) -> None:
    algorithm = tutor(closed_table(0), target=target, gamma=gamma, terminal=True)
    before = algorithm.policy.table.detach().clone()
    for update in range(3):
        loss = descend(algorithm, batch_of(REFERENCES), update)
        assert loss.item() < 1e-24
        metrics = algorithm.metrics()
        assert metrics["td_error"] < 1e-12
        assert metrics["kl"].abs() < 1e-12
    torch.testing.assert_close(algorithm.policy.table.detach(), before, rtol=0, atol=1e-12)


def descend(algorithm: SequenceTutor, batch: Batch, update: int, rows: int = 0) -> Tensor:
    """The loss of an update by plain gradient descent, in parts of so many rows."""
    clock = Clock(update=update, seed=3, fraction=update / 10)
    parameters = list(algorithm.policy.parameters())
    total = torch.zeros(())
    for part in batch.split(rows or len(batch)):
        loss = algorithm.losses(part, clock)["policy"]
        loss.backward()
        total = total + loss.detach()
    for parameter in parameters:
        parameter.data -= 0.05 * parameter.grad
        parameter.grad = None
    algorithm.after_update(clock)
    return total


HAND = {
    True: [[-1.0 + 2.0 + 0.5 * 0.3, -2.0 + 4.0 + 0.5 * 0.7, -3.0 + 6.0], [-1.5 - 8.0]],
    False: [
        [-1.0 + 2.0 + 0.5 * 0.3, -2.0 + 4.0 + 0.5 * 0.7, -3.0 + 6.0 + 0.5 * 0.2],
        [-1.5 - 8.0 + 0.5 * 0.9],
    ],
}
"""log p + r / c + gamma V of (4, 5, EOS) and of (EOS), terminal or not."""


@pytest.mark.parametrize("terminal", [True, False])
def test_targets_by_hand(terminal: bool) -> None:
    """The reset is the sentence's own first state, V(s_1) = 0.2 and 0.9."""
    algorithm = tutor(closed_table(0), c=0.5, gamma=0.5, terminal=terminal)
    found = algorithm.targets(*by_hand())
    assert found[0].tolist() == pytest.approx(HAND[terminal][0])
    assert found[1, :1].tolist() == pytest.approx(HAND[terminal][1])
    without = tutor(closed_table(0), c=0.5, gamma=0.5, terminal=terminal, prior_weight=0.0)
    difference = (found - without.targets(*by_hand())).tolist()
    assert difference == [pytest.approx([-1, -2, -3]), pytest.approx([-1.5, 0, 0])]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_sequence_that_was_cut_goes_on(terminal: bool) -> None:
    """Its EOS is no action, and the value of the state where it stands is what follows."""
    plays, states = by_hand()
    cut = replace(
        plays, actions=plays.actions & (plays.tokens != EOS), ended=torch.tensor([False, False])
    )
    found = tutor(closed_table(0), c=0.5, gamma=0.5, terminal=terminal).targets(cut, states)
    assert found[0, :2].tolist() == pytest.approx(HAND[terminal][0][:2])


def by_hand() -> tuple[Plays, Tensor]:
    """Two sequences, and what the states are worth."""
    tokens = padded([(4, 5, EOS), (EOS,)])
    mask = tokens != PAD
    plays = Plays(
        source=torch.tensor([[4], [5]]),
        source_mask=torch.ones(2, 1).bool(),
        tokens=tokens,
        states=mask,
        actions=mask,
        rewards=torch.tensor([[1.0, 2.0, 3.0], [-4.0, 0, 0]]),
        log_prior=torch.tensor([[-1.0, -2.0, -3.0], [-1.5, 0, 0]]),
        normaliser=torch.zeros(2, 3),
        ended=torch.tensor([True, True]),
    )
    return plays, torch.tensor([[0.2, 0.3, 0.7], [0.9, 0.0, 0.0]])


def test_what_a_limit_puts_is_no_action() -> None:
    """With a choice at the last step the EOS there is the limit's; the state still has a value."""
    algorithm = tutor(policy_table(0), value_table(1))
    trajectories = trajectories_of([(4, 5, 6, EOS), (5, EOS)])
    cut = replace(trajectories, cut=torch.tensor([True, False]))
    plays, _ = algorithm.recorded(cut, copies(2))
    assert plays.actions.tolist() == [[True, True, True, False], [True, True, False, False]]
    assert plays.ended.tolist() == [False, True]
    algorithm.slow.table.data += 1.0  # of V-, which the prior's log Z is taken off
    expected = value_table(1)[ROW, NODE[4, 5], 6] / 0.5 + plays.log_prior[0, 2] + 0.5 * 1.0
    found = algorithm.targets(plays, algorithm.state_values(plays))[0, 2]
    assert found.item() == pytest.approx(expected.item(), abs=1e-12)


def test_a_limit_where_the_end_is_certain_cuts_nothing() -> None:
    trajectories = trajectories_of([(4, 5, 6, EOS), (5, EOS)])
    at_the_limit = replace(trajectories, cut=torch.tensor([True, False]))
    found, expected = (
        vars(tutor(closed_table(0), value_table(1)).recorded(each, copies(2))[0])
        for each in (at_the_limit, trajectories)
    )
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("target", ["q", "psi", "g"])
def test_barred_tokens_enter_nothing(target: str, centred: bool, terminal: bool) -> None:
    """A model of fixed length, where EOS is certain or barred, with constants of 1e4."""
    torch.manual_seed(0)
    sizes = {"source_size": 5, "target_size": 9, "specials": SPECIALS, "length": 5}
    policy = LanguageModel(**sizes, init=0.5)
    prior = copy.deepcopy(policy)
    proposal = Exploring(prior=prior, epsilon=0.3, noise="uniform", max_length=20)
    algorithm = SequenceTutor(
        policy=policy, prior=prior, proposal=proposal, reward=BleuReward(), target=target,
        gamma=0.9, c=0.1, centred=centred, terminal=terminal,
    )  # fmt: skip
    references = batch_of([(4, 5, 6, 7, 8, EOS)] * 6)
    for update in range(3):
        descend(algorithm, references, update)
        for name, value in algorithm.metrics().items():
            assert value.abs() < 50, name
    plays = algorithm.memory.draw(torch.rand(50))
    assert (plays.tokens[:, :5] >= 4).all()  # no special symbol, the unknown word among them
    assert (plays.tokens[:, 5] == EOS).all()
    assert plays.actions.sum(1).tolist() == [5] * 50  # the sixth is certain
    assert plays.ended.all()
    goals = algorithm.targets(plays, algorithm.state_values(plays))[plays.actions]
    assert goals.abs().max() < 50
    states = algorithm.state_values(plays)
    if not terminal:
        reset = goals.view(50, 5)[:, 4] - algorithm.gamma * states[:, 0]
        algorithm.terminal = True
        ended = algorithm.targets(plays, states)[:, 4]
        torch.testing.assert_close(reset, ended)


def test_the_reward_of_a_certain_end_goes_to_the_word_before() -> None:
    algorithm, rewards = tutor(closed_table(0), value_table(1)), value_table(1)
    plays, _ = algorithm.recorded(trajectories_of([(4, 5, 6, EOS), (5, EOS)]), copies(2))
    assert plays.actions.tolist() == [[True, True, True, False], [True, True, False, False]]
    assert plays.ended.tolist() == [True, True]
    both = rewards[ROW, NODE[4, 5], 6] + rewards[ROW, NODE[4, 5, 6], EOS]
    assert plays.rewards[0, 2] == both
    assert plays.rewards[1, 1] == rewards[ROW, NODE[5,], EOS]
    torch.testing.assert_close(plays.rewards.sum(1), returns(rewards)[[
        SEQUENCES.index((4, 5, 6, EOS)), SEQUENCES.index((5, EOS))
    ]])  # fmt: skip


def test_what_is_kept_is_what_was_played(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reward of that token and not of the most probable one."""
    prior, rewards = closed_table(0), value_table(1)
    algorithm = tutor(prior, rewards, memory=64)
    algorithm.proposal.epsilon.constant = 0.4  # type: ignore[attr-defined]
    played: list[Trajectories] = []
    own = algorithm.play
    monkeypatch.setattr(algorithm, "play", lambda *given: played.append(own(*given)) or played[-1])
    for update in range(4):
        descend(algorithm, copies(16), update)
    kept = algorithm.memory.draw((torch.arange(64) + 0.5) / 64)
    tokens = [row for trajectories in played for row in trajectories.targets.tolist()]
    assert [row[: len(y)] for row, y in zip(kept.tokens.tolist(), tokens, strict=True)] == tokens
    greedy = 0
    for row, y in enumerate(tokens):
        for t in range(min(len(y), STEPS - 2)):
            if kept.actions[row, t]:
                node = NODE[tuple(y[:t])]
                assert kept.rewards[row, t] == rewards[ROW, node, y[t]]
                expected = torch.log_softmax(prior[ROW, node], -1)[y[t]]
                torch.testing.assert_close(kept.log_prior[row, t], expected)
                greedy += int(prior[ROW, node].argmax()) == y[t]
    assert 0.2 < greedy / int(kept.actions[:, : STEPS - 2].sum()) < 0.8


def test_new_plays_are_learned_from_the_next_update_on() -> None:
    algorithm = tutor(closed_table(0), value_table(1))
    descend(algorithm, copies(8), 0)
    assert len(algorithm.memory) == 8
    drawn = algorithm.memory.draw(torch.tensor([0.0, 0.5]))
    algorithm.memory = Given(drawn)  # type: ignore[assignment]
    loss = algorithm.losses(copies(2), Clock(update=1))["policy"]
    errors = algorithm.values(drawn) - algorithm.targets(drawn, algorithm.state_values(drawn))
    expected = errors[drawn.actions].square().sum() / 2
    torch.testing.assert_close(loss, expected)


def test_plays_are_made_now_and_then() -> None:
    algorithm, counts = tutor(closed_table(0), value_table(1), play_every=3), []
    for update in range(7):
        descend(algorithm, copies(4), update)
        counts.append(len(algorithm.memory))
        assert ("reward" in algorithm.metrics()) == (update % 3 == 0)
        assert "td_error" in algorithm.metrics()
    assert counts == [4, 4, 4, 8, 8, 8, 12]


def recurrent(seed: int = 0, **options: Any) -> SequenceTutor:
    sizes = {"source_size": 9, "target_size": SIZE, "hidden": 4, "dropout": 0.3}
    prior = lstm(seed, **sizes).double()
    return SequenceTutor(
        policy=lstm(seed, **sizes).double(),
        prior=prior,
        reward=BleuReward(),
        proposal=Exploring(prior=prior, epsilon=0.2, max_length=6),
        **({"memory": 7, "c": 0.1, "eta": 0.3} | options),
    )


@pytest.mark.parametrize("target", ["q", "psi", "g"])
@pytest.mark.parametrize("rows", [1, 2])
def test_parts_add_up_to_the_whole(rows: int, target: str) -> None:
    """Replay included, and what is kept afterwards."""
    whole, split = recurrent(target=target), recurrent(target=target)
    for update in range(4):
        losses = [
            descend(algorithm, batch_of(REFERENCES), update, size)
            for algorithm, size in ((whole, 0), (split, rows))
        ]
        torch.testing.assert_close(*losses, rtol=0, atol=1e-12)
    for a, b in zip(whole.policy.parameters(), split.policy.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    noise = (torch.arange(7) + 0.5) / 7
    kept = [vars(algorithm.memory.draw(noise)) for algorithm in (whole, split)]
    for name, value in kept[0].items():
        torch.testing.assert_close(kept[1][name], value, rtol=0, atol=1e-12)


def test_a_resumed_tutor_has_the_memory_and_goes_on_bit_for_bit() -> None:
    straight, resumed = recurrent(), recurrent(seed=0)
    for update in range(5):  # the memory of 7 is full, and starts over in the middle
        descend(straight, batch_of(REFERENCES), update)
    resumed.policy.load_state_dict(straight.policy.state_dict())
    resumed.load_state_dict(copy.deepcopy(straight.state_dict()))
    for update in range(5, 9):
        losses = [descend(each, batch_of(REFERENCES), update) for each in (straight, resumed)]
        assert torch.equal(*losses)
    ours, theirs = (each.state_dict()["memory"] for each in (straight, resumed))
    assert ours["played"] == theirs["played"] == 27
    assert all(torch.equal(theirs["kept"][name], value) for name, value in ours["kept"].items())


def test_the_memory_keeps_the_last_and_draws_all_alike() -> None:
    memory = Replay(5)
    plays, _ = by_hand()
    for number in range(4):
        wider = torch.nn.functional.pad(plays.tokens, (0, number % 2))
        memory.add(replace(plays, tokens=wider, rewards=torch.full((2, 3), 1.0 * number)))
    assert len(memory) == 5
    drawn = memory.draw((torch.arange(10) + 0.5) / 10)
    assert sorted(drawn.rewards[:, 0].tolist()) == [1.0] * 2 + [2.0] * 4 + [3.0] * 4
    assert drawn.tokens.shape == (10, 3)
    assert drawn.ended.all()
    memory.add(
        Plays(**{name: value.repeat_interleave(4, 0) for name, value in vars(plays).items()})
    )
    kept = memory.draw((torch.arange(5) + 0.5) / 5)
    assert sorted(kept.rewards[:, 0].tolist()) == [-4.0] * 4 + [1.0]


def test_the_target_network_follows() -> None:
    algorithm = tutor(closed_table(0), value_table(1), eta=0.25)
    before = algorithm.slow.table.clone()
    descend(algorithm, copies(8), 0)
    expected = torch.lerp(before, algorithm.policy.table.detach(), 0.25)
    torch.testing.assert_close(algorithm.slow.table, expected)
    assert not torch.equal(expected, before)
    assert torch.equal(algorithm.prior.table, before)


def test_rewards_that_only_score_whole_sequences_are_refused() -> None:
    network = TabularPolicy(closed_table(0))
    with pytest.raises(ValueError, match="Sequence Tutor needs a reward for every token"):
        SequenceTutor(
            policy=network,
            prior=network,
            proposal=Exploring(prior=network),
            reward=ChrfReward(text=str),
        )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("target", "x"),
        ("c", 0.0),
        ("gamma", 1.5),
        ("eta", 0.0),
        ("memory", 0),
        ("play_every", 0),
        ("prior_weight", -1.0),
    ],
)
def test_unusable_arguments_are_refused(name: str, value: float | str) -> None:
    with pytest.raises(ValueError, match=name):
        tutor(closed_table(0), **{name: value})


def test_g_has_the_prior_in_its_policy() -> None:
    with pytest.raises(ValueError, match="prior_weight must be 1 with target g"):
        tutor(closed_table(0), target="g", prior_weight=0.0)


@pytest.mark.parametrize("target", ["q", "psi", "g"])
def test_a_run_starts_at_the_prior(target: str, tmp_path: Path) -> None:
    """Through the real command: the first TD errors are those of the values log p."""
    overrides = [
        *("experiment=smoke", "algorithm=sequence_tutor", f"algorithm.target={target}"),
        *("algorithm.gamma=1", "algorithm.c=0.1", "device=cpu", "threads=1"),
        *("model.hidden=16", "model.embedding=16", f"outputs={tmp_path}"),
    ]
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
        config = plain(compose(config_name="train", overrides=overrides))
    check(config)
    assert running.run_training(config) == 0
    folder = run_folder(config)
    records = [r for r in read_metrics(folder / "metrics.jsonl") if r["stage"] == "tutor"]
    first = next(r for r in records if "train/td_error" in r)
    assert abs(float(first["train/kl"])) < 1e-6
    assert float(first["train/epsilon"]) == pytest.approx(0.1)
    if target == "g":
        assert float(first["train/q_max"]) == pytest.approx(0.0, abs=1e-4)
    else:
        assert float(first["train/q_max"]) < 0
    assert {"train/reward", "train/kl_sentence", "train/q_min"} <= set(first)
    (start, *_) = (r for r in records if "dev/td_error" in r)
    assert float(start["dev/kl"]) == pytest.approx(0.0, abs=1e-6)
    stages = [
        entry["stage"] for entry in json.loads((folder / "result.json").read_text())["scores"]
    ]
    assert {"actor", "tutor"} == set(stages)


def test_a_network_of_its_own_learns_g_itself() -> None:
    """With logits log p + G, the values are G, and the states log sum p exp G."""
    sizes = {"source_size": 9, "target_size": SIZE, "specials": SPECIALS}
    described = {"_target_": "seqrl.models.lstm.LSTM", "embedding": 4, "hidden": 4, "dropout": 0.0}
    torch.manual_seed(3)
    policy = Tilted(**sizes, network=described).double()  # type: ignore[arg-type]
    own = SequenceTutor(
        policy=policy,
        prior=policy.prior,
        proposal=Exploring(prior=policy.prior),
        reward=BleuReward(),
        target="g",
        centred=False,
        gamma=0.7,
        c=0.5,
    )
    batch = batch_of(REFERENCES)
    trajectories = batch.reference_trajectories()
    plays, _ = own.recorded(trajectories, batch)
    memory = policy.encode(batch.source, batch.source_mask)
    inputs = batch.target_inputs
    g = policy.values.logits(memory.values, inputs)
    log_p = torch.log_softmax(policy.prior.logits(memory.prior, inputs), -1)
    taken = g.gather(2, batch.target.unsqueeze(2)).squeeze(2)
    expected = torch.where(plays.actions, taken, 0.0)
    assert torch.allclose(own.values(plays), expected, atol=1e-9)
    states = torch.where(plays.states, torch.logsumexp(log_p + g, -1), 0.0)
    assert torch.allclose(own.state_values(plays), states, atol=1e-9)
    following = torch.cat([states[:, 1:], torch.zeros_like(states[:, :1])], 1)
    ends = batch.target == EOS
    target = plays.rewards / 0.5 + 0.7 * torch.where(ends, 0.0, following)
    found = own.targets(plays, own.state_values(plays))
    assert torch.allclose(found[plays.actions], target[plays.actions], atol=1e-9)
    loss = own.losses(batch, Clock())["policy"]
    loss.backward()
    assert all(p.grad is None for p in policy.prior.parameters())
    assert any(p.grad is not None and p.grad.any() for p in policy.values.parameters())
