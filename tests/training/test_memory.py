"""Where memory runs out: what is done again in parts is what the whole would have done."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from seqrl.algorithms.base import Algorithm
from seqrl.algorithms.baselines import RunningMean
from seqrl.decoding.decoder import Beam, Greedy
from seqrl.memory import OutOfMemory, in_parts, ran_out
from seqrl.tracking.metrics_log import Record, read_metrics
from seqrl.training.checkpoint import load_checkpoint
from seqrl.training.stopping import Preempted
from seqrl.types import Batch, Clock
from stages import ALGORITHMS, network, reinforce, sentences, stage, weights

CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
CPU = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you "
    "tried to allocate 4096 bytes. Error code 12 (Cannot allocate memory)"
)


class Small:
    """A memory for so many sentences; it runs out before the losses, or in their gradient."""

    def __init__(
        self, algorithm: Algorithm, most: int, error: Exception = CUDA, backward: bool = False
    ) -> None:
        self.most = most
        self.asked: list[int] = []
        self.after = 0
        losses, after_update = algorithm.losses, algorithm.after_update

        def limited(batch: Batch, clock: Clock) -> dict[str, Tensor]:
            self.asked.append(len(batch))
            fits = len(batch) <= self.most
            if not (fits or backward):
                raise error
            found = losses(batch, clock)
            if not fits:  # with some gradients there already
                found = {name: Failing.apply(loss, error) for name, loss in found.items()}
                for learner in algorithm.learners().values():
                    for parameter in learner.parameters():
                        parameter.grad = torch.ones_like(parameter)
            return found

        def counted(clock: Clock) -> None:
            self.after += 1
            after_update(clock)

        algorithm.losses = limited  # type: ignore[method-assign]
        algorithm.after_update = counted  # type: ignore[method-assign]


class Failing(torch.autograd.Function):
    """The identity, without a gradient."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, error: Exception) -> Tensor:
        ctx.error = error
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        raise ctx.error


def remembering(dropout: float) -> Algorithm:
    """With a baseline that remembers the samples of every part."""
    return reinforce(dropout, RunningMean())


EVERY: dict[str, Callable[[float], Algorithm]] = {**ALGORITHMS, "reinforce": remembering}


def close(one: Algorithm, other: Algorithm) -> None:
    ours, theirs = weights(one), weights(other)
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-9)


@pytest.mark.parametrize(("error", "backward"), [(CUDA, False), (CPU, True)], ids=["cuda", "cpu"])
@pytest.mark.parametrize("name", EVERY)
def test_parts_give_the_gradient_of_the_whole(
    tmp_path: Path, name: str, error: Exception, backward: bool
) -> None:
    whole, parts = EVERY[name](0.0), EVERY[name](0.0)
    stage(tmp_path / "whole", whole, epochs=2).train()
    small = Small(parts, 3, error, backward)
    stage(tmp_path / "parts", parts, epochs=2).train()
    close(whole, parts)
    assert small.after == 10  # once an update, however often it was begun
    # five sentences do not fit, three do, and to these the stage keeps
    assert small.asked[:7] == [5, 3, 2, 3, 1, 3, 3]
    assert max(small.asked[1:]) == 3
    ours, theirs = (
        read_metrics(tmp_path / folder / "metrics.jsonl") for folder in ("whole", "parts")
    )
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for key in EXACT & one.keys():
            assert other[key] == pytest.approx(one[key], abs=1e-9), key


EXACT = {
    *("step", "dev/score", "train/loss/policy", "train/loss/critic"),
    *("train/grad_norm/policy", "train/grad_norm/critic"),
}
"""Sums over sentences, and what follows from them; means over tokens are those of the parts."""


def test_what_is_counted_is_counted_once(tmp_path: Path) -> None:
    """Two runs in the same parts, one of which came to them by failing."""
    records: list[list[Record]] = []
    for name, settings in (("set", {"micro_batch": 2}), ("found", {})):
        algorithm = remembering(0.3)
        Small(algorithm, 2)
        stage(tmp_path / name, algorithm, sizes=(4, 4, 3), epochs=3, **settings).train()
        records.append(read_metrics(tmp_path / name / "metrics.jsonl"))
    assert records[0] == records[1]


