"""Ours beside JoeyNMT: the same network, data and batches, in turn.

    python scripts/bench/peers.py PYTHON OVERRIDE ... [--repeats 15] [--warm-up 300] [--json FILE]

PYTHON is that of an environment that has JoeyNMT (`make bench-peers` makes one). Measured are
updates of maximum likelihood with input feeding, and the decoding of dev by beam search of 5, after
both were trained on the same batches for a while; medians, of a CPU.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from updates import Ours, configurations

from seqrl.build import build_network, build_task, vocabularies
from seqrl.data.batching import Batches, sequential
from seqrl.data.task import Task
from seqrl.decoding.decoder import Beam
from seqrl.evaluation.decode import DECODING_BATCH, decode_split
from seqrl.training.trainer import fused


class Worker:
    """JoeyNMT in a process of its own, which answers one command at a time."""

    def __init__(self, python: str, given: Path) -> None:
        script = Path(__file__).with_name("joeynmt_worker.py")
        self.process = subprocess.Popen(
            [python, str(script), str(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, command: str) -> dict[str, float]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(command, file=self.process.stdin, flush=True)
        for line in self.process.stdout:
            if line.startswith("answer "):
                answer: dict[str, float] = json.loads(line.removeprefix("answer "))
                return answer
        raise RuntimeError(f"JoeyNMT ended with exit code {self.process.wait()}")

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()


def theirs(task: Task, updates: int, sizes: dict[str, int]) -> dict[str, Any]:
    """The batches as JoeyNMT wants them: its special ids, BOS before and EOS after both sides."""
    batches = islice(Batches(task.split("train"), size=50, seed=1).iterate(0), updates)
    source, target = task.source_tokenizer.specials, task.target_tokenizer.specials
    train = [
        (
            relabelled(b.source, b.source_mask, len(task.source_tokenizer), source),
            relabelled(b.target, b.target_mask, len(task.target_tokenizer), target, True),
        )
        for b in batches
    ]
    dev = [
        relabelled(b.source, b.source_mask, len(task.source_tokenizer), source)
        for _, b in sequential(task.split("dev"), DECODING_BATCH)
    ]
    return {"train": train, "dev": dev, "sizes": sizes}


def relabelled(ids: Tensor, mask: Tensor, size: int, specials: Any, bos: bool = False) -> Tensor:
    """Ids with unk, pad, bos and eos as 0, 1, 2 and 3, and the words after them."""
    own = [specials.unk, specials.pad, specials.bos, specials.eos]
    words = [i for i in range(size) if i not in own]
    place = torch.zeros(size, dtype=torch.long)
    place[words] = torch.arange(4, 4 + len(words))
    for number, special in enumerate(own):
        if special >= 0:  # a source may have neither BOS nor EOS
            place[special] = number
    found = place[ids].masked_fill(~mask, 1)
    first = torch.full_like(found[:, :1], 2)
    return torch.cat([first, found], dim=1) if bos else found


def their_size(size: int, specials: Any) -> int:
    """The size of a vocabulary that has all four special ids."""
    own = (specials.unk, specials.pad, specials.bos, specials.eos)
    return size + sum(special < 0 for special in own)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("python")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--warm-up", type=int, default=300)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_intermixed_args()
    fed = ["model.input_feeding=true", "device=cpu"]
    config = configurations(["mle"], [*chosen.overrides, *fed])["mle"]
    task = build_task(config)
    vocabulary = vocabularies(task)
    policy = config["model"]["policy"]
    sizes = {
        "source": their_size(vocabulary.source, task.source_tokenizer.specials),
        "target": their_size(vocabulary.target, task.target_tokenizer.specials),
        "embedding": policy["embedding"], "hidden": policy["hidden"],
    }  # fmt: skip
    updates = chosen.warm_up + chosen.repeats
    ours = Ours(config, None, task, build_network(config, "policy", vocabulary, 1))
    network = ours.learners["policy"]
    adam = partial(torch.optim.Adam, lr=0.002)
    ours.optimizers = {"policy": fused(adam, network.parameters())}
    decoder, dev = Beam(size=5), task.split("dev")
    seconds: dict[str, list[float]] = {
        name: [] for name in ("update", "their update", "beam", "their beam")
    }
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "given.pt"
        torch.save(theirs(task, updates, sizes), given)
        batches = cycle(Batches(task.split("train"), size=50, seed=1).iterate(0))
        with Worker(chosen.python, given) as worker:
            for number, batch in enumerate(islice(batches, updates)):
                began = time.perf_counter()
                ours.update(batch, number)
                seconds["update"].append(time.perf_counter() - began)
                seconds["their update"].append(worker(f"update {number}")["seconds"])
            for _ in range(max(1, chosen.repeats // 5)):
                began = time.perf_counter()
                found = decode_split(network, dev, decoder, torch.device("cpu"))
                seconds["beam"].append(time.perf_counter() - began)
                answer = worker("decode")
                seconds["their beam"].append(answer["seconds"])
    eos = task.target_tokenizer.specials.eos
    words = sum(row.index(eos) + 1 if eos in row else len(row) for row in found)
    print(f"{task.name}, {torch.get_num_threads()} threads; input feeding")
    print(f"{'':<34}{'seqrl':>10}{'JoeyNMT':>10}{'ratio':>8}")
    measured = {name: own[-chosen.repeats :] for name, own in seconds.items()}
    for what, unit in (("update", "MLE, ms per update"), ("beam", "beam of 5, sentences/s")):
        own, other = measured[what], measured[f"their {what}"]
        ratio = statistics.median(b / a for a, b in zip(own, other, strict=True))
        first, second = statistics.median(own), statistics.median(other)
        figures = (
            (1000 * first, 1000 * second)
            if what == "update"
            else (len(dev) / first, len(dev) / second)
        )
        print(f"{unit:<34}{figures[0]:>10.1f}{figures[1]:>10.1f}{ratio:>8.2f}")
    print(f"{'tokens written':<34}{words:>10}{int(answer['tokens']):>10}")
    if chosen.json is not None:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(measured | {"sizes": sizes}, indent=1) + "\n")


if __name__ == "__main__":
    main()
