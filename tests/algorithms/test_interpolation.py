"""The interpolation: its limits, its annealing, and what the trainer puts back for it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from seqrl.algorithms.base import Algorithm, Decision, WeightedLikelihood
from seqrl.algorithms.interpolation import Interpolation
from seqrl.algorithms.likelihood import MLE
from seqrl.proposals.mixture import TokenMixture
from seqrl.rewards.base import Reward
from seqrl.rewards.bleu import BleuReward
from seqrl.tracking.metrics_log import read_metrics
from seqrl.tracking.progress import Measure
from seqrl.training.checkpoint import load_checkpoint, load_weights
from seqrl.training.stopping import Preempted
from seqrl.training.trainer import StageSettings, Trainer
from seqrl.types import Batch, Clock, Trajectories
from tabular import (
    COPIES,
    EOS,
    NODE,
    STEPS,
    Fixed,
    TabularPolicy,
    batch_of,
    copies,
    dyadic_table,
    policy_table,
    sequence_log_prob,
    trajectories_of,
)

REFERENCES = [(4, 5, 6, EOS), (5, EOS), (6, 6, EOS), (EOS,), (4, 4, EOS)]


def interpolation(
    policy: TabularPolicy | None = None, reward: Reward | None = None, **options: Any
) -> Interpolation:
    return Interpolation(
        policy=policy or TabularPolicy(policy_table(0, rows=9)),
        proposal=TokenMixture(max_length=STEPS),
        reward=reward or BleuReward(),
        **options,
    )


def loss_and_gradient(
    algorithm: WeightedLikelihood, batch: Batch, clock: Clock | None = None
) -> tuple[Tensor, Tensor]:
    loss = algorithm.losses(batch, clock or Clock())["policy"]
    (gradient,) = torch.autograd.grad(loss, list(algorithm.policy.parameters()))
    return loss.detach(), gradient


def test_truth_alone_is_maximum_likelihood_to_the_bit() -> None:
    batch = batch_of(REFERENCES)
    for table in (policy_table(0, rows=9), policy_table(0, rows=9).float()):
        policy = TabularPolicy(table)
        found = loss_and_gradient(interpolation(policy, lambdas=[0, 1, 0]), batch)
        expected = loss_and_gradient(MLE(policy=policy), batch)
        assert torch.equal(found[0], expected[0])
        assert torch.equal(found[1], expected[1])


def test_the_policys_own_tokens_teach_nothing_in_expectation() -> None:
    """At (1, 0, 0) the gradient of all samples that begin as the truth does, as often as p says,
    is that of the first token alone."""
    policy = TabularPolicy(dyadic_table(0, rows=9))
    rows = [y for y in copies(policy.table[4].detach()) if y[0] == 4]
    algorithm = interpolation(policy, lambdas=[1, 0, 0])
    algorithm.proposal = Fixed(trajectories_of(rows, group=len(rows)))
    assert 0 < len(rows) < COPIES
    _, gradient = loss_and_gradient(algorithm, batch_of([(4, 5, EOS)]))
    node = NODE[()]
    first = torch.log_softmax(policy.table[4, node], -1)[4]
    (expected,) = torch.autograd.grad(-first, policy.table)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-12)
    assert expected[4, node].abs().max() > 0.1


def test_chosen_tokens_are_labels_up_to_the_end() -> None:
    policy = TabularPolicy(policy_table(0, rows=9))
    algorithm = interpolation(policy, lambdas=[1, 0, 0])
    batch, clock = batch_of(REFERENCES), Clock(seed=4)
    loss, _ = loss_and_gradient(algorithm, batch, clock)
    drawn = algorithm.proposal(
        policy, policy.encode(batch.source, batch.source_mask), batch, algorithm.reward, clock
    )
    assert not torch.equal(drawn.targets[:, :4], batch.target)
    assert drawn.forced.any()  # which is no label
    log_probs = [
        sequence_log_prob(policy.table[4 + n], row[:length], forced=True).item()
        for n, (row, length) in enumerate(
            zip(drawn.targets.tolist(), drawn.length.tolist(), strict=True)
        )
    ]
    assert loss.item() == pytest.approx(-sum(log_probs) / len(batch), abs=1e-12)


def test_an_end_that_the_truth_gives_at_the_limit_is_learned() -> None:
    policy, batch = TabularPolicy(policy_table(0, rows=9)), batch_of([(4, 5, 6, EOS)])
    found = loss_and_gradient(interpolation(policy, lambdas=[0, 1, 0]), batch)
    expected = loss_and_gradient(MLE(policy=policy), batch)
    assert torch.equal(found[1], expected[1])
    assert expected[1][4, NODE[(4, 5, 6)]].abs().max() > 0


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_parts_add_up_to_the_whole_noise_included(rows: int) -> None:
    policy = TabularPolicy(policy_table(3, rows=9))
    algorithm = interpolation(policy, lambdas=[0.4, 0.2, 0.4])
    for update in range(5):
        batch, clock = batch_of(REFERENCES), Clock(update=update, seed=3)
        loss, gradient = loss_and_gradient(algorithm, batch, clock)
        parts = [loss_and_gradient(algorithm, part, clock) for part in batch.split(rows)]
        assert sum(part.item() for part, _ in parts) == pytest.approx(loss.item(), abs=1e-12)
        torch.testing.assert_close(sum(part for _, part in parts), gradient, rtol=0, atol=1e-12)


def worsen(algorithm: Interpolation) -> Decision:
    """Two validations, the second of which is worse."""
    assert algorithm.on_validation(1.0) is Decision.CONTINUE
    return algorithm.on_validation(0.5)


def shares(algorithm: Interpolation) -> tuple[float, ...]:
    """Of self, truth and reward, as they are reported."""
    algorithm.losses(batch_of(REFERENCES), Clock())
    metrics = algorithm.metrics()
    return tuple(metrics[f"lambda_{name}"].item() for name in ("self", "truth", "reward"))


def test_truth_goes_to_self_then_four_times_to_reward_and_so_on() -> None:
    algorithm, found = interpolation(), []
    assert algorithm.mixture.shares == (0.04, 0.96, 0.0)
    for _ in range(16):
        before = algorithm.mixture.shares
        assert worsen(algorithm) is Decision.RESTORE
        after = algorithm.mixture.shares
        assert sum(after) == pytest.approx(1, abs=1e-12)
        assert min(after) >= 0
        assert before[1] - after[1] == pytest.approx(0.06, abs=1e-9)
        found.append("self" if after[0] > before[0] else "reward")
        assert max(after[0] - before[0], after[2] - before[2]) == pytest.approx(0.06, abs=1e-9)
        assert shares(algorithm) == pytest.approx(after, abs=1e-6)
    assert found == (["self"] + ["reward"] * 4) * 3 + ["self"]
    assert algorithm.mixture.shares == pytest.approx((0.28, 0.0, 0.72), abs=1e-9)
    assert algorithm.mixture.shares[1] == 0


def test_when_truth_has_nothing_left_nothing_is_put_back() -> None:
    algorithm = interpolation(lambdas=[0.0, 0.1, 0.9], delta=0.06)
    assert worsen(algorithm) is Decision.RESTORE
    assert algorithm.mixture.shares == pytest.approx((0.06, 0.04, 0.9))
    assert worsen(algorithm) is Decision.RESTORE
    assert algorithm.mixture.shares == pytest.approx((0.06, 0.0, 0.94))
    for _ in range(3):
        assert worsen(algorithm) is Decision.CONTINUE
    assert algorithm.mixture.shares == pytest.approx((0.06, 0.0, 0.94))


def test_steps_that_rounding_makes_uneven_end_at_zero() -> None:
    """0.3 - 0.1 - 0.1 - 0.1 is not zero in binary."""
    algorithm = interpolation(lambdas=[0.0, 0.3, 0.7], delta=0.1)
    assert [worsen(algorithm) for _ in range(3)] == [Decision.RESTORE] * 3
    assert algorithm.mixture.shares[1] == 0
    assert worsen(algorithm) is Decision.CONTINUE


def test_a_score_counts_under_its_own_shares_only() -> None:
    """After a change the first score is compared with nothing; a tie and a rise change nothing."""
    algorithm = interpolation()
    decisions = [algorithm.on_validation(s) for s in (5, 5, 6, 5.9, 1, 0.5, 0.4, 0.4, 0.3)]
    names = [decision.name for decision in decisions]
    assert names == [
        *("CONTINUE", "CONTINUE", "CONTINUE", "RESTORE"),
        *("CONTINUE", "RESTORE", "CONTINUE", "CONTINUE", "RESTORE"),
    ]


def test_the_order_of_changes_can_be_another() -> None:
    algorithm, found = interpolation(reward_steps=1, delta=0.1), []
    for _ in range(4):
        own = algorithm.mixture.shares[0]
        worsen(algorithm)
        found.append(algorithm.mixture.shares[0] > own)
    assert found == [True, False, True, False]


def test_state_goes_on_where_it_was() -> None:
    whole, resumed = interpolation(), interpolation()
    scores = [3, 2, 5, 4, 4, 1, 2, 1, 0, 7]
    for cut in range(len(scores)):
        whole, resumed = interpolation(), interpolation()
        decisions = [whole.on_validation(score) for score in scores]
        stopped = interpolation()
        for score in scores[:cut]:
            stopped.on_validation(score)
        resumed.load_state_dict(stopped.state_dict())
        assert [resumed.on_validation(score) for score in scores[cut:]] == decisions[cut:]
        assert resumed.state_dict() == whole.state_dict()


def test_unusable_arguments_are_refused() -> None:
    class Whole(Reward):
        def score(self, trajectories: Trajectories, batch: Batch) -> Tensor:
            return torch.zeros(len(trajectories))

    with pytest.raises(ValueError, match=r"every token \(bleu, rouge, edit\), not Whole"):
        interpolation(reward=Whole())
    with pytest.raises(ValueError, match=r"every token \(bleu, rouge, edit\), and there is none"):
        Interpolation(policy=TabularPolicy(policy_table(0)), proposal=TokenMixture(), reward=None)  # type: ignore[arg-type]
    for lambdas in ([0.5, 0.5], [0.5, 0.6, 0.0], [-0.1, 1.1, 0.0]):
        with pytest.raises(ValueError, match="lambdas"):
            interpolation(lambdas=lambdas)
    for options in ({"delta": 0.0}, {"reward_steps": -1}):
        with pytest.raises(ValueError, match=next(iter(options))):
            interpolation(**options)


class Repeating:
    """The same batch, three times an epoch."""

    def length(self, epoch: int) -> int:
        return 3

    def iterate(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        yield from [batch_of(REFERENCES)] * (3 - start)


class Zigzag:
    """Scores that are functions of weights and update: up at every second validation."""

    def higher_is_better(self, name: str) -> bool:
        return True

    def __call__(self, algorithm: Algorithm, update: int) -> dict[str, float]:
        (weights,) = algorithm.learners()["policy"].parameters()
        return {"dev/score": update // 2 % 2 + 1e-3 * float(weights.detach()[4:9, 1, 4].sum())}


class Silent:
    def advance(self, step: int, tokens: int, measure: Measure) -> None: ...

    def validated(self, step: int, scores: dict[str, float], selected: str) -> None: ...

    def resumed(self, step: int) -> None: ...

    def saved(self) -> None: ...


class Killed(BaseException):
    pass


def trainer(folder: Path, algorithm: Interpolation, stop_after: int = 0, *, kill: bool = False):  # type: ignore[no-untyped-def]
    """Eighteen updates, a validation at every second; stops after so many of this process."""
    left = [stop_after]

    def stop() -> bool:
        left[0] -= 1
        if left[0] == 0 and kill:
            raise Killed
        return left[0] == 0

    return Trainer(
        algorithm=algorithm,
        optimizers={"policy": partial(torch.optim.Adam, lr=0.3)},
        settings=StageSettings(
            epochs=6, batch_size=5, select="score", validate_every=2, log_every=1, save_every=3
        ),
        batches=Repeating(),
        validation=Zigzag(),
        reporter=Silent(),
        folder=folder,
        device=torch.device("cpu"),
        seed=1,
        preempted=stop,
    )


def test_the_weights_of_the_validation_before_are_put_back(tmp_path: Path) -> None:
    """Scores 1 (kept), 0 (back to the first), then 1, forgotten, and so on."""
    algorithm = interpolation(lambdas=[0.3, 0.4, 0.3])
    put_back = []

    class Watched(Trainer):
        def _validate(self) -> None:
            before = algorithm.policy.table.detach().clone()
            super()._validate()
            if not torch.equal(before, algorithm.policy.table):
                kept = load_weights(tmp_path / "validated.safetensors")["policy.table"]
                assert torch.equal(algorithm.policy.table, kept)
                put_back.append(self.update)

    one = trainer(tmp_path, algorithm)
    one.__class__ = Watched
    one.train()
    assert put_back == [4, 8, 12, 16]
    assert algorithm.changes == 4
    shares = [
        r["train/lambda_truth"]
        for r in read_metrics(tmp_path / "metrics.jsonl")
        if "train/lambda_truth" in r
    ]
    assert shares == pytest.approx(
        [0.4] * 4 + [0.34] * 4 + [0.28] * 4 + [0.22] * 4 + [0.16] * 2, abs=1e-6
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the stage that nobody interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    trainer(folder, interpolation(lambdas=[0.3, 0.4, 0.3])).train()
    return folder


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
@pytest.mark.parametrize("updates", [1, 3, 4, 5, 8, 9])
def test_an_interrupted_stage_writes_the_same_bytes(
    tmp_path: Path, whole: Path, updates: int, kill: bool
) -> None:
    options = {"lambdas": [0.3, 0.4, 0.3]}
    with pytest.raises(Killed if kill else Preempted):
        trainer(tmp_path, interpolation(**options), updates, kill=kill).train()
    trainer(tmp_path, interpolation(**options)).train()
    assert (whole / "metrics.jsonl").read_bytes() == (tmp_path / "metrics.jsonl").read_bytes()
    for name in ("best", "validated"):
        ours, theirs = (
            load_weights(folder / f"{name}.safetensors") for folder in (whole, tmp_path)
        )
        assert torch.equal(ours["policy.table"], theirs["policy.table"])
    states = [load_checkpoint(folder / "last.pt") for folder in (whole, tmp_path)]
    assert torch.equal(*(state["weights"]["policy.table"] for state in states))
    for name in ("algorithm", "best", "best_update", "update"):
        assert states[0][name] == states[1][name]


def test_a_kill_between_a_validation_and_its_checkpoint(tmp_path: Path, whole: Path) -> None:
    """The kept weights are then newer than the checkpoint, and are kept anew on the way."""
    options = {"lambdas": [0.3, 0.4, 0.3]}
    for update in (2, 4, 6, 8):

        class Dying(Trainer):
            def _save(self, update: int = update) -> None:
                if self.update == update:
                    raise Killed
                super()._save()

        one = trainer(tmp_path, interpolation(**options))
        one.__class__ = Dying
        with pytest.raises(Killed):
            one.train()
    trainer(tmp_path, interpolation(**options)).train()
    assert (whole / "metrics.jsonl").read_bytes() == (tmp_path / "metrics.jsonl").read_bytes()
