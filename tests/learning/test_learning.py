"""Small models learn what they should, through the real command's code path.

The language: a source of two to six of eight words is translated word by word and reversed, so
that an untrained or copying model scores nothing.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from seqrl.build import check
from seqrl.cli import running
from seqrl.cli.configuration import conf_folder
from seqrl.identity import plain, run_folder
from seqrl.tracking.metrics_log import Record, read_metrics

pytestmark = pytest.mark.learning

SOURCE = ("haus", "hund", "katze", "baum", "rot", "blau", "alt", "neu")
TARGET = ("house", "dog", "cat", "tree", "red", "blue", "old", "new")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    rng = random.Random(3)
    for split, size in (("train", 1500), ("dev", 60), ("test", 60)):
        rows = [[rng.randrange(8) for _ in range(rng.randint(2, 6))] for _ in range(size)]
        source = "".join(" ".join(SOURCE[i] for i in row) + "\n" for row in rows)
        target = "".join(" ".join(TARGET[i] for i in reversed(row)) + "\n" for row in rows)
        (folder / f"{split}.de").write_text(source)
        (folder / f"{split}.en").write_text(target)
    return folder


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all tests, so that they share the actor's stage."""
    return tmp_path_factory.mktemp("outputs")


MODELS: dict[str, tuple[str, ...]] = {
    "lstm": ("model.hidden=32", "model.embedding=32"),
    "transformer": (
        *("model=transformer", "model.hidden=32", "model.inner=64", "model.layers=1"),
        *("model.policy.dropout=0", "budget@task.budget=paper"),
    ),
}


def train(
    corpus: Path, outputs: Path, *overrides: str, model: str = "lstm"
) -> tuple[dict[str, Any], list[Record]]:
    """The result of a run, and its metrics."""
    settings = [
        "task=text",
        f"task.data_dir={corpus}",
        "task.source=de",
        "task.target=en",
        "task.scores=[bleu]",
        f"outputs={outputs}",
        "device=cpu",
        "threads=1",
        "tracker=none",
        "decoding=greedy",
        "decoding.max_length=12",
        *MODELS[model],
        "task.budget.actor.optimizers.policy._target_=torch.optim.Adam",
        "task.budget.actor.optimizers.policy.lr=0.01",
        "task.budget.actor.decay_factor=null",
        "task.budget.actor.epochs=8",
        "task.budget.critic.epochs=8",
        "task.budget.critic.optimizers.critic.lr=0.01",
        "task.budget.joint.epochs=6",
        *(
            f"task.budget.joint.optimizers.{name}.{setting}"
            for name, lr in (("policy", 0.002), ("critic", 0.005))
            for setting in (f"lr={lr}", "betas=[0.9,0.999]")
        ),
        "trainer.log_every=10",
        *overrides,
    ]
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
        config = plain(compose(config_name="train", overrides=settings))
    check(config)
    assert running.run_training(config) == 0
    folder = run_folder(config)
    return json.loads((folder / "result.json").read_text()), read_metrics(folder / "metrics.jsonl")


def bleu(result: dict[str, Any], stage: str) -> float:
    (value,) = [
        entry["scores"]["bleu"]["value"]
        for entry in result["scores"]
        if (entry["stage"], entry["split"], entry["decoding"]) == (stage, "test", "greedy")
    ]
    return float(value)


def series(metrics: list[Record], stage: str, name: str) -> list[float]:
    return [float(r[name]) for r in metrics if r["stage"] == stage and name in r]  # type: ignore[arg-type]


LONGER = ("task.budget.actor.epochs=12", "+schedule@task.budget.actor.lr_schedule=linear")


@pytest.mark.parametrize(("model", "budget"), [("lstm", ()), ("transformer", LONGER)])
def test_mle_learns_the_language(
    model: str, budget: tuple[str, ...], corpus: Path, outputs: Path
) -> None:
    result, _ = train(corpus, outputs, "algorithm=mle", *budget, model=model)
    assert bleu(result, "actor") > 80


