"""All completions of a batch's prefixes together, beside a loop over the prefixes.

    python scripts/bench/completions.py [OVERRIDE ...] [--completions 1 4 16] [--repeats 3]

The loop is the published one: for each of N completions and each length t, the prefixes y_1..t of
the batch are read again from their beginning and completed. Both make equally many samples of the
same law. Seconds are medians of interleaved repetitions; the policy is untrained.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from updates import configurations

from seqrl.build import build_network, build_task, choose_device, vocabularies
from seqrl.cli.running import manage_memory
from seqrl.data.batching import Batches
from seqrl.decoding.completion import completions
from seqrl.decoding.rollout import rollout, sampler
from seqrl.models.base import Policy

SENTENCES = 64
EXTRA = 10  # tokens that a sample may have more than the longest reference


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overrides", nargs="*", default=["task=oracle"])
    parser.add_argument("--completions", nargs="*", type=int, default=[1, 4, 16])
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_intermixed_args()
    manage_memory()
    config = configurations(["mle"], chosen.overrides)["mle"]
    device = choose_device(config["device"])
    task = build_task(config)
    policy = build_network(config, "policy", vocabularies(task), 0).to(device).eval()
    batches = Batches(task.split("train"), size=SENTENCES, unit="sentences", seed=0)
    batch = next(batches.iterate(0)).to(device)
    memory = policy.encode(batch.source, batch.source_mask)
    limit = batch.target.shape[1] + EXTRA
    noise = torch.rand(limit, len(batch), device=device)
    tokens, mask = rollout(policy, memory, rows=len(batch), max_length=limit, choose=sampler(noise))
    print(f"{'N':>4}{'sequences':>12}{'together, s':>14}{'loop, s':>12}{'loop / together':>18}")
    for count in chosen.completions:
        size = limit, limit, len(batch), count
        found: list[Any] = []

        def together(size: Any = size, found: list[Any] = found) -> None:
            noise = torch.rand(size, device=device)
            found[:] = [completions(policy, memory, tokens, mask, noise)]

        def looped(count: int = count) -> None:
            for _ in range(count):
                for length in range(1, tokens.shape[1]):
                    loop(policy, memory, tokens, length, limit)

        seconds = medians([together, looped], chosen.repeats, device)
        figures = f"{seconds[0]:>14.2f}{seconds[1]:>12.2f}{seconds[1] / seconds[0]:>18.1f}"
        print(f"{count:>4}{len(found[0].tokens):>12}{figures}", flush=True)


def loop(policy: Policy[Any, Any], memory: Any, tokens: Tensor, length: int, limit: int) -> Tensor:
    """The prefixes of one length, read from their beginning and completed."""
    noise = torch.rand(limit, len(tokens), device=tokens.device)
    draw = sampler(noise)

    def choose(t: int, logits: Tensor, prefix: Tensor, rows: Tensor) -> Tensor:
        return tokens[rows, t] if t < length else draw(t, logits, prefix, rows)

    return rollout(policy, memory, rows=len(tokens), max_length=limit, choose=choose)[0]


def medians(calls: list[Callable[[], None]], repeats: int, device: torch.device) -> list[float]:
    """Seconds of each call, after one that does not count."""
    seconds: list[list[float]] = [[] for _ in calls]
    for repeat in range(repeats + 1):
        for own, call in zip(seconds, calls, strict=True):
            began = time.perf_counter()
            call()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if repeat:
                own.append(time.perf_counter() - began)
    return [statistics.median(own) for own in seconds]


if __name__ == "__main__":
    main()
