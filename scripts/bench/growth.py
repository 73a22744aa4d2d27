"""How the cost of an update grows with the length, the batch, the vocabulary and the samples.

    python scripts/bench/growth.py [OVERRIDE ...] [--repeats 5] [--plot FILE] [--json FILE]

Batches are of random words, all sentences equally long; from 20 words, 50 sentences, 5,000 words of
vocabulary and one sample a source, one number grows at a time. Networks know nothing yet, so that
samples are as long as they may be: as the references and ten more. The exponent is p in
cost ~ size^p, by least squares over all sizes, and between the last two. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from updates import Ours, PeakMemory, configurations, give_back_freed_memory

from seqrl.build import build_network, choose_device, vocabularies
from seqrl.cli.running import manage_memory
from seqrl.types import Batch, Specials

ROWS = {"mle": "MLE", "erac.critic": "ERAC's critic", "erac": "ERAC, joint"}
START = {"length": 20, "batch": 50, "vocabulary": 5_000, "samples": 1}
SIZES = {
    "length": (10, 20, 40, 80),
    "batch": (25, 50, 100, 200),
    "vocabulary": (5_000, 10_000, 20_000, 50_000),
    "samples": (1, 2, 4, 8),
}
SPECIALS = Specials(pad=0, unk=1, bos=2, eos=3)


@dataclass(frozen=True)
class Words:
    """As much of a tokenizer as networks must know."""

    size: int
    specials: Specials = SPECIALS

    def __len__(self) -> int:
        return self.size


@dataclass
class Point:
    """One row at one size: seconds of updates, and the most memory that one took."""

    row: str
    what: str
    size: int
    seconds: list[float]
    memory: int


def batch_of(length: int, sentences: int, vocabulary: int, seed: int) -> Batch:
    """Random words; targets end in EOS."""
    generator = torch.Generator().manual_seed(seed)
    source, target = (
        torch.randint(4, vocabulary, (sentences, length), generator=generator) for _ in range(2)
    )
    target[:, -1] = SPECIALS.eos
    return Batch(source, target, target.unsqueeze(1), SPECIALS.pad, SPECIALS)


def measured(
    overrides: list[str], row: str, what: str, size: int, device: torch.device, updates: int
) -> Point:
    """Of so many updates, after one that makes room; the memory of them all."""
    at = START | {what: size}
    config = configurations([row], ["model=lstm", *overrides])[row]
    for stage in config["algorithm"]["stages"].values():
        if proposal := stage["algorithm"].get("proposal"):
            proposal |= {"extra_length": 10, "max_length": at["length"] + 10}
            proposal["samples"] = at["samples"]
    words = Words(at["vocabulary"])
    task: Any = SimpleNamespace(
        target_words=None, source_tokenizer=words, target_tokenizer=words, counts=None
    )
    policy = build_network(config, "policy", vocabularies(task), 1).to(device)
    one = Ours(config, row.partition(".")[2] or None, task, policy)
    point = Point(row, what, size, [], 0)
    for number in range(updates + 1):
        batch = batch_of(at["length"], at["batch"], at["vocabulary"], number).to(device)
        with PeakMemory(device) as peak:
            began = one.stopwatch.now()
            one.update(batch, number)
            taken = one.stopwatch.now() - began
        if number:
            point.seconds.append(taken)
            point.memory = max(point.memory, peak.bytes)
    return point


def exponent(sizes: list[float], costs: list[float]) -> float:
    """p of cost ~ size^p by least squares on logarithms."""
    x, y = ([math.log(v) for v in values] for values in (sizes, costs))
    return statistics.linear_regression(x, y).slope


def table(points: list[Point]) -> list[str]:
    lines = [f"{'':<16}{'':<12}{'ms (MiB) at each size':<68}{'exponent':>9}{'last':>7}"]
    for row, label in ROWS.items():
        for what in SIZES:
            own = [p for p in points if (p.row, p.what) == (row, what)]
            if not own:
                continue
            sizes = [float(p.size) for p in own]
            costs = [1000 * statistics.median(p.seconds) for p in own]
            cells = "".join(
                f"{p.size:>6}: {cost:>4.0f} ({p.memory / 2**20:.0f})"
                for p, cost in zip(own, costs, strict=True)
            )
            lines.append(
                f"{label:<16}{what:<12}{cells:<68}{exponent(sizes, costs):>9.2f}"
                f"{exponent(sizes[-2:], costs[-2:]):>7.2f}"
            )
    return lines


def plot(points: list[Point], target: Path) -> None:
    """Milliseconds above, memory below, a panel for each number that grows."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FixedLocator, NullLocator

    figure, axes = pyplot.subplots(
        2, len(SIZES), figsize=(12, 5.5), sharey="row", layout="constrained"
    )
    for column, what in enumerate(SIZES):
        for row, label in ROWS.items():
            own = [p for p in points if (p.row, p.what) == (row, what)]
            sizes = [p.size for p in own]
            times = [1000 * statistics.median(p.seconds) for p in own]
            axes[0, column].plot(sizes, times, "o-", label=label)
            axes[1, column].plot(sizes, [p.memory / 2**20 for p in own], "o-", label=label)
        for axis in axes[:, column]:
            axis.set(xscale="log", yscale="log")
            axis.xaxis.set_major_locator(FixedLocator(list(SIZES[what])))
            axis.xaxis.set_minor_locator(NullLocator())
            axis.xaxis.set_major_formatter(lambda v, _: f"{v:,.0f}")
            axis.yaxis.set_major_formatter(lambda v, _: f"{v:,.0f}")
            axis.grid(alpha=0.3)
        axes[1, column].set_xlabel(
            {
                "length": "words in a sentence",
                "batch": "sentences in a batch",
                "vocabulary": "words in the vocabulary",
                "samples": "samples of a source",
            }[what]
        )
    axes[0, 0].set_ylabel("ms per update")
    axes[1, 0].set_ylabel("MiB at most, beyond weights")
    axes[0, 0].legend()
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=110)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_intermixed_args()
    config = configurations(["mle"], chosen.overrides)["mle"]
    device = choose_device(config["device"])
    give_back_freed_memory()
    every = [
        (row, what, size)
        for row in ROWS
        for what, sizes in SIZES.items()
        for size in sizes
        if (row, what) != ("mle", "samples")  # it draws none
    ]
    memory = [measured(chosen.overrides, *one, device, 1).memory for one in every]
    manage_memory()  # as training does; what an update takes would not be seen any more
    points = [measured(chosen.overrides, *one, device, chosen.repeats) for one in every]
    for point, taken in zip(points, memory, strict=True):
        point.memory = taken
    print(f"{device}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}")
    print(*table(points), sep="\n")
    if chosen.json is not None:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps([vars(point) for point in points], indent=1) + "\n")
    if chosen.plot is not None:
        plot(points, chosen.plot)


if __name__ == "__main__":
    main()
