"""What an update costs, of every algorithm and of the plain ones beside them.

All are made in turn, on the same batches. The policy is first trained by maximum likelihood for a
while, so that samples have usual lengths; all start from it. Data and decoding are not in the
figures.
"""

from __future__ import annotations

import copy
import ctypes
import statistics
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from plain import PlainUpdates
from stopwatch import Stopwatch
from torch import nn

from seqrl.build import (
    build_algorithm,
    build_network,
    build_optimizers,
    build_settings,
    stage_networks,
    vocabularies,
)
from seqrl.cli.configuration import conf_folder
from seqrl.cli.running import manage_memory
from seqrl.data.batching import Batches
from seqrl.data.task import Task
from seqrl.identity import Config, plain
from seqrl.models.base import Policy
from seqrl.tracking.progress import resident_bytes
from seqrl.training.trainer import fused
from seqrl.types import Batch, Clock

ASKED = (
    *("encode", "features", "project", "log_probs"),
    *("chosen", "expected", "expected_signal", "spread"),
)
"""What networks are asked for."""

SENTENCES = 50  # in a batch
PHASES = ("sample", "reward", "score", "critic", "backward", "optimizer", "rest")
PLAIN = {"mle": "mle", "critic": "evaluation", "joint": "joint"}
"""By the stage whose updates they are, the plain ones."""


def configurations(rows: list[str], overrides: list[str]) -> dict[str, Config]:
    """By row, the resolved configuration of its algorithm."""
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
        return {
            row: plain(
                compose("train", overrides=[*overrides, f"algorithm={row.partition('.')[0]}"])
            )
            for row in rows
        }


@dataclass
class Measured:
    """Of one kind of update: seconds of each, its phases, and the most memory it took."""

    seconds: list[float] = field(default_factory=list)
    phases: dict[str, list[float]] = field(default_factory=dict)
    tokens: list[int] = field(default_factory=list)
    memory: int = 0


class Ours:
    """A stage of an algorithm, ready to be updated as the trainer does, with its optimizers."""

    def __init__(
        self, config: Config, stage_name: str | None, task: Task, policy: Policy[Any, Any]
    ) -> None:
        stages = config["algorithm"]["stages"]
        stage = stages[stage_name or list(stages)[-1]]
        sizes = vocabularies(task)
        networks = {
            name: build_network(config, name, sizes, 1, stage)
            for name in stage_networks(config, stage)
        }
        networks["policy"].load_state_dict(policy.state_dict())
        self.device = next(policy.parameters()).device
        for network in networks.values():
            network.to(self.device)
        settings = build_settings(config, stage)
        self.clip, self.bf16 = settings.clip, settings.precision == "bf16"
        self.algorithm = build_algorithm(config, stage, networks, task)
        self.learners: dict[str, nn.Module] = self.algorithm.learners()
        self.optimizers = {
            name: fused(factory, self.learners[name].parameters())
            for name, factory in build_optimizers(stage).items()
        }
        self.stopwatch = Stopwatch(self.device)
        self._watch(networks)

    def update(self, batch: Batch, number: int) -> None:
        clock = Clock(update=number, fraction=number / 1000, seed=1)
        phase = self.stopwatch.phase
        with phase("rest"):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                losses = self.algorithm.losses(batch, clock)
            with phase("backward"):
                torch.stack([loss.float() for loss in losses.values()]).sum().backward()
            with phase("optimizer"):
                for name in losses:
                    parameters = list(self.learners[name].parameters())
                    nn.utils.clip_grad_norm_(parameters, self.clip or float("inf"))
                    self.optimizers[name].step()
                    self.optimizers[name].zero_grad(set_to_none=True)
            self.algorithm.after_update(clock)

    def _watch(self, networks: dict[str, nn.Module]) -> None:
        """Tell the stopwatch whose calls are what."""
        watch, own = self.stopwatch.watch, vars(self.algorithm)
        for name, network in networks.items():
            for method in ASKED:
                if name == "policy":
                    watch(network, method, "score", within="sample")
                else:
                    watch(network, method, "critic")
        if "evaluation" in own:
            for method in ("targets", "loss"):
                watch(own["evaluation"], method, "critic")
        if own.get("reward") is not None:
            for method in ("score", "increments", "lookahead", "lookaheads"):
                if hasattr(own["reward"], method):
                    watch(own["reward"], method, "reward", within="reward")
        for name in ("proposal", "perturbation", "sampling"):
            if own.get(name) is not None:
                watch(own[name], "__call__", "sample")


