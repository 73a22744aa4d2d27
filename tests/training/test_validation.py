"""What is measured on dev: what a stage may be selected by, and how far its policy has drifted."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from seqrl.algorithms.likelihood import MLE
from seqrl.data.task import Task
from seqrl.data.tokenizers import WordTokenizer
from seqrl.decoding.decoder import Greedy
from seqrl.metrics.corpus import METRICS, corpus_scores
from seqrl.metrics.direction import DESCRIPTIVE
from seqrl.metrics.outputs import Outputs
from seqrl.rewards.bleu import BleuReward
from seqrl.tracking.metrics_log import read_metrics
from seqrl.training import validation
from seqrl.training.validation import DevValidation
from seqrl.types import Clock
from tabular import (
    EOS,
    NODE,
    STEPS,
    TabularPolicy,
    batch_of,
    policy_table,
    rows_of,
    trajectories_of,
)

REFERENCES = [(4, 5, EOS), (5, EOS), (6, 6, EOS)] * 7


def sampled(policy: TabularPolicy, start: TabularPolicy | None, clock: Clock) -> Any:
    dev = DevValidation(
        task=None,  # type: ignore[arg-type]
        decoder=Greedy(max_length=STEPS),
        device=torch.device("cpu"),
        seed=1,
        reward=BleuReward(),
        start=start,
    )
    return dev._sampled(MLE(policy=policy), batch_of(REFERENCES), clock), dev


def between(ours: Tensor, theirs: Tensor) -> float:
    """sum_w p (log p - log q), word by word."""
    p, q = torch.softmax(ours, -1).tolist(), torch.softmax(theirs, -1).tolist()
    return sum(a * (torch.tensor(a / b).log().item()) for a, b in zip(p, q, strict=True) if a)


@pytest.mark.parametrize("at_once", [3, 1000])
def test_the_drift_is_exact_along_samples_of_the_policy(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "TOKENS_AT_ONCE", at_once)
    policy, start = TabularPolicy(policy_table(0, rows=30)), TabularPolicy(policy_table(1, rows=30))
    clock = Clock(update=2, seed=5)
    found, dev = sampled(policy, start, clock)
    total, tokens = found["kl"]
    batch = batch_of(REFERENCES)
    memory = policy.encode(batch.source, batch.source_mask)
    samples = rows_of(dev.sampling(policy, memory, batch, None, clock).targets)
    assert len(set(samples)) > 5
    expected = [
        between(policy.table[4 + row, NODE[sample[:t]]], start.table[4 + row, NODE[sample[:t]]])
        for row, sample in enumerate(samples)
        for t in range(len(sample))
    ]
    assert tokens == len(expected)
    assert total.item() == pytest.approx(sum(expected), rel=1e-6)
    assert not total.requires_grad
    disorder = [
        -sum(p * math.log(p) for p in torch.softmax(row, -1).tolist() if p > 0)
        for row in (
            policy.table[4 + n, NODE[sample[:t]]]
            for n, sample in enumerate(samples)
            for t in range(len(sample))
        )
    ]
    assert found["entropy"][0].item() == pytest.approx(sum(disorder), rel=1e-6)
    assert found["entropy"][1] == len(expected)
    scores = BleuReward().score(trajectories_of(samples), batch)
    assert found["reward"][0].item() == pytest.approx(scores.sum().item(), rel=1e-6)
    assert found["reward"][1] == len(samples)


def test_what_has_not_moved_has_not_drifted() -> None:
    policy = TabularPolicy(policy_table(0, rows=30))
    (found, _), (nothing, _) = (sampled(policy, s, Clock()) for s in (policy, None))
    assert found["kl"][0] == 0
    assert set(nothing) == {"entropy", "reward"}


def test_a_stage_measures_its_drift_from_the_policy_that_it_was_given(tiny_run: Path) -> None:
    """Zero at first, then not; a stage from scratch and a critic's have none."""
    drift: dict[Any, list[Any]] = {}
    for record in read_metrics(tiny_run / "metrics.jsonl"):
        if any(name.startswith("dev/") for name in record):
            drift.setdefault(record["stage"], []).append(record.get("dev/kl"))
    assert drift["actor"] == [None]
    assert drift["critic"] == [None, None]
    assert drift["joint"][0] == 0
    assert drift["joint"][-1] > 1e-5


@pytest.fixture
def dev() -> DevValidation:
    task = Task(name="none", corpus=dict, target_tokenizer=WordTokenizer())
    return DevValidation(task=task, decoder=Greedy(), device=torch.device("cpu"), seed=0)


# Scores of tasks of their own cannot judge these sentences.
@pytest.mark.parametrize(
    "name", [n for n in METRICS if n not in (*DESCRIPTIVE, "oracle_nll", "melody_reward")]
)
def test_of_a_metric_the_perfect_output_is_the_better_one(dev: DevValidation, name: str) -> None:
    references = [("a b c d e",), ("f g h i",)]

    def score(*hypotheses: str) -> float:
        outputs = Outputs(["", ""], hypotheses, references, hypotheses, references, True)
        (found,) = corpus_scores([name], outputs)
        assert found.higher_is_better is dev.higher_is_better(name)
        return found.value

    perfect, poor = score("a b c d e", "f g h i"), score("a b c d x", "f g h h i")
    assert (perfect > poor) is dev.higher_is_better(name)
    assert perfect != poor


@pytest.mark.parametrize("name", ["nll", "td_error", "return_error", "a_loss_of_ones_own"])
def test_of_a_loss_less_is_better(dev: DevValidation, name: str) -> None:
    assert not dev.higher_is_better(name)
