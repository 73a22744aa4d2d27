"""KL-control: the gradient of what it maximises, by enumeration, and where that is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from seqrl.algorithms.baselines import Baseline, LeaveOneOut, NoBaseline, RunningMean
from seqrl.algorithms.kl_control import KLControl
from seqrl.algorithms.reinforce import Reinforce
from seqrl.build import check
from seqrl.cli import running
from seqrl.cli.configuration import conf_folder
from seqrl.identity import plain, run_folder
from seqrl.tracking.metrics_log import read_metrics
from seqrl.types import Batch, Clock
from tabular import (
    EOS,
    NODE,
    PAD,
    SEQUENCES,
    SPECIALS,
    STEPS,
    Fixed,
    TabularPolicy,
    TabularReward,
    law,
    padded,
    policy_table,
    trajectories_of,
    value_table,
)

ROW = 4


def copies(count: int) -> Batch:
    """One sentence so many times."""
    target = padded([(ROW, 5, 6, EOS)] * count)
    return Batch(torch.full((count, 1), ROW), target, target.unsqueeze(1), PAD, SPECIALS)


def constant() -> Baseline:
    baseline = RunningMean()
    baseline.load_state_dict({"total": torch.tensor(2.6).double(), "weight": 2.0})
    return baseline


def algorithm(policy: Tensor, prior: Tensor, **options: Any) -> KLControl:
    """All sequences are its samples, one for each source of `copies(40)`."""
    samples = trajectories_of(SEQUENCES)
    samples = replace(samples, cut=samples.length == STEPS)
    made: dict[str, Any] = {
        "proposal": Fixed(samples),
        "baseline": NoBaseline(),
        "reward": TabularReward(value_table(1)),
    }
    return KLControl(policy=TabularPolicy(policy), prior=TabularPolicy(prior), **(made | options))


def expected_gradient(kl_control: KLControl) -> Tensor:
    """Of the loss, every sequence being as frequent as it is probable."""
    shares = law(kl_control.policy.table[ROW]).detach() * len(SEQUENCES)
    weights = kl_control.weights
    kl_control.weights = lambda *given: weights(*given) * shares.unsqueeze(1)  # type: ignore[method-assign]
    loss = kl_control.losses(copies(len(SEQUENCES)), Clock())["policy"]
    (gradient,) = torch.autograd.grad(loss, list(kl_control.policy.parameters()))
    return gradient


def returns(rewards: Tensor) -> Tensor:
    """R(y) of all sequences, [40]."""
    found = [[rewards[ROW, NODE[y[:t]], y[t]] for t in range(len(y))] for y in SEQUENCES]
    return torch.stack([torch.stack(row).sum() for row in found])


@pytest.mark.parametrize("baseline", [NoBaseline, constant])
@pytest.mark.parametrize("c", [0.3, 2.0])
def test_the_expected_gradient_is_that_of_the_objective(c: float, baseline: Any) -> None:
    """d/dtheta of E_q[R / c] - KL(q || p), over the laws of samples as they are cut."""
    table, prior = policy_table(0).requires_grad_(True), policy_table(2)
    q, log_p = law(table[ROW]), law(prior[ROW]).log()
    objective = (q * (returns(value_table(1)) / c - q.log() + log_p)).sum()
    (slope,) = torch.autograd.grad(objective, [table])
    found = expected_gradient(algorithm(table.detach(), prior, c=c, baseline=baseline()))
    torch.testing.assert_close(found, -slope, rtol=0, atol=1e-10)
    assert slope.abs().max() > 0.01


def test_at_the_best_policy_every_sample_is_worth_the_same() -> None:
    """R / c - log q + log p = log Z, so that with b = log Z not even one sample has a gradient."""
    prior, rewards, c = policy_table(2), value_table(1), 0.4
    logits = law(prior[ROW]).log() + returns(rewards) / c
    best = torch.softmax(logits, 0)
    distance = (best * (best / law(prior[ROW])).log()).sum()
    gains = returns(rewards) / c
    assert 0 < distance <= gains.max() - gains.min()
    found = algorithm(tables_of(best, prior), prior, c=c)
    torch.testing.assert_close(law(found.policy.table[ROW].detach()), best, rtol=0, atol=1e-12)
    assert expected_gradient(found).abs().max() < 1e-12
    assert found._samples is not None
    spread = found._samples.rewards - torch.logsumexp(logits, 0)
    assert spread.abs().max() < 1e-10


def tables_of(probabilities: Tensor, like: Tensor) -> Tensor:
    """Logits [rows, nodes, V] whose law is p [40]: of each prefix, how much goes on with a word."""
    table = like.clone()
    for prefix, node in NODE.items():
        if len(prefix) == STEPS - 1:
            continue
        for token in (EOS, 4, 5, 6):
            ahead = (*prefix, token)
            within = [y[: len(ahead)] == ahead for y in SEQUENCES]
            table[ROW, node, token] = probabilities[torch.tensor(within)].sum().log()
    return table


def test_near_the_prior_it_is_reinforce_and_metrics_are_by_hand() -> None:
    """With q = p the distances are zero, and the loss is REINFORCE's on R / c."""
    prior, options = policy_table(0), {"lambda_mle": 0.3}
    near = algorithm(prior, prior, c=1.0, **options)
    plain_one = Reinforce(
        policy=TabularPolicy(prior),
        proposal=near.proposal,
        reward=near.reward,
        baseline=NoBaseline(),
        **options,
    )
    losses = [each.losses(copies(40), Clock())["policy"] for each in (near, plain_one)]
    assert torch.equal(*losses)
    assert near.metrics()["kl"] == near.metrics()["kl_sentence"] == 0
    other = algorithm(policy_table(3), prior)
    other.losses(copies(40), Clock())
    distances = law(policy_table(3)[ROW]).log() - law(prior[ROW]).log()
    found = other.metrics()
    assert found["kl_sentence"].item() == pytest.approx(distances.mean().item(), abs=1e-12)
    tokens = sum(map(len, SEQUENCES))
    assert found["kl"].item() == pytest.approx(distances.sum().item() / tokens, abs=1e-12)
    assert found["reward"].item() == pytest.approx(returns(value_table(1)).mean().item())


