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

from seqrl.data.batching import Batches, sequential
from seqrl.data.task import Task
from seqrl.decoding.decoder import Beam, Decoder, Greedy
from seqrl.evaluation.decode import decode_split
from seqrl.models.base import Policy
from seqrl.proposals.sampling import Sampling
from seqrl.rewards.bleu import BleuReward
from seqrl.rewards.edit import EditReward
from seqrl.types import Clock

Row = tuple[str, float, str]
"""What, how many, of which unit."""


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


@torch.no_grad()
def rewards(policy: Policy[Any, Any], task: Task, device: torch.device, repeats: int) -> list[Row]:
    """Samples that are scored in a second, and the same by libraries that take text."""
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics import BLEU

    _, batch = next(sequential(task.split("dev"), 50))
    batch = batch.to(device)
    memory = policy.encode(batch.source, batch.source_mask)
    drawn = Sampling(samples=5)(policy, memory, batch, None, Clock(seed=1))
    decode = task.target_tokenizer.decode
    texts = [decode(row) for row in drawn.targets.tolist()]
    references = [decode(row) for row in batch.target.tolist() for _ in range(drawn.group)]
    sacrebleu = BLEU(effective_order=True, tokenize="none")
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    pairs = list(zip(texts, references, strict=True))
    ways: dict[str, Callable[[], Any]] = {
        "bleu, whole sentences": lambda: BleuReward().score(drawn, batch),
        "bleu, every prefix": lambda: BleuReward().increments(drawn, batch),
        "bleu, every next word": lambda: BleuReward().lookaheads(
            drawn, batch, len(task.target_tokenizer)
        ),
        "edit distance, every prefix": lambda: EditReward().increments(drawn, batch),
        "sacrebleu, whole sentences": lambda: [sacrebleu.sentence_score(a, [b]) for a, b in pairs],
        "rouge-score, whole sentences": lambda: [scorer.score(b, a) for a, b in pairs],
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, way in ways.items():
            seconds[name].append(timed(way))
    return [
        (name, len(drawn) / statistics.median(own[1:]), "samples/s")
        for name, own in seconds.items()
    ]


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
