"""LSTM layers: one step of several, and a bidirectional one over sequences of different lengths."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import _VF, Tensor, nn

# cuDNN copies the weights below into one block at every call, which costs little, and says so
warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous")

HOLD = 1e4
"""What is added to the gates of an encoder at padding: they are then exactly closed or open."""


def bidirectional(layer: nn.LSTM, inputs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A bidirectional layer over inputs [B, S, E] that are tokens where `mask` [B, S] is true.

    Outputs [B, S, H], which mean nothing at padding, and the states [B, H], hidden and cell, in
    which each direction left the last token that it read.

    Padding holds the cell: one more input, 1 there and 0 at tokens, shuts the input gate and opens
    the forget gate, so that c_s = 1 c_s-1 + 0 exactly, whichever direction comes from. A packed
    sequence says the same to the library, which then computes step by step.
    """
    half = layer.hidden_size
    holding = inputs.new_zeros(4 * half, 1)
    holding[:half], holding[half : 2 * half] = -HOLD, HOLD  # of the gates i, f, g, o
    weights = [
        weight
        for w_input, w_hidden, b_input, b_hidden in layer.all_weights
        for weight in (torch.cat([w_input, holding], dim=1), w_hidden, b_input, b_hidden)
    ]
    padding = (~mask).unsqueeze(-1).to(inputs.dtype)
    zeros = inputs.new_zeros(2, len(inputs), half)
    outputs, hidden, cell = _VF.lstm(
        torch.cat([inputs, padding], dim=-1),
        (zeros, zeros),
        weights,
        True,  # biases
        1,  # layers
        0.0,  # dropout
        layer.training,
        True,  # both directions
        True,  # batch first
    )
    last = (mask.sum(1) - 1).clamp(min=0)
    forward = outputs[torch.arange(len(last), device=last.device), last, :half]
    return outputs, torch.cat([forward, hidden[1]], dim=-1), torch.cat([cell[0], cell[1]], dim=-1)


States = tuple[Tensor, ...]


def stepped(
    layers: Iterable[nn.Module],
    values: Tensor,
    hidden: Sequence[Tensor],
    cell: Sequence[Tensor],
    dropout: Callable[[Tensor], Tensor],
) -> tuple[Tensor, States, States]:
    """One step of layers above each other, with dropout between them.

    From inputs [N, E] and the states [N, H] of each layer: the last one's output [N, H], and all
    hidden and cell states.
    """
    states: list[tuple[Tensor, Tensor]] = []
    for depth, layer in enumerate(layers):
        assert isinstance(layer, nn.LSTM)
        before = hidden[depth], cell[depth]
        inputs = dropout(values) if depth else values
        values, c = torch.lstm_cell(inputs, before, *layer.all_weights[0])
        states.append((values, c))
    return values, tuple(h for h, _ in states), tuple(c for _, c in states)