def test_raml_learns_the_language(corpus: Path, outputs: Path) -> None:
    result, metrics = train(corpus, outputs, "algorithm=raml", "task.budget.actor.epochs=14")
    assert bleu(result, "actor") > 80
    assert 1 < series(metrics, "actor", "train/effective_samples")[-1] < 5


HALF_TRAINED = ["task.budget.actor.epochs=5", "algorithm.beta=0.05", "algorithm.form=paper"]
BY_REWARD_ALONE = [*HALF_TRAINED, "algorithm.lambda_mle=0", "algorithm.known_rewards=true"]
SHORTER = (
    "task.budget.actor.epochs=4",
    "task.budget.critic.epochs=5",
    "task.budget.joint.epochs=4",
    "task.budget.joint.optimizers.policy.lr=0.0005",
)


@pytest.mark.full
@pytest.mark.parametrize(
    ("model", "algorithm", "budget", "gain"),
    [
        pytest.param("lstm", "ac", (), 0.5, marks=pytest.mark.full),
        ("lstm", "erac", (), 0.5),
        pytest.param("transformer", "ac", SHORTER, 0.2, marks=pytest.mark.full),
        pytest.param("transformer", "erac", SHORTER, 0.2, marks=pytest.mark.full),
    ],
)
def test_actor_critics_raise_the_reward_of_a_half_trained_actor(
    model: str, algorithm: str, budget: tuple[str, ...], gain: float, corpus: Path, outputs: Path
) -> None:
    overrides = [f"algorithm={algorithm}", *BY_REWARD_ALONE, *budget]
    result, metrics = train(corpus, outputs, *overrides, model=model)
    critic = series(metrics, "critic", "dev/return_error")
    assert critic[-1] < 0.5 * critic[0]
    rewards = series(metrics, "joint", "train/reward")
    assert rewards[-1] > rewards[0] + gain
    assert bleu(result, "actor") < 70
    assert bleu(result, "joint") > bleu(result, "actor") + 7


@pytest.mark.full
@pytest.mark.parametrize("algorithm", ["ac", "erac"])
@pytest.mark.parametrize("seed", [2, 3])
def test_the_reward_of_samples_rises_with_other_seeds(
    algorithm: str, seed: int, corpus: Path, outputs: Path
) -> None:
    """What the outputs gain by that depends on the actor: docs/results.md.

    A record is of few batches, so that three are taken together.
    """
    overrides = [f"algorithm={algorithm}", f"seed={seed}", *BY_REWARD_ALONE]
    _, metrics = train(corpus, outputs, *overrides, "task.budget.actor.epochs=4")
    rewards = series(metrics, "joint", "train/reward")
    assert sum(rewards[-3:]) / 3 > sum(rewards[:3]) / 3 + 0.1


@pytest.mark.full
def test_entropy_regularisation_keeps_the_entropy_up(corpus: Path, outputs: Path) -> None:
    finals = []
    for tau in (0.0, 0.2):
        _, metrics = train(
            corpus, outputs, "algorithm=erac", f"algorithm.tau={tau}", *BY_REWARD_ALONE,
            "trainer.guards=null",
        )  # fmt: skip
        finals.append(series(metrics, "joint", "train/entropy")[-1])
    assert finals[1] > 1.5 * finals[0]


@pytest.mark.full
def test_a_slow_target_network_is_seen_in_the_bias(corpus: Path, outputs: Path) -> None:
    """The TD error alone would call the critic that has learned nothing the better one."""
    biases = {}
    for beta in (0.0001, 0.05):
        _, metrics = train(
            corpus, outputs, "algorithm=ac", *HALF_TRAINED, f"algorithm.beta={beta}",
            "algorithm.known_rewards=false",
            "trainer.max_epochs=5", "task.budget.joint.epochs=1",
        )  # fmt: skip
        biases[beta] = series(metrics, "critic", "dev/return_bias")[-1]
    assert biases[0.0001] < -0.6
    assert abs(biases[0.05]) < 0.3


