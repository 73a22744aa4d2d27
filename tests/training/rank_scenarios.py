"""What `test_ranks` has several processes do together; each writes down what it found."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqrl.algorithms.base import Algorithm
from seqrl.memory import OutOfMemory
from seqrl.training.ranks import Ranks, joined
from seqrl.training.stopping import Preempted
from seqrl.training.trainer import Diverged, Trainer
from seqrl.types import Batch, Clock
from stages import ALGORITHMS, stage, weights

Found = dict[str, Any]


def shared(folder: Path, algorithm: Algorithm, ranks: Ranks, **settings: Any) -> Trainer:
    return stage(folder, algorithm, extra={"ranks": ranks}, **settings)


def equal(folder: Path, ranks: Ranks) -> Found:
    found = {}
    for name, make in ALGORITHMS.items():
        algorithm = make(0.0)
        summary = shared(folder / name, algorithm, ranks).train()
        found[name] = weights(algorithm) | {"updates": summary["updates"]}
    return found


def stopped(folder: Path, ranks: Ranks) -> Found:
    """The last process alone is asked to stop, after the seventh update; all go on, or the first.

    Dropout is on.
    """
    whole = ALGORITHMS["erac"](0.3)
    shared(folder / "whole", whole, ranks, save_every=4, epochs=2).train()
    found = {"whole": weights(whole)}
    for name in ("together", "alone"):
        asked = [0]

        def preempted(asked: list[int] = asked) -> bool:
            asked[0] += 1
            return asked[0] == 7 and ranks.index == ranks.count - 1

        first = ALGORITHMS["erac"](0.3)
        try:
            shared(folder / name, first, ranks, save_every=4, epochs=2, preempted=preempted).train()
        except Preempted:
            found[f"{name} asked"] = asked[0]
    again = ALGORITHMS["erac"](0.3)
    shared(folder / "together", again, ranks, save_every=4, epochs=2).train()
    return found | {"together": weights(again)}


def without_memory(folder: Path, ranks: Ranks) -> Found:
    """The last process has memory for two sentences, then, from the eighth update on, for none."""
    found: Found = {}
    whole, parts, ending = (ALGORITHMS["mle"](0.0) for _ in range(3))
    shared(folder / "whole", whole, ranks, epochs=2).train()
    for name, algorithm, last in (("parts", parts, 99), ("ending", ending, 7)):
        if ranks.index == ranks.count - 1:
            limit(algorithm, lambda clock, last=last: 2 if clock.update < last else 0)
        try:
            shared(folder / name, algorithm, ranks, epochs=2).train()
        except OutOfMemory as error:
            found["problem"] = str(error)
    return found | {"whole": weights(whole), "parts": weights(parts)}


def limit(algorithm: Algorithm, most: Callable[[Clock], int]) -> None:
    losses = algorithm.losses

    def limited(batch: Batch, clock: Clock) -> dict[str, Tensor]:
        if len(batch) > most(clock):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return losses(batch, clock)

    algorithm.losses = limited  # type: ignore[method-assign]


def infinite(folder: Path, ranks: Ranks) -> Found:
    """The last process has, at the third update, a metric that is no number."""
    algorithm = ALGORITHMS["raml"](0.0)
    metrics, calls = algorithm.metrics, [0]

    def changed() -> dict[str, Tensor]:
        calls[0] += 1
        wrong = calls[0] == 3 and ranks.index == ranks.count - 1
        return metrics() | ({"reward": torch.tensor(float("nan"))} if wrong else {})

    algorithm.metrics = changed  # type: ignore[method-assign]
    try:
        shared(folder, algorithm, ranks, save_every=1).train()
    except Diverged as error:
        return {"problem": str(error), **weights(algorithm)}
    return {}


def dying(folder: Path, ranks: Ranks) -> None:
    """The last process is killed at its sixth update."""
    algorithm = ALGORITHMS["mle"](0.0)
    if ranks.index == ranks.count - 1:
        limit(algorithm, lambda clock: 99 if clock.update < 5 else kill())
    shared(folder, algorithm, ranks).train()


def dying_meanwhile(folder: Path, ranks: Ranks) -> None:
    """It is killed while the first validates for a long time."""
    one = shared(folder, ALGORITHMS["mle"](0.0), ranks, save_every=2)
    validating = folder / "validating"

    def validation(*_: Any) -> dict[str, float]:
        validating.touch()
        time.sleep(300)
        return {}

    one.validation = validation  # type: ignore[assignment]
    if ranks.index == ranks.count - 1:

        def scores() -> Any:
            while not validating.exists():
                time.sleep(0.05)
            return kill()

        one._scores = scores  # type: ignore[method-assign]
    one.train()


def kill() -> int:
    (Path(sys.argv[1]) / "killed").write_text(str(time.time()))
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def main(path: str, death: str) -> None:
    """All that ends well, and then a death."""
    folder = Path(path)
    with joined() as ranks:
        if death == "dying":
            scenarios = (equal, stopped, without_memory, infinite)
            found = {each.__name__: each(folder / each.__name__, ranks) for each in scenarios}
            torch.save(found, folder / f"rank{ranks.index}.pt")
        deaths = {"dying": dying, "dying_meanwhile": dying_meanwhile}
        deaths[death](folder / death, ranks)


if __name__ == "__main__":
    main(*sys.argv[1:])
