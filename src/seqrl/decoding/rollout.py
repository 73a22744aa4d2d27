"""One loop that writes sequences token by token; what differs is how a token is chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seqrl.models.base import Policy

Choose = Callable[[int, Tensor, Tensor], Tensor]
"""(t, logits [N, V], prefix [N, t]) -> tokens [N], y_t of every row."""

CHECK_EVERY = {"cpu": 1, "cuda": 8}
"""Steps between looks at whether every row has ended; each one waits for a CUDA device."""


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
    check_every = CHECK_EVERY.get(device.type, 1)
    for t in range(max_length):
        logits, state = policy.step(memory, state, previous)
        chosen = choose(t, logits, tokens[:, :t])
        if ends and t == max_length - 1:
            chosen = torch.full_like(chosen, eos)
        tokens[:, t] = torch.where(running, chosen, pad)
        mask[:, t] = running
        if ends:
            running = running & (chosen != eos)
        previous = tokens[:, t]
        if (t + 1) % check_every == 0 and not running.any():
            break
    width = t + 1
    return tokens[:, :width], mask[:, :width]


def greedy(t: int, logits: Tensor, prefix: Tensor) -> Tensor:
    """The most probable token."""
    return logits.argmax(-1)


def sampler(noise: Tensor) -> Choose:
    """Samples from softmax(logits) by inverting its distribution function at `noise` [T, N].

    One uniform number a token: drawing V exponentials or Gumbel variables costs more than
    the network's step.
    """

    def choose(t: int, logits: Tensor, prefix: Tensor) -> Tensor:
        cumulative = torch.softmax(logits.float(), dim=-1).cumsum(-1)  # [N, V]
        threshold = noise[t].unsqueeze(1) * cumulative[:, -1:]
        chosen = torch.searchsorted(cumulative, threshold, right=True).squeeze(1)
        return chosen.clamp(max=logits.shape[-1] - 1)

    return choose
