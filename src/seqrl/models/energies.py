"""The energies of additive attention (Bahdanau et al. 2015, appendix A.1.2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seqrl.models.projection import AT_ONCE, KEPT, parts


def additive_energies(queries: Tensor, keys: Tensor, energy: Tensor, rows: Tensor) -> Tensor:
    """v . tanh(q_p + k_s) [P, S] of queries q [P, H] and their rows' keys k [N, S, H].

    v [H]; rows [P] says whose keys a query is compared with. Of size P S H tanh alone is held, and
    not even that where it is too large; it is then computed again on the way back.
    """
    found: Tensor = Energies.apply(  # type: ignore[no-untyped-call]
        queries, keys, energy.to(keys.dtype), rows
    )
    return found


class Energies(torch.autograd.Function):
    """With t = tanh(q_p + k_s) and g the gradient of the energies,

    dv = sum_ps g t,    dq_p = v sum_s g (1 - t^2),    dk_s = v sum_p g (1 - t^2).
    """

    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, energy: Tensor, rows: Tensor) -> Tensor:
        size = keys[0].numel()
        ctx.keeps = any(ctx.needs_input_grad) and len(queries) * size <= KEPT
        found = keys.new_empty(len(queries), keys.shape[1])
        kept = keys.new_empty(len(queries) if ctx.keeps else 0, *keys.shape[1:])
        for part in parts(len(queries), AT_ONCE // size):
            t = activations(queries, keys, rows, part, kept if ctx.keeps else None)
            found[part] = t @ energy
        ctx.save_for_backward(queries, keys, energy, rows, kept)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, energy, rows, kept = ctx.saved_tensors
        for_queries, for_keys = torch.empty_like(queries), torch.zeros_like(keys)
        for_energy, one = torch.zeros_like(energy), energy.new_ones(())
        for part in parts(len(queries), AT_ONCE // keys[0].numel()):
            t = kept[part] if ctx.keeps else activations(queries, keys, rows, part, None)
            g = slopes[part]
            for_energy += g.flatten() @ t.flatten(0, 1)
            falls = torch.addcmul(one, t, t, value=-1).mul_(g.unsqueeze(-1))
            torch.sum(falls, 1, out=for_queries[part])
            for_keys.index_add_(0, rows[part], falls)
        return for_queries.mul_(energy), for_keys.mul_(energy), for_energy, None


def activations(
    queries: Tensor, keys: Tensor, rows: Tensor, part: slice, room: Tensor | None
) -> Tensor:
    """tanh(q_p + k_s) of some queries, [., S, H]; in `room` [P, S, H], if there is some."""
    if room is None:
        found = keys.index_select(0, rows[part])
    else:
        found = torch.index_select(keys, 0, rows[part], out=room[part])
    found += queries[part].unsqueeze(1)
    return found.tanh_()
