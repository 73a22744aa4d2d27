"""What an update of every algorithm costs, in updates of maximum likelihood.

    python scripts/update_cost.py RUN [OVERRIDE ...] [--updates 15] [--algorithms mle raml ...]

RUN is a finished run of maximum likelihood, whose policy all algorithms go on with, so that their
samples are of the usual lengths; the overrides are those it was trained with, such as
experiment=g2p_small. Each algorithm's last stage makes one update in turn, on the same batches,
the networks but the policy being untrained; printed is the median over the updates of its time,
and of its ratio to the time of maximum likelihood beside it. Decoding and data are not in it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir

from seqrl.build import (
    build_algorithm,
    build_network,
    build_optimizers,
    build_settings,
    build_task,
    choose_device,
    plain,
    stage_networks,
    vocabularies,
)
from seqrl.cli.configuration import conf_folder
from seqrl.data.batching import Batches
from seqrl.data.task import Task
from seqrl.training.pipeline import delivered, load_start
from seqrl.types import Batch, Clock

BASE = "mle"


class Learner:
    """The last stage of an algorithm, ready to be updated."""

    def __init__(self, config: dict[str, Any], task: Task, run: Path) -> None:
        device = choose_device(config["device"])
        *_, stage = config["algorithm"]["stages"].values()
        sizes = vocabularies(task)
        networks = {
            name: build_network(config, name, sizes, 1, stage)
            for name in stage_networks(config, stage)
        }
        load_start(networks["policy"], delivered(run / "checkpoints" / "actor", "policy"), "policy")
        for network in networks.values():
            network.to(device)
        self.device = device
        self.clip = build_settings(config, stage).clip
        self.algorithm = build_algorithm(config, stage, networks, lambda: task.counts)
        self.learners = self.algorithm.learners()
        self.optimizers = {
            name: factory(self.learners[name].parameters())
            for name, factory in build_optimizers(stage).items()
        }

    def update(self, batch: Batch, number: int, total: int) -> float:
        """Seconds of one update."""
        clock = Clock(update=number, fraction=number / total, seed=1)
        batch = batch.to(self.device)
        self._wait()
        began = time.perf_counter()
        losses = self.algorithm.losses(batch, clock)
        torch.stack(list(losses.values())).sum().backward()
        for name in losses:
            parameters = list(self.learners[name].parameters())
            torch.nn.utils.clip_grad_norm_(parameters, self.clip or float("inf"))
            self.optimizers[name].step()
            self.optimizers[name].zero_grad(set_to_none=True)
        self.algorithm.after_update(clock)
        self._wait()
        return time.perf_counter() - began

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--updates", type=int, default=15)
    parser.add_argument("--algorithms", nargs="*")
    chosen = parser.parse_args()
    found = sorted(path.stem for path in (conf_folder() / "algorithm").glob("*.yaml"))
    names = list(dict.fromkeys([BASE, *(chosen.algorithms or found)]))
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
        configs = {
            name: plain(
                compose(config_name="train", overrides=[f"algorithm={name}", *chosen.overrides])
            )
            for name in names
        }
    task = build_task(configs[BASE])
    learners = {name: Learner(config, task, chosen.run) for name, config in configs.items()}
    batches = Batches(task.split("train"), size=50, seed=1).iterate(0)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number, batch in zip(range(chosen.updates + 1), batches, strict=False):
        for name, learner in learners.items():
            taken = learner.update(batch, number, chosen.updates + 1)
            if number:  # the first one makes room and tables
                seconds[name].append(taken)
    print(f"{'algorithm':<20}  ms/update  ratio")
    for name, own in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(own, seconds[BASE], strict=True))
        print(f"{name:<20}  {1000 * statistics.median(own):>9.1f}  {ratio:>5.1f}")


if __name__ == "__main__":
    main()