WARM = (
    "task.budget.actor.epochs=5",
    "task.budget.joint.epochs=4",
    "task.budget.joint.optimizers.policy.lr=0.003",
)
FROM_SCRATCH = ("task.budget.actor.epochs=8",)
LEARNERS: dict[str, tuple[str, ...]] = {
    "data_noising": FROM_SCRATCH,
    "scheduled_sampling": FROM_SCRATCH,
    "label_smoothing": FROM_SCRATCH,
    "distillation": FROM_SCRATCH,
    "vaml": ("task.budget.actor.epochs=12",),
    "erpo": FROM_SCRATCH,
    "spg": ("task.budget.actor.epochs=14", "algorithm.guided.drop=0.2"),
    "interpolation": FROM_SCRATCH,
    "reinforce": WARM,
    "scst": WARM,
    "mixer": WARM,
    "mrt": (*WARM, "algorithm.samples=8"),
    "gold": WARM,
    "sequence_tutor": (*WARM, "task.budget.joint.epochs=9", "algorithm.eta=0.1"),
    "kl_control": WARM,
}
"""What each algorithm is given to learn with; those with a warm start share the actor."""

USUAL = {"lstm": {"data_noising", "erpo", "mixer", "gold", "kl_control"}, "transformer": {"scst"}}
"""What is tried in the usual tests; the slow ones, as all the others, are full."""


def budget_of(model: str, algorithm: str) -> tuple[str, ...]:
    """A Transformer needs more updates to begin with, and smaller ones after."""
    own = LEARNERS[algorithm]
    if model == "lstm":
        return own
    return (*own, *(SHORTER if set(WARM) <= set(own) else LONGER))


@pytest.mark.parametrize(
    ("model", "algorithm"),
    [
        pytest.param(
            model,
            algorithm,
            marks=[] if algorithm in USUAL[model] else [pytest.mark.full],
        )
        for model in MODELS
        for algorithm in LEARNERS
    ],
)
def test_every_algorithm_raises_the_reward_of_its_samples(
    model: str, algorithm: str, corpus: Path, outputs: Path
) -> None:
    """BLEU, which depends on the order; greedy outputs gain too."""
    overrides = [f"algorithm={algorithm}", *budget_of(model, algorithm)]
    result, metrics = train(corpus, outputs, *overrides, model=model)
    *_, stage = result["stages"]
    rewards = series(metrics, stage, "dev/reward")
    scores = series(metrics, stage, "dev/bleu")
    assert rewards[-1] > rewards[0] + 0.1
    assert scores[-1] > scores[0] + 5


@pytest.mark.parametrize(
    "reward",
    [
        ("rouge",),
        pytest.param(("chrf",), marks=pytest.mark.full),
        pytest.param(
            ("mix", "reward.bleu=1", "reward.repetition=0.2", "reward.length=0.5"),
            marks=pytest.mark.full,
        ),
    ],
    ids=lambda reward: reward[0],
)
def test_other_rewards_are_raised_too(reward: tuple[str, ...], corpus: Path, outputs: Path) -> None:
    name, *settings = reward
    chosen = [f"reward={name}", *settings]
    result, metrics = train(corpus, outputs, "algorithm=reinforce", *WARM, *chosen)
    *_, stage = result["stages"]
    rewards = series(metrics, stage, "dev/reward")
    assert rewards[-1] > rewards[0] + 0.1


@pytest.mark.full
def test_a_critic_of_rouge_raises_it(corpus: Path, outputs: Path) -> None:
    result, metrics = train(corpus, outputs, "algorithm=erac", "reward=rouge", *BY_REWARD_ALONE)
    critic = series(metrics, "critic", "dev/return_error")
    assert critic[-1] < 0.5 * critic[0]
    rewards = series(metrics, "joint", "dev/reward")
    assert rewards[-1] > rewards[0] + 0.3
    assert bleu(result, "joint") > bleu(result, "actor") + 5
