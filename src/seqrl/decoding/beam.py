"""Beam search over `Policy.step`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqrl.decoding.constraints import UNCONSTRAINED, Constraints
from seqrl.models.base import Policy, repeat


@torch.no_grad()
def beam_search(
    policy: Policy[Any, Any],
    memory: Any,
    *,
    rows: int,
    size: int,
    max_length: int,
    length_penalty: float = 0.0,
    constraints: Constraints = UNCONSTRAINED,
) -> tuple[Tensor, Tensor]:
    """The best hypothesis of each of `rows` sentences: tokens [B, T] and scores [B].

    A hypothesis scores sum_t log p(y_t) / ((5 + |y|) / 6) ** length_penalty (Wu et al.
    2016, eq. 14; 0 is the plain sum, as in the ERAC paper). Finished hypotheses keep
    their place in the beam. A sentence is done when no unfinished hypothesis can still
    overtake its best finished one; one that has no finished hypothesis at `max_length`
    returns its best unfinished one. All of a beam's state follows its hypothesis. Barred
    tokens take no part; log p is the model's own, which the others' share does not change.
    """
    specials, device = policy.specials, next(policy.parameters()).device
    result = torch.full((rows, max_length), specials.pad, dtype=torch.long, device=device)
    scores = torch.full((rows,), float("-inf"), device=device)
    active = torch.arange(rows, device=device)  # sentences still searched, [A]
    memory = repeat(memory, rows, size)
    state = policy.start(memory)
    tokens = torch.full((rows, size, 0), specials.pad, dtype=torch.long, device=device)
    total = torch.full((rows, size), float("-inf"), device=device)  # sums of log p
    total[:, 0] = 0.0  # the beams are equal at first: all but one are out
    length = torch.zeros(rows, size, device=device)
    ended = torch.zeros(rows, size, dtype=torch.bool, device=device)
    previous = torch.full((rows * size,), specials.bos, dtype=torch.long, device=device)
    for t in range(max_length):
        logits, state = policy.step(memory, state, previous)
        allowed = constraints(
            torch.log_softmax(logits.float(), dim=-1), tokens.flatten(0, 1), specials
        )
        top, words = allowed.topk(min(size, logits.shape[-1]), dim=-1)
        words = words.view(len(active), size, -1)  # [A, size, size]
        gain = top.view_as(words)
        # a finished hypothesis has one continuation: padding, at no cost
        first = torch.arange(words.shape[-1], device=device) == 0
        only_padding = torch.where(first, 0.0, float("-inf")).expand_as(gain)
        gain = torch.where(ended.unsqueeze(-1), only_padding, gain)
        words = torch.where(ended.unsqueeze(-1), specials.pad, words)
        grown = total.unsqueeze(-1) + gain
        grown_length = (length + (~ended)).unsqueeze(-1).expand_as(grown)
        ranking = (grown / penalty(grown_length, length_penalty)).flatten(1)
        best, choice = ranking.topk(size, dim=-1)  # [A, size]
        origin = choice // words.shape[-1]
        word = words.flatten(1).gather(1, choice)
        total = grown.flatten(1).gather(1, choice)
        length = grown_length.flatten(1).gather(1, choice)
        ended = ended.gather(1, origin) | (word == specials.eos)
        tokens = torch.cat(
            [tokens.gather(1, origin.unsqueeze(-1).expand(-1, -1, t)), word.unsqueeze(-1)], dim=-1
        )
        done = finished(best, total, ended, length_penalty, max_length)
        if t == max_length - 1:
            done = torch.ones_like(done)
        leaders = torch.where(ended, best, best - 1e9).argmax(-1, keepdim=True)
        result[active[done], : t + 1] = tokens.gather(
            1, leaders.unsqueeze(-1).expand(-1, -1, t + 1)
        ).squeeze(1)[done]
        scores[active[done]] = best.gather(1, leaders).squeeze(1)[done]
        keep = (~done).nonzero().squeeze(1)
        if not len(keep):
            break
        rows_kept = (keep.unsqueeze(1) * size + origin[keep]).flatten()
        state = state.select(rows_kept)
        if len(keep) < len(active):
            memory = memory.select(rows_kept)  # the beams of one sentence share its memory
            active, tokens, total = active[keep], tokens[keep], total[keep]
            length, ended, word = length[keep], ended[keep], word[keep]
        previous = word.flatten()
    return result[:, : t + 1], scores


def finished(
    best: Tensor, total: Tensor, ended: Tensor, length_penalty: float, max_length: int
) -> Tensor:
    """[A], whether the best finished hypothesis beats all that the others can still become.

    An unfinished sum of log p can only fall; its penalised score is at most the sum
    over the largest divisor.
    """
    limit = penalty(torch.tensor(float(max_length), device=best.device), length_penalty)
    reachable = torch.where(ended, float("-inf"), total / limit).amax(-1)
    reached = torch.where(ended, best, float("-inf")).amax(-1)
    return ended.any(-1) & (reached >= reachable)


def penalty(length: Tensor, exponent: float) -> Tensor:
    """((5 + |y|) / 6) ** exponent."""
    return ((5.0 + length) / 6.0) ** exponent
