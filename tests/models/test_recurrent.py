"""A bidirectional layer whose padding holds the cell, against the library's packed sequences."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqrl.models.recurrent import bidirectional

LENGTHS = torch.tensor([4, 1, 6, 3, 6])
MASK = torch.arange(6) < LENGTHS.unsqueeze(1)


def packed(layer: nn.LSTM, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    sequence = pack_padded_sequence(inputs, LENGTHS, batch_first=True, enforce_sorted=False)
    outputs, (h, c) = layer(sequence)
    outputs, _ = pad_packed_sequence(outputs, batch_first=True, total_length=6)
    return outputs, torch.cat([h[0], h[1]], -1), torch.cat([c[0], c[1]], -1)


def gradients(found: tuple[Tensor, ...], layer: nn.LSTM, inputs: Tensor) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    total = sum((v * torch.randn(v.shape, generator=generator, dtype=v.dtype)).sum() for v in found)
    assert isinstance(total, Tensor)
    return list(torch.autograd.grad(total, [inputs, *layer.parameters()]))


@pytest.mark.parametrize("kind", [torch.float64, torch.float32])
def test_outputs_states_and_gradients_are_those_of_packed_sequences(kind: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = nn.LSTM(5, 3, bidirectional=True, batch_first=True).to(kind)
    inputs = torch.randn(5, 6, 5, dtype=kind, requires_grad=True)
    found, expected = bidirectional(layer, inputs, MASK), packed(layer, inputs)
    masked = torch.where(MASK.unsqueeze(-1), found[0], 0.0)
    tolerance = 1e-12 if kind == torch.float64 else 1e-5
    for one, other in zip((masked, *found[1:]), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=tolerance)
    ours = gradients((masked, *found[1:]), layer, inputs)
    for one, other in zip(ours, gradients(expected, layer, inputs), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=10 * tolerance)


@pytest.mark.parametrize("large", [1.0, 100.0])
def test_what_stands_at_padding_changes_nothing_to_the_bit(large: float) -> None:
    torch.manual_seed(0)
    layer = nn.LSTM(5, 3, bidirectional=True, batch_first=True)
    inputs = torch.randn(5, 6, 5)
    other = torch.where(MASK.unsqueeze(-1), inputs, large * torch.randn(5, 6, 5))
    found, expected = bidirectional(layer, other, MASK), bidirectional(layer, inputs, MASK)
    assert torch.equal(found[0][MASK], expected[0][MASK])
    assert torch.equal(found[1], expected[1])
    assert torch.equal(found[2], expected[2])


def test_a_row_without_tokens_has_zero_states() -> None:
    layer = nn.LSTM(5, 3, bidirectional=True, batch_first=True)
    _, hidden, cell = bidirectional(layer, torch.randn(2, 4, 5), torch.zeros(2, 4).bool())
    assert not hidden.any()
    assert not cell.any()