@pytest.mark.parametrize("rows", [1, 3])
def test_parts_add_up_to_the_whole(rows: int) -> None:
    batch = copies(6)

    def made(start: int, end: int) -> tuple[Tensor, Tensor]:
        samples = trajectories_of(SEQUENCES[2 * start : 2 * end], group=2, width=STEPS)
        one = algorithm(
            policy_table(0), policy_table(2), baseline=LeaveOneOut(), proposal=Fixed(samples)
        )
        (part,) = (p for p in batch.split(end - start) if p.offset == start)
        loss = one.losses(part, Clock())["policy"]
        return loss.detach(), torch.autograd.grad(loss, list(one.policy.parameters()))[0]

    whole = made(0, 6)
    parts = [made(start, start + rows) for start in range(0, 6, rows)]
    for index in range(2):
        torch.testing.assert_close(sum(p[index] for p in parts), whole[index], rtol=0, atol=1e-12)


def test_c_must_be_positive() -> None:
    with pytest.raises(ValueError, match="c must be positive"):
        algorithm(policy_table(0), policy_table(0), c=0.0)


@pytest.mark.parametrize("reward", ["bleu", "chrf"])
def test_a_run_starts_at_the_prior(reward: str, tmp_path: Path) -> None:
    overrides = [
        *("experiment=smoke", "algorithm=kl_control", f"reward={reward}"),
        *("device=cpu", "threads=1", "model.hidden=16", "model.embedding=16"),
        *("task.budget.joint.optimizers.policy.lr=0.03", f"outputs={tmp_path}"),
    ]
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
        config = plain(compose(config_name="train", overrides=overrides))
    check(config)
    assert running.run_training(config) == 0
    records = read_metrics(run_folder(config) / "metrics.jsonl")
    found = [float(r["train/kl_sentence"]) for r in records if "train/kl_sentence" in r]
    assert abs(found[0]) < 1e-5
    assert all(value > 1e-4 for value in found[1:])
