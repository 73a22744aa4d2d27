"""What is measured beside updates: decoding, rewards, the data pipeline, the start."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from seqrl.data.batching import Batches
from seqrl.data.task import Task
from seqrl.decoding.decoder import Beam, Decoder, Greedy
from seqrl.evaluation.decode import decode_split
from seqrl.models.base import Policy
from seqrl.rewards.bleu import BleuReward
from seqrl.rewards.edit import EditReward
from seqrl.rewards.rouge import RougeReward
from seqrl.types import Batch, Specials, Trajectories, shift_right

Row = tuple[str, float, str]
"""What, how many, of which unit."""

SPECIALS = Specials(pad=0, unk=1, bos=2, eos=3)
WORDS, VOCABULARY = (20, 60), 5000


def decoding(policy: Policy[Any, Any], task: Task, device: torch.device, repeats: int) -> list[Row]:
    """Sentences of dev that are decoded in a second."""
    split = task.split("dev")
    decoders: dict[str, Decoder] = {"greedy": Greedy(), "beam of 5": Beam(size=5)}
    seconds: dict[str, list[float]] = {name: [] for name in decoders}
    for _ in range(repeats):
        for name, decoder in decoders.items():
            seconds[name].append(timed(lambda d=decoder: decode_split(policy, split, d, device)))
    return [
        (name, len(split) / statistics.median(own), "sentences/s") for name, own in seconds.items()
    ]


def rewards(device: torch.device, repeats: int) -> list[Row]:
    """Samples that are scored in a second, and the same by libraries that take text."""
    return [row for words in WORDS for row in rewards_at(words, device, repeats)]


@torch.no_grad()
def rewards_at(words: int, device: torch.device, repeats: int) -> list[Row]:
    """Of samples of so many words, every other one the reference's."""
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics import BLEU

    batch, drawn = samples_of(words, device)
    texts, references = (
        [" ".join(f"w{word}" for word in row[:-1]) for row in rows.tolist()]
        for rows in (drawn.targets, batch.target.repeat_interleave(drawn.group, dim=0))
    )
    sacrebleu = BLEU(effective_order=True, tokenize="none")
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    pairs = list(zip(texts, references, strict=True))
    bleu, rouge = BleuReward(), RougeReward()
    ways: dict[str, Callable[[], Any]] = {
        "bleu, whole texts": lambda: bleu.score(drawn, batch),
        "bleu, every prefix": lambda: bleu.increments(drawn, batch),
        "bleu, every next word": lambda: bleu.lookaheads(drawn, batch, VOCABULARY),
        "rouge, whole texts": lambda: rouge.score(drawn, batch),
        "rouge, every prefix": lambda: rouge.increments(drawn, batch),
        "rouge, every next word": lambda: rouge.lookaheads(drawn, batch, VOCABULARY),
        "edit distance, every prefix": lambda: EditReward().increments(drawn, batch),
        "sacrebleu, whole texts": lambda: [sacrebleu.sentence_score(a, [b]) for a, b in pairs],
        "rouge-score, whole texts": lambda: [scorer.score(b, a) for a, b in pairs],
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, way in ways.items():
            seconds[name].append(timed(way))
    return [
        (f"{name}, {words} words", len(drawn) / statistics.median(own[1:]), "samples/s")
        for name, own in seconds.items()
    ]


def samples_of(
    words: int, device: torch.device, sentences: int = 50, group: int = 5
) -> tuple[Batch, Trajectories]:
    """References of random words, and samples that have every other word of theirs."""
    generator = torch.Generator().manual_seed(words)

    def drawn(rows: int) -> Tensor:
        return torch.randint(4, VOCABULARY, (rows, words), generator=generator)

    target = pad(drawn(sentences), (0, 1), value=SPECIALS.eos)
    samples = target.repeat_interleave(group, dim=0)
    samples[:, 1:-1:2] = drawn(len(samples))[:, 1::2]
    target, samples = target.to(device), samples.to(device)
    mask = torch.ones_like(samples, dtype=torch.bool)
    batch = Batch(target, target, target.unsqueeze(1), SPECIALS.pad, SPECIALS)
    inputs = shift_right(samples, SPECIALS.bos)
    return batch, Trajectories(inputs, samples, mask, torch.zeros_like(mask), group=group)


def pipeline(task: Task, repeats: int) -> list[Row]:
    """Ids of both sides that become batches in a second."""
    batches = Batches(task.split("train"), size=50, seed=1)
    speeds = []
    for epoch in range(repeats):
        ids = 0
        began = time.perf_counter()
        for batch in islice(batches.iterate(epoch), 200):
            ids += int(batch.source_mask.sum()) + int(batch.target_mask.sum())
        speeds.append(ids / (time.perf_counter() - began))
    return [("batches", statistics.median(speeds), "tokens/s")]


def start(overrides: list[str], repeats: int) -> list[Row]:
    """Seconds until help is shown, and until a run of one update has ended."""
    python = [sys.executable, "-c", "from seqrl.cli.train import main; main()"]
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    helps = [timed(lambda: subprocess.run([*python, "--help"], **quiet)) for _ in range(repeats)]
    seconds = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            quick = ["algorithm=mle", "trainer.max_steps=1", "tracker=none", "decoding=greedy"]
            command = [*python, *overrides, *quick, f"outputs={folder}"]
            began = time.time()
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            assert process.stdout is not None
            if not any(" 1/1 " in line for line in process.stdout):
                raise RuntimeError(f"no update: {' '.join(command[3:])}")
            seconds.append(time.time() - began)
            process.kill()
            process.wait()
    return [
        ("help", statistics.median(helps), "s"),
        ("first update and validation", statistics.median(seconds), "s"),
    ]


def timed(action: Callable[[], Any]) -> float:
    """Seconds that an action takes, on whichever device."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    began = time.perf_counter()
    action()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began
