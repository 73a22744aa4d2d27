"""Outputs for lines of text that have no references."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch

from seqrl.data.task import Task
from seqrl.decoding.decoder import Decoder
from seqrl.evaluation.decode import decode_split
from seqrl.models.base import Policy

_TOKEN = re.compile(r"[^ \t\r\n]+")  # as in corpora: other spaces are parts of words


def generate(
    policy: Policy[Any, Any],
    task: Task,
    decoder: Decoder,
    device: torch.device,
    sources: Sequence[str],
    *,
    longest_source: int | None = None,
) -> list[str]:
    """One output per source, in order; both in the task's tokenisation.

    longest_source  tokens that longer sources are cut to, as the task does with its own

    A source without tokens has the empty output.
    """
    sources = [" ".join(_TOKEN.findall(source)[:longest_source]) for source in sources]
    filled = [index for index, source in enumerate(sources) if source]
    outputs = [""] * len(sources)
    if filled:
        split = task.unlabelled([sources[index] for index in filled])
        decoded = decode_split(policy, split, decoder, device)
        for index, ids in zip(filled, decoded, strict=True):
            outputs[index] = task.target_tokenizer.decode(ids)
    return outputs
