"""Several runs that differ in their seed, at once on one device.

    python scripts/bench/replicas.py [OVERRIDE ...] [--rows mle erac.critic erac]
                                     [--replicas 1 2 4 9] [--seconds 20] [--warm-up 100]

In processes of their own they share the device; in one process all of them could be one batched
computation. Nothing of the kind is faster than the same networks, one set of weights for all, on
batches that are so many times as large: that is the bound. Figures are updates a second, of all
runs together. On a CPU as many processes are at work as there are cores, each with one thread, and
the others wait for their turn; on a GPU all of them share it.
"""

from __future__ import annotations

import argparse
import time
from itertools import islice
from typing import Any

import torch
from torch import multiprocessing
from updates import SENTENCES, Ours, configurations, endless, trained

from seqrl.build import build_network, build_task, choose_device, vocabularies
from seqrl.cli.launchers import cores
from seqrl.cli.running import manage_memory
from seqrl.identity import Config

ROWS = ("mle", "erac.critic", "erac")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--rows", nargs="*", default=list(ROWS))
    parser.add_argument("--replicas", nargs="*", type=int, default=[1, 2, 4, 9])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--warm-up", type=int, default=100)
    chosen = parser.parse_intermixed_args()
    rows = list(dict.fromkeys(["mle", *chosen.rows]))
    configs = configurations(rows, chosen.overrides)
    on_cpu = choose_device(configs["mle"]["device"]).type == "cpu"
    print(f"{'update':<16}{'runs':>6}{'processes':>12}{'bound':>12}{'bound / processes':>20}")
    for row in chosen.rows:
        for count in chosen.replicas:
            at_work = min(count, cores()) if on_cpu else count
            processes = sum(at_once(configs, row, at_work, SENTENCES, chosen))
            bound = count * sum(at_once(configs, row, 1, SENTENCES * count, chosen))
            figures = f"{processes:>12.2f}{bound:>12.2f}{bound / processes:>20.2f}"
            print(f"{row:<16}{count:>6}{figures}", flush=True)


def at_once(
    configs: dict[str, Config], row: str, processes: int, sentences: int, chosen: Any
) -> list[float]:
    """Updates a second of each of so many processes, all of which start when all are ready."""
    context = multiprocessing.get_context("spawn")
    ready, found = context.Barrier(processes), context.SimpleQueue()
    threads = max(1, cores() // processes)
    arguments = (ready, found, configs, row, sentences, threads, chosen.seconds, chosen.warm_up)
    started = [context.Process(target=replica, args=(n, *arguments)) for n in range(processes)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    if any(process.exitcode for process in started):
        raise SystemExit("a process failed")
    return [found.get() for _ in started]


def replica(
    number: int,
    ready: Any,
    found: Any,
    configs: dict[str, Config],
    row: str,
    sentences: int,
    threads: int,
    seconds: float,
    warm_up: int,
) -> None:
    """One process: its updates a second from the moment at which all are ready."""
    torch.set_num_threads(threads)
    manage_memory()
    device, task = choose_device(configs["mle"]["device"]), build_task(configs["mle"])
    policy = build_network(configs["mle"], "policy", vocabularies(task), 1 + number).to(device)
    usual = endless(task, device, SENTENCES, seed=number)
    trained(configs["mle"], policy, list(islice(usual, warm_up)), task)
    one = Ours(configs[row], row.partition(".")[2] or None, task, policy)
    batches = endless(task, device, sentences, seed=number)
    for update, batch in enumerate(islice(batches, 2)):
        one.update(batch, update)
    ready.wait()
    began, updates = one.stopwatch.now(), 0
    while time.perf_counter() - began < seconds:
        one.update(next(batches), updates)
        updates += 1
    found.put(updates / (one.stopwatch.now() - began))


if __name__ == "__main__":
    main()
