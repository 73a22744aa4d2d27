"""From features to a number for every word, and what is asked of these numbers most often.

    z_w = E_w . f + b_w         for every word w of V

An update asks for the probability of one word at each of P tokens, for the value of one word, or
for how far the values of all words lie apart. None of that needs [P, V] several times over, as
ordinary differentiation does, and the last two do not need it at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding, linear

BARRED = -1e4
"""The bias of a token that is no action: its probability is exactly zero, p log p is no NaN."""

AT_ONCE = 1 << 22
"""Numbers z made at once where only what follows from them is wanted."""

KEPT = 1 << 27
"""Most numbers z, of one call, that wait for the backward pass; if more, they are made anew."""


class Projection(nn.Linear):
    """Features [..., H] to z [..., V].

    barred  ids of words that are no actions: their b is BARRED
    """

    barred: Tensor

    def __init__(self, features: int, words: int, barred: list[int]) -> None:
        super().__init__(features, words)
        self.register_buffer("barred", torch.tensor(barred, dtype=torch.long), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        return linear(features, self.weight, self.offsets())

    def offsets(self) -> Tensor:
        """b [V]."""
        return self.bias.index_fill(0, self.barred, BARRED)

    def log_probs(
        self, features: Tensor, words: Tensor, entropies: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """log softmax(z)_w [P] of one word [P] at each of features [P, H], and the entropies [P].

        Entropies, in nats, have no gradient; they are none unless asked for.
        """
        kind = product_type(features)
        found: tuple[Tensor, Tensor] = LogProbs.apply(  # type: ignore[no-untyped-call]
            features, self.weight, self.offsets(), words, kind, entropies
        )
        return found[0], found[1] if entropies else None

    def chosen(self, features: Tensor, words: Tensor) -> Tensor:
        """z_w [P] of one word [P] at each of features [P, H]."""
        rows = embedding(words, self.weight)
        found: Tensor = torch.linalg.vecdot(features.to(rows.dtype), rows)
        return found + self.offsets()[words]

    def expected(self, features: Tensor, log_p: Tensor) -> Tensor:
        """sum_w p(w) z_w [P] of features [P, H] under p [P, V], given log p: (p E) . f + p b.

        log_p may be [1, V], the same for all.
        """
        kind, offsets, found = self.weight.dtype, self.offsets(), []
        rows = len(features) if len(log_p) == 1 else AT_ONCE // len(self.weight)
        with torch.autocast(features.device.type, enabled=False):  # or the sum is in half
            for part in parts(len(features), rows):
                p = log_p[part if len(log_p) > 1 else slice(None)].to(kind).exp()
                value = torch.linalg.vecdot(p @ self.weight, features[part].to(kind))
                found.append(value + p @ offsets)
        return torch.cat(found) if found else features.new_empty(0, dtype=kind)

    def expected_signal(self, features: Tensor, log_pi: Tensor, signal: Tensor) -> Tensor:
        """sum_w pi(w) S(w) [P] of pi = softmax(z) [P, V], with the gradient that pi has.

        log_pi [P, V], without gradient; signal S [P, V], without gradient: it is overwritten
        """
        found: Tensor = ExpectedSignal.apply(  # type: ignore[no-untyped-call]
            features, self.weight, self.offsets(), log_pi, signal, product_type(features)
        )
        return found

    def spread(self, features: Tensor) -> Tensor:
        """sum_w (z_w - mean_w z)^2 [P] of features [P, H].

        With C the rows [E b] less their mean it is [f 1] C^T C [f 1]^T: a matrix of H + 1 rows
        takes the place of V numbers a token.
        """
        with torch.autocast(features.device.type, enabled=False):  # or C^T C is in half
            rows = torch.cat([self.weight, self.offsets().unsqueeze(1)], dim=1)
            centred = rows - rows.mean(0)
            ones = rows.new_ones(len(features), 1)
            extended = torch.cat([features.to(rows.dtype), ones], dim=1)
            found: Tensor = torch.linalg.vecdot(extended @ (centred.T @ centred), extended)
        return found


class LogProbs(torch.autograd.Function):
    """log softmax(E f + b)_w of P features and words, keeping e = exp(z - max z) alone of [P, V].

    Let g be the results' gradient. That of z is g (1_w - e / sum e), so that

        df = g E_w - h (e E),    dE = sum of 1_w g f - e^T (h f),    db = sum of 1_w g - e^T h

    with h = g / sum e: two products of matrices, and no other pass over e. Where e is too large to
    be kept it is made again, a part at a time.
    """

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor,
        words: Tensor,
        kind: torch.dtype,
        entropies: bool,
    ) -> tuple[Tensor, Tensor]:
        wanted = any(ctx.needs_input_grad)
        size, single = len(weight), torch.promote_types(kind, torch.float32)
        inputs, matrix, offsets = features.to(kind), weight.to(kind), bias.to(kind)
        tops = inputs.new_empty(len(words), dtype=single)
        sums, own, entropy = (torch.empty_like(tops) for _ in range(3))
        keeps = wanted and len(words) * size <= KEPT
        kept = inputs.new_empty(len(words) if keeps else 0, size)
        for part in parts(len(words), AT_ONCE // size):
            z = torch.addmm(offsets, inputs[part], matrix.T).to(single)
            torch.amax(z, 1, out=tops[part])
            z -= tops[part].unsqueeze(1)
            own[part] = z.gather(1, words[part].unsqueeze(1)).squeeze(1)
            direct = keeps and kept.dtype == single
            e = torch.exp(z, out=kept[part]) if direct else z.exp()
            if keeps and not direct:
                kept[part] = e
            torch.sum(e, 1, out=sums[part])
            if entropies:
                entropy[part] = torch.linalg.vecdot(e, z)
        if wanted:
            ctx.save_for_backward(inputs, matrix, offsets, words, tops, sums, kept)
            ctx.keeps, ctx.kinds = keeps, (features.dtype, weight.dtype, bias.dtype)
        log_sums = sums.log()
        entropy = log_sums - entropy / sums if entropies else entropy[:0]
        ctx.mark_non_differentiable(entropy)
        return own - log_sums, entropy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slopes: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        inputs, matrix, offsets, words, tops, sums, kept = ctx.saved_tensors
        of_features, of_weight, of_bias = ctx.needs_input_grad[:3]
        g, h = (v.to(inputs.dtype).unsqueeze(1) for v in (slopes, slopes / sums))
        for_features = g * matrix[words] if of_features else None
        for_weight = torch.zeros_like(matrix).index_add_(0, words, g * inputs)
        for_bias = torch.zeros_like(offsets).index_add_(0, words, g.squeeze(1))
        rows = len(words) if ctx.keeps else KEPT // len(matrix)
        for part in parts(len(words), rows):
            if ctx.keeps:
                e = kept[part]
            else:
                z = torch.addmm(offsets, inputs[part], matrix.T).to(tops.dtype)
                e = (z - tops[part].unsqueeze(1)).exp_().to(inputs.dtype)
            if for_features is not None:
                for_features[part] -= h[part] * (e @ matrix)
            if of_weight:
                for_weight.addmm_(e.T, h[part] * inputs[part], alpha=-1)
            if of_bias:
                for_bias.addmv_(e.T, h[part].squeeze(1), alpha=-1)
        found = (for_features, for_weight if of_weight else None, for_bias if of_bias else None)
        kinds = zip(found, ctx.kinds, strict=True)
        return (*(None if v is None else v.to(kind) for v, kind in kinds), None, None, None)


class ExpectedSignal(torch.autograd.Function):
    """s = sum_w pi(w) S(w) at P tokens, pi = softmax(E f + b) given.

    With g the results' gradient that of z is g G, G = pi (S - s), so that

        df = g (G E),    dE = G^T (g f),    db = G^T g.
    """

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor,
        log_pi: Tensor,
        signal: Tensor,
        kind: torch.dtype,
    ) -> Tensor:
        found = signal.new_empty(len(signal))
        for part in parts(len(signal), AT_ONCE // len(weight)):
            pi, own = log_pi[part].exp(), signal[part]
            found[part] = torch.linalg.vecdot(pi, own)
            own.sub_(found[part].unsqueeze(1)).mul_(pi)
        ctx.save_for_backward(features.to(kind), weight.to(kind), signal.to(kind))
        ctx.kinds = features.dtype, weight.dtype, bias.dtype
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        features, weight, slopes = ctx.saved_tensors
        g = g.to(features.dtype).unsqueeze(1)
        found: tuple[Tensor, ...] = (
            (slopes @ weight) * g,
            slopes.T @ (features * g),
            (slopes.T @ g).squeeze(1),
        )
        kinds = zip(found, ctx.kinds, strict=True)
        return (*(v.to(kind) for v, kind in kinds), None, None, None)


def product_type(features: Tensor) -> torch.dtype:
    """What products of matrices are computed in here: autocast's type, or the features'."""
    device = features.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return features.dtype


def parts(count: int, rows: int) -> Iterator[slice]:
    """Consecutive slices of at most `rows`, but at least one, that cover `count`."""
    rows = max(1, rows)
    for start in range(0, count, rows):
        yield slice(start, min(start + rows, count))
