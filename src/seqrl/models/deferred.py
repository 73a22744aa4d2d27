"""A linear map that a loop uses at every step: the gradient of its weight is one product."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Pairs = list[tuple[Tensor, Tensor]]
"""Inputs of steps, and the gradients of their outputs."""


class Deferred:
    """x -> x W^T for the steps of one loop.

    Ordinary differentiation makes the gradient sum_t g_t^T x_t of W [out, in] a step at a time,
    each time going over all of W; here the steps' rows are put together first.
    """

    def __init__(self, weight: Tensor) -> None:
        self.pairs: Pairs = []
        self.weight: Tensor = Collect.apply(weight, self.pairs)  # type: ignore[no-untyped-call]

    def __call__(self, inputs: Tensor) -> Tensor:
        found: Tensor = Use.apply(inputs, self.weight, self.pairs)  # type: ignore[no-untyped-call]
        return found


class Collect(torch.autograd.Function):
    """W itself; on the way back it is reached when all steps have left their pairs."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, pairs: Pairs) -> Tensor:
        ctx.pairs = pairs
        return weight.view_as(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor) -> tuple[Tensor, None]:
        inputs, slopes = (torch.cat(part) for part in zip(*ctx.pairs, strict=True))
        ctx.pairs.clear()
        return slopes.T @ inputs, None


class Use(torch.autograd.Function):
    """x W^T of one step."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, pairs: Pairs) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        ctx.pairs = pairs
        return inputs @ weight.T

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor | None, None, None]:
        inputs, weight = ctx.saved_tensors
        if ctx.needs_input_grad[1]:
            ctx.pairs.append((inputs, slopes))
        return (slopes @ weight if ctx.needs_input_grad[0] else None), None, None
