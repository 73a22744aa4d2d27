"""The synthetic task by its commands: a policy without sources learns, is judged, writes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from commands import command
from seqrl.tracking.metrics_log import read_metrics

TINY = [
    *("task=oracle", "task.oracle.words=20", "task.oracle.units=4", "task.corpus.length=6"),
    *("task.corpus.train=320", "task.corpus.dev=50", "task.corpus.test=100"),
    *("task.budget.actor.epochs=8", "task.budget.actor.validate_every=null", "seed=3"),
    *("task.budget.critic.epochs=2", "task.budget.critic.validate_every=null"),
    *("task.budget.joint.epochs=2", "trainer.guards=null", "trainer.log_every=1"),
    *("tracker=none", "device=cpu", "threads=1"),
    *("algorithm.discriminator.windows=[1,2]", "algorithm.discriminator.filters=[8,8]"),
    *("algorithm.completions=2", "algorithm.discriminator_steps=3"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    outputs = tmp_path_factory.mktemp("outputs")
    command("train", "algorithm=seqgan", *TINY, f"outputs={outputs}")
    (folder,) = outputs.glob("oracle/seqgan/*/seed3")
    return folder


def test_the_policy_moves_from_uniform_words_towards_the_floor(run: Path) -> None:
    """Likelihood brings it half of the way; the signature tells both ends."""
    entries = json.loads((run / "result.json").read_text())["scores"]
    assert {(e["stage"], e["split"], e["decoding"]) for e in entries} == {
        (stage, split, "sample") for stage in ("actor", "adversarial") for split in ("dev", "test")
    }
    for entry in entries:
        score = entry["scores"]["oracle_nll"]
        ends = dict(part.split(":") for part in score["signature"].split("|"))
        floor, uniform = float(ends["floor"]), float(ends["uniform"])
        assert floor < score["value"] < (floor + uniform) / 2
        assert uniform > math.log(20)


def test_policy_and_discriminator_take_turns(run: Path) -> None:
    records = [r for r in read_metrics(run / "metrics.jsonl") if r["stage"] == "adversarial"]
    learned = {
        name: [r["step"] for r in records if f"train/loss/{name}" in r]
        for name in ("policy", "discriminator")
    }
    assert learned == {"policy": [1, 5, 9], "discriminator": [2, 3, 4, 6, 7, 8, 10]}
    assert all(0 < r["train/reward"] < 1 for r in records if "train/reward" in r)
    assert all("train/accuracy" in r for r in records if "train/loss/discriminator" in r)
    dev = [r for r in records if "dev/oracle_nll" in r]
    assert all("dev/discriminator_error" in r and "dev/kl" in r for r in dev)


def test_samples_are_shown_with_what_each_word_is_worth(run: Path) -> None:
    text = (run / "samples.txt").read_text().partition("##### adversarial")[2]
    values = [line.split()[1:] for line in text.splitlines() if line.startswith("  Q")]
    assert values
    assert all(len(row) == 7 and all(0 < float(v) < 1 for v in row) for row in values)


def test_it_writes_a_sequence_for_every_number(run: Path) -> None:
    written = command("generate", str(run), text="0\n1\n2\n3\n").splitlines()
    assert len(set(written)) == 4
    for line in written:
        words = list(map(int, line.split()))
        assert len(words) == 6
        assert all(0 <= word < 20 for word in words)
