"""Monte-Carlo completions of every prefix of sequences, all advancing together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from seqrl.decoding.rollout import drawn
from seqrl.models.base import Policy

AT_ONCE = {"cpu": 1 << 22, "cuda": 1 << 28}
"""Logits of one step: as many sequences are completed together as have so many."""


@dataclass(frozen=True)
class Completions:
    """R whole sequences for each of F prefixes, those of one prefix adjacent.

    rows    [F]       the sequence that the prefix is of
    lengths [F]       t, tokens of the prefix
    tokens  [F R, T]  y_1..t and what was drawn; ends in EOS, then padding
    mask    [F R, T]  true up to and including EOS
    """

    rows: Tensor
    lengths: Tensor
    tokens: Tensor
    mask: Tensor


@torch.no_grad()
def completions(
    policy: Policy[Any, Any], memory: Any, tokens: Tensor, mask: Tensor, noise: Tensor
) -> Completions:
    """Every prefix y_1..t of tokens [N, T'] that does not end in EOS, t >= 1, drawn to an end.

    Each prefix is read once: a step of it gives the state that its R completions go on from, and
    the distribution of their first tokens. From then on they are rows of the same step as all
    others, until they write EOS; at T tokens EOS is put.

    noise [T, T, N, R] in [0, 1): at [t, j, n, r] what token j of completion r of y_1..t is drawn
    with, both counted from 0, as j is the length of what stands before it.
    """
    limit, samples = len(noise), noise.shape[-1]
    size = max(1, AT_ONCE.get(tokens.device.type, 1 << 22) // policy.target_size)
    rows = max(1, size // (samples * tokens.shape[1]))
    parts = [
        _completed(
            policy,
            memory.select(torch.arange(first, last, device=tokens.device)),
            tokens[first:last, :limit],
            mask[first:last, :limit],
            noise[:, :, first:last],
            first,
        )
        for first in range(0, len(tokens), rows)
        for last in [min(first + rows, len(tokens))]
    ]
    return Completions(
        torch.cat([part.rows for part in parts]),
        torch.cat([part.lengths for part in parts]),
        torch.cat([part.tokens for part in parts]),
        torch.cat([part.mask for part in parts]),
    )


def _completed(
    policy: Policy[Any, Any], memory: Any, tokens: Tensor, mask: Tensor, noise: Tensor, first: int
) -> Completions:
    """Of a few sequences, whose number in the batch starts at `first`."""
    limit, samples = len(noise), noise.shape[-1]
    device, eos = tokens.device, policy.specials.eos
    prefix = pad(mask & (tokens != eos), (0, limit - tokens.shape[1]))  # y_1..t, at t - 1
    prefix[:, limit - 1] = False
    tokens = pad(tokens, (0, limit - tokens.shape[1]))
    rows, ends = prefix.nonzero(as_tuple=True)
    lengths = ends + 1
    place = torch.zeros_like(prefix, dtype=torch.long)
    place[rows, ends] = torch.arange(len(rows), device=device) * samples  # in what is written
    there = torch.arange(limit, device=device) < lengths.unsqueeze(1)
    written = tokens[rows].where(there, policy.specials.pad).repeat_interleave(samples, dim=0)
    there = there.repeat_interleave(samples, dim=0)

    number = torch.arange(samples, device=device)
    read = torch.arange(len(tokens), device=device)  # the sequences that are still read
    going = read[:0]  # the completions that are being written; the rows of a step are both
    state = policy.start(memory)
    previous = torch.full_like(read, policy.specials.bos)
    for j in range(limit):
        logits, state = policy.step(memory, state, previous)
        new = (prefix[read, j - 1] if j else torch.zeros_like(read, dtype=torch.bool)).nonzero()
        new = new.squeeze(1)
        begun = (place[read[new], j - 1].unsqueeze(1) + number).flatten()
        of = going // samples
        tokens_now = torch.cat(
            [
                drawn(
                    logits[len(read) :],
                    noise[lengths[of], j, rows[of], going % samples].unsqueeze(1),
                ).flatten(),
                drawn(logits[new], noise[j, j, read[new]]).flatten(),
            ]
        )
        if j == limit - 1:
            tokens_now = torch.full_like(tokens_now, eos)
        going = torch.cat([going, begun])
        written[going, j] = tokens_now
        there[going, j] = True
        running = (tokens_now != eos).nonzero().squeeze(1)
        further = prefix[read, j].nonzero().squeeze(1)
        came = torch.arange(len(read), len(logits), device=device)  # their rows in this step
        came = torch.cat([came, new.repeat_interleave(samples)])
        kept = torch.cat([further, came[running]])
        if not len(kept):
            break
        memory, state = memory.select(kept), state.select(kept)
        read, going = read[further], going[running]
        previous = torch.cat([tokens[read, j], tokens_now[running]])
    return Completions(rows + first, lengths, written, there)