class PlainOne:
    """One of the plain updates."""

    def __init__(self, updates: PlainUpdates, name: str) -> None:
        self.updates, self.name = updates, name
        self.stopwatch = Stopwatch(torch.device("cpu"))

    def update(self, batch: Batch, number: int) -> None:
        torch.manual_seed(number)
        getattr(self.updates, self.name)(batch)


def ready(
    configs: dict[str, Config], task: Task, device: torch.device, warm_up: int
) -> tuple[dict[str, Ours | PlainOne], Iterator[Batch]]:
    """By row, what makes its updates, all from the same trained policy; and batches for them.

    Rows are `algorithm`, its last stage, `algorithm.stage`, or `plain.stage`. `configs` are those
    of the algorithms by row; `mle` must be among them.
    """
    batches = endless(task, device, SENTENCES, seed=1)
    policy = build_network(configs["mle"], "policy", vocabularies(task), 1).to(device)
    trained(configs["mle"], policy, list(islice(batches, warm_up)), task)
    rows: dict[str, Ours | PlainOne] = {}
    for row, config in configs.items():
        _, _, stage = row.partition(".")
        rows[row] = Ours(config, stage or None, task, policy)
    if device.type == "cpu":
        sizes = vocabularies(task)
        updates = PlainUpdates(sizes.source, sizes.target, **sizes_of(configs["mle"]))
        adopt(updates.actor, policy)
        rows |= {
            f"plain.{stage}": PlainOne(copy.deepcopy(updates), name)
            for stage, name in PLAIN.items()
        }
    return rows, batches


def endless(task: Task, device: torch.device, sentences: int, *, seed: int) -> Iterator[Batch]:
    """Training batches of so many sentences, the first epoch's again and again."""
    batches = Batches(task.split("train"), size=sentences, seed=seed)
    while True:
        for batch in batches.iterate(0):
            yield batch.to(device)


def measure_updates(
    rows: dict[str, Ours | PlainOne],
    batches: Iterator[Batch],
    device: torch.device,
    *,
    repeats: int,
) -> dict[str, Measured]:
    """By row, what its updates cost."""
    found = {row: Measured() for row in rows}
    give_back_freed_memory()
    for number, batch in enumerate(islice(batches, 3)):
        for row, one in rows.items():
            with PeakMemory(device) as peak:
                one.update(batch, number)
            if number:  # the first one makes room for the optimizer too
                found[row].memory = max(found[row].memory, peak.bytes)
    manage_memory()  # as training does; what an update takes is then seen no more
    for number, batch in enumerate(islice(batches, repeats + 1)):
        for row, one in rows.items():
            one.stopwatch.on = False
            began = one.stopwatch.now()
            one.update(batch, number)
            taken = one.stopwatch.now() - began
            if not number:
                continue
            found[row].seconds.append(taken)
            found[row].tokens.append(int(batch.target_mask.sum()))
            one.stopwatch.on, one.stopwatch.seconds = True, {}
            one.update(batch, number)
            for phase, seconds in one.stopwatch.seconds.items():
                found[row].phases.setdefault(phase, []).append(seconds)
    return found


