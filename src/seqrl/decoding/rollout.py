"""One loop that writes sequences token by token; what differs is how a token is chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seqrl.models.base import Policy

Choose = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""(t, logits [A, V], prefix [A, t], rows [A]) -> tokens [A], y_t of the rows still computed.

What it says of a row that has ended counts for nothing.
"""

CHECK_EVERY = {"cpu": 1, "cuda": 8}
"""Steps between looks at how many rows have ended; each one waits for a CUDA device."""

FULL_ENOUGH = {"cpu": 0.8, "cuda": 0.0}
"""The share of rows still running below which those that have ended are computed no longer."""


@torch.no_grad()
def rollout(
    policy: Policy[Any, Any],
    memory: Any,
    *,
    rows: int,
    max_length: int,
    choose: Choose,
    ends: bool = True,
) -> tuple[Tensor, Tensor]:
    """Tokens [N, T] and their mask [N, T], which ends with EOS.

    A row that has not ended by `max_length` gets EOS as its last token. After EOS stands
    padding. T is at most `max_length`, and shorter when all rows end earlier.

    ends  false: EOS ends nothing and is not put in, so that all rows have `max_length` tokens
    """
    device = next(policy.parameters()).device
    bos, eos, pad = policy.specials.bos, policy.specials.eos, policy.specials.pad
    tokens = torch.full((rows, max_length), pad, dtype=torch.long, device=device)
    mask = torch.zeros(rows, max_length, dtype=torch.bool, device=device)
    running = torch.ones(rows, dtype=torch.bool, device=device)
    previous = torch.full((rows,), bos, dtype=torch.long, device=device)
    state = policy.start(memory)
    written = torch.arange(rows, device=device)  # the rows still computed, [A]
    check_every, enough = CHECK_EVERY.get(device.type, 1), FULL_ENOUGH.get(device.type, 0.0)
    for t in range(max_length):
        logits, state = policy.step(memory, state, previous)
        prefix = tokens[:, :t] if len(written) == rows else tokens[written, :t]
        chosen = choose(t, logits, prefix, written)
        if ends and t == max_length - 1:
            chosen = torch.full_like(chosen, eos)
        previous = torch.where(running, chosen, pad)
        tokens[written, t] = previous
        mask[written, t] = running
        if not ends:
            continue
        running = running & (chosen != eos)
        if (t + 1) % check_every == 0:
            left = int(running.sum())
            if not left:
                break
            if left < enough * len(written):
                keep = running.nonzero().squeeze(1)
                memory, state = memory.select(keep), state.select(keep)
                written, running, previous = written[keep], running[keep], previous[keep]
    width = t + 1
    return tokens[:, :width], mask[:, :width]


def greedy(t: int, logits: Tensor, prefix: Tensor, rows: Tensor) -> Tensor:
    """The most probable token."""
    return logits.argmax(-1)


def sampler(noise: Tensor) -> Choose:
    """Samples from softmax(logits) with `noise` [T, N], see `drawn`."""

    def choose(t: int, logits: Tensor, prefix: Tensor, rows: Tensor) -> Tensor:
        return drawn(logits, noise[t][rows].unsqueeze(1)).squeeze(1)

    return choose


def drawn(logits: Tensor, noise: Tensor) -> Tensor:
    """R samples [A, R] from each softmax(logits) [A, V], inverted at noise [A, R] in [0, 1).

    One uniform number a token: drawing V exponentials or Gumbel variables costs more than
    the network's step.
    """
    cumulative = torch.softmax(logits.float(), dim=-1).cumsum(-1)  # [A, V]
    threshold = noise * cumulative[:, -1:]
    chosen = torch.searchsorted(cumulative, threshold, right=True)
    return chosen.clamp(max=logits.shape[-1] - 1)