def test_dropout_is_that_of_the_parts(tmp_path: Path) -> None:
    """Which draw other noise than the whole, and the same each time that they are made."""
    found = []
    for name, most in (("whole", 9), ("a", 3), ("b", 3)):
        algorithm = ALGORITHMS["mle"](0.3)
        Small(algorithm, most)
        stage(tmp_path / name, algorithm, epochs=1).train()
        found.append(weights(algorithm))
    assert all(torch.equal(found[1][name], found[2][name]) for name in found[1])
    assert any(not torch.equal(found[0][name], found[1][name]) for name in found[1])


def test_it_is_told_once_with_what_would_have_spared_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    algorithm = ALGORITHMS["mle"](0.0)
    Small(algorithm, 3)
    with caplog.at_level(logging.WARNING):
        stage(tmp_path, algorithm, epochs=1).train()
    (message,) = caplog.messages
    assert "at update 0 there was not enough memory" in message
    assert "at most 3, as with trainer.micro_batch=3" in message


def test_three_times_in_a_row_end_the_stage(tmp_path: Path) -> None:
    algorithm = ALGORITHMS["mle"](0.0)
    small = Small(algorithm, 8)
    one = stage(tmp_path, algorithm, sizes=(8, 8, 8, 8), save_every=1)

    def smaller(*_: Any) -> None:
        if one.update == 2:
            small.most = 1

    one.reporter.saved = smaller  # type: ignore[method-assign]
    with pytest.raises(OutOfMemory) as caught:
        one.train()
    assert small.asked == [8, 8, 8, 4, 2]
    text = str(caught.value)
    assert text.startswith("at update 2 there is not enough memory for 2 sentences at once (CUDA")
    assert "try trainer.micro_batch=1, " in text
    state = load_checkpoint(tmp_path / "last.pt")
    assert state["update"] == 2
    kept = weights(algorithm)
    for name, value in state["weights"].items():
        assert torch.equal(kept[name], value)


def test_one_sentence_that_does_not_fit_is_tried_once(tmp_path: Path) -> None:
    algorithm = ALGORITHMS["mle"](0.0)
    small = Small(algorithm, 0)
    with pytest.raises(OutOfMemory, match="1 sentences"):
        stage(tmp_path, algorithm, sizes=(2,)).train()
    assert small.asked == [2, 1]


def test_other_errors_are_not_taken_for_it(tmp_path: Path) -> None:
    algorithm = ALGORITHMS["mle"](0.0)
    small = Small(algorithm, 0, RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="multiplied"):
        stage(tmp_path, algorithm).train()
    assert small.asked == [5]
    assert not ran_out(RuntimeError("shapes"))


def test_a_continued_stage_keeps_to_its_parts(tmp_path: Path) -> None:
    whole, first, second = (ALGORITHMS["erac"](0.3) for _ in range(3))
    small, smaller, again = (Small(algorithm, 3) for algorithm in (whole, first, second))
    stage(tmp_path / "whole", whole, epochs=2).train()
    with pytest.raises(Preempted):
        stage(tmp_path / "a", first, epochs=2, preempted=lambda: smaller.after == 7).train()
    stage(tmp_path / "a", second, epochs=2).train()
    assert max(again.asked) == 3
    assert smaller.asked[1:] + again.asked == small.asked[1:]
    ours, theirs = weights(whole), weights(second)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("most", [1, 2, 5, 7])
def test_halves_are_put_together(most: int) -> None:
    sizes = []

    def work(batch: Batch) -> list[int]:
        sizes.append(len(batch))
        if len(batch) > most:
            raise CPU
        return batch.target[:, 0].tolist()

    batch = sentences(7, 3)
    found = [row for part in in_parts(work, batch) for row in part]
    assert found == batch.target[:, 0].tolist()
    assert sizes[0] == 7


def test_where_no_half_fits_the_error_is_the_last_ones() -> None:
    def work(batch: Batch) -> None:
        raise CUDA

    with pytest.raises(torch.OutOfMemoryError):
        in_parts(work, sentences(5, 3))


@pytest.mark.parametrize("decoder", [Greedy(max_length=6), Beam(size=3, max_length=6)])
def test_outputs_do_not_depend_on_how_many_are_decoded_at_once(decoder: Any) -> None:
    policy, batch = network(0, 0.0).eval(), sentences(7, 3)

    def limited(part: Batch) -> list[list[int]]:
        if len(part) > 2:
            raise CUDA
        return decoder(policy, part).tolist()  # type: ignore[no-any-return]

    whole = decoder(policy, batch).tolist()
    parts = [row for part in in_parts(limited, batch) for row in part]
    for one, other in zip(whole, parts, strict=True):
        assert [token for token in one if token] == [token for token in other if token]
