"""How fast everything is.

    python scripts/bench [OVERRIDE ...] [--parts updates decoding ...] [--rows mle erac.critic ...]
                         [--repeats 15] [--warm-up 300] [--json FILE]

The overrides are those of a run, such as `experiment=multi30k task.data_dir=DIR`. Rows of the
updates are algorithms, of which the last stage is measured, or `algorithm.stage`. Beside them, on
a CPU, stand the plain updates of `plain.py`; all are made in turn on the same batches, and the
figures are medians. The floors are what the machine would take at its best (`floors.py`). Run it
on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from floors import floors_table, measure_floors, measure_machine
from parts import Row, decoding, pipeline, rewards, start
from updates import Measured, configurations, measure_updates, ready, table, trained

from seqrl.build import build_network, build_task, choose_device, vocabularies
from seqrl.cli.configuration import conf_folder
from seqrl.data.batching import Batches

PARTS = ("updates", "floors", "decoding", "rewards", "data", "start")
CRITIC = "erac.critic"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rows", nargs="*")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--warm-up", type=int, default=300)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_intermixed_args()
    algorithms = sorted(path.stem for path in (conf_folder() / "algorithm").glob("*.yaml"))
    rows = list(dict.fromkeys(["mle", *(chosen.rows or [*algorithms, CRITIC])]))
    configs = configurations(rows, chosen.overrides)
    device = choose_device(configs["mle"]["device"])
    task = build_task(configs["mle"])
    found: dict[str, Any] = {"threads": torch.get_num_threads(), "torch": torch.__version__}
    print(f"{task.name}, {device}, {found['threads']} threads, PyTorch {found['torch']}")
    if {"updates", "floors"} & set(chosen.parts):
        ours, batches = ready(configs, task, device, chosen.warm_up)
        if "updates" in chosen.parts:
            updates = measure_updates(ours, batches, device, repeats=chosen.repeats)
            print(*table(updates), sep="\n")
            found["updates"] = {row: described(one) for row, one in updates.items()}
        if "floors" in chosen.parts:
            bf16 = configs["mle"]["trainer"]["precision"] == "bf16"
            machine = measure_machine(device, torch.bfloat16 if bf16 else torch.float32)
            floors = measure_floors(ours, batches, machine)
            print(*floors_table(floors, machine), sep="\n")
            found["machine"] = asdict(machine)
            found["floors"] = {row: asdict(one) for row, one in floors.items()}
    others: list[Row] = []
    if "decoding" in chosen.parts:
        policy = build_network(configs["mle"], "policy", vocabularies(task), 1).to(device)
        batches = Batches(task.split("train"), size=50, seed=1)
        first = islice(batches.iterate(0), chosen.warm_up)
        trained(configs["mle"], policy, [batch.to(device) for batch in first], task)
        others += decoding(policy, task, device, max(1, chosen.repeats // 5))
    if "rewards" in chosen.parts:
        others += rewards(device, chosen.repeats)
    if "data" in chosen.parts:
        others += pipeline(task, chosen.repeats)
    if "start" in chosen.parts:
        others += start(chosen.overrides, max(1, chosen.repeats // 5))
    for name, value, unit in others:
        print(f"{name:<40} {value:>12,.1f} {unit}")
    found["others"] = [{"what": n, "value": v, "unit": u} for n, v, u in others]
    if chosen.json is not None:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(found, indent=1) + "\n")


def described(one: Measured) -> dict[str, Any]:
    return {
        "ms": 1000 * statistics.median(one.seconds),
        "phases_ms": {k: 1000 * statistics.median(v) for k, v in one.phases.items()},
        "seconds": one.seconds,
        "tokens_per_second": sum(one.tokens) / sum(one.seconds),
        "peak_bytes": one.memory,
    }


if __name__ == "__main__":
    main()
