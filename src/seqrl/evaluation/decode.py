"""Decode a split and score it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch

from seqrl.data.batching import Split, sequential
from seqrl.data.corpus import Example
from seqrl.data.task import Task
from seqrl.decoding.decoder import Decoder
from seqrl.memory import in_parts
from seqrl.metrics.corpus import corpus_scores, length_ratio
from seqrl.metrics.outputs import Outputs, Score
from seqrl.models.base import Policy

DECODING_BATCH = 100
"""Sentences decoded at once."""


@dataclass(frozen=True)
class Evaluation:
    """What a model made of a split.

    hypotheses    in the task's tokenisation, in the split's order
    natural       the same as natural text
    scores        of the whole split
    length_ratio  tokens of the hypotheses over those of the closest references
    """

    hypotheses: list[str]
    natural: list[str]
    scores: list[Score]
    length_ratio: float


def decode_split(
    policy: Policy[Any, Any], split: Split, decoder: Decoder, device: torch.device
) -> list[list[int]]:
    """One hypothesis per example as ids, in the split's order.

    Fewer are decoded at once where memory runs out.
    """
    hypotheses: list[list[int]] = [[] for _ in range(len(split))]
    for indices, batch in sequential(split, DECODING_BATCH):
        found = in_parts(lambda part: decoder(policy, part).tolist(), batch.to(device))
        for index, row in zip(indices, chain.from_iterable(found), strict=True):
            hypotheses[index] = row
    return hypotheses


def evaluate(
    policy: Policy[Any, Any],
    task: Task,
    split: Split,
    decoder: Decoder,
    device: torch.device,
    scores: Sequence[str] | None = None,
) -> Evaluation:
    """Decode the whole split and compute the named scores (the task's, if none are named)."""
    decode = task.target_tokenizer.decode
    hypotheses = [decode(ids) for ids in decode_split(policy, split, decoder, device)]
    outputs = outputs_of(task, split.examples, hypotheses)
    return Evaluation(
        hypotheses=hypotheses,
        natural=list(outputs.natural_hypotheses),
        scores=corpus_scores(task.scores if scores is None else scores, outputs),
        length_ratio=length_ratio(hypotheses, outputs.references),
    )


def outputs_of(task: Task, examples: Sequence[Example], hypotheses: Sequence[str]) -> Outputs:
    """Hypotheses in the task's tokenisation beside their references, natural text of both too."""
    raw = all(example.raw for example in examples)
    return Outputs(
        sources=[example.source for example in examples],
        hypotheses=hypotheses,
        references=[example.references for example in examples],
        natural_hypotheses=list(map(task.detokenize, hypotheses)),
        natural_references=[
            example.raw if raw else tuple(map(task.detokenize, example.references))
            for example in examples
        ],
        natural_is_raw=raw,
        oracle=task.oracle,
    )