def trained(config: Config, policy: Policy[Any, Any], batches: Sequence[Batch], task: Task) -> None:
    """Train the policy by maximum likelihood, an update a batch, with Adam at 0.002."""
    learner = Ours(config, None, task, policy)
    learner.optimizers = {
        name: torch.optim.Adam(network.parameters(), lr=0.002)
        for name, network in learner.learners.items()
    }
    for number, batch in enumerate(batches):
        learner.update(batch, number)
    policy.load_state_dict(learner.learners["policy"].state_dict())


def sizes_of(config: Config) -> dict[str, Any]:
    """What the plain networks must be told to be as large as the policy."""
    policy = config["model"]["policy"]
    return {name: policy[name] for name in ("embedding", "hidden", "input_feeding")}


ADOPTED = {
    "encoder_layers.0.": "encoder.",
    "decoder_layers.0.": "decoder.",
    "attention.energy.": "energy.",
}


def adopt(plain: nn.Module, policy: nn.Module) -> None:
    """Give a plain network of the same size the weights of a policy or critic of one layer."""
    weights = {}
    for name, value in policy.state_dict().items():
        for ours, theirs in ADOPTED.items():
            if name.startswith(ours):
                name = theirs + name.removeprefix(ours)
        weights[name] = value
    if "attention.query.weight" in weights:  # W_h h + W_m m + b = [W_h W_m] [h ; m] + b
        query, key = (weights.pop(f"attention.{n}.weight") for n in ("query", "key"))
        weights["pair.weight"] = torch.cat([query, key], dim=1)
        weights["pair.bias"] = weights.pop("attention.query.bias")
    plain.load_state_dict(weights)


def give_back_freed_memory() -> None:
    """Have the C library return what is freed, so that the most that was held can be seen."""
    mmap_threshold, trim_threshold = -3, -1  # of malloc.h
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(mmap_threshold, 2**16)
        mallopt(trim_threshold, 2**16)


class PeakMemory:
    """The most memory held inside the block beyond what was held before, in bytes.

    On a CPU that of the process, where the system tells (Linux); 0 elsewhere.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.bytes = 0

    def __enter__(self) -> PeakMemory:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            self._before = torch.cuda.memory_allocated(self.device)
        else:
            with suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")
            self._before = resident_bytes()
        return self

    def __exit__(self, *error: object) -> None:
        if self.device.type == "cuda":
            self.bytes = torch.cuda.max_memory_allocated(self.device) - self._before
            return
        with suppress(OSError):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM"):
                    self.bytes = max(0, int(line.split()[1]) * 1024 - self._before)


def table(found: dict[str, Measured]) -> list[str]:
    """Milliseconds of each, in those of `mle` and of the plain one beside it, and its phases."""
    phases = [p for p in PHASES if any(p in one.phases for one in found.values())]
    heads = ["ms", "of mle", "speed-up", *phases, "tokens/s", "peak MiB"]
    lines = [f"{'update':<22}" + "".join(f"{head:>10}" for head in heads)]
    for row, one in found.items():
        beside = plain_beside(row, found)
        cells = [
            f"{1000 * statistics.median(one.seconds):.1f}",
            f"{ratio(one, found['mle']):.2f}",
            f"{ratio(found[beside], one):.2f}" if beside else "",
            *(
                f"{1000 * statistics.median(one.phases[p]):.1f}" if p in one.phases else ""
                for p in phases
            ),
            f"{sum(one.tokens) / sum(one.seconds):.0f}",
            f"{one.memory / 2**20:.0f}",
        ]
        lines.append(f"{row:<22}" + "".join(f"{cell:>10}" for cell in cells))
    return lines


def ratio(one: Measured, other: Measured) -> float:
    """The median over the batches of what one took over what the other took beside it."""
    return statistics.median(a / b for a, b in zip(one.seconds, other.seconds, strict=True))


def plain_beside(row: str, found: dict[str, Measured]) -> str | None:
    """The plain update that computes what the row does."""
    algorithm, _, stage = row.partition(".")
    stages = {"mle": "mle", "erac": "joint", "erac_released": "joint"}
    name = f"plain.{stage or stages.get(algorithm)}"
    return name if name in found else None
