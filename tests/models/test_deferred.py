"""A shared linear map whose weight's gradient waits, and the input-fed decoder that uses it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from seqrl.models.deferred import Deferred
from seqrl.models.lstm import LSTM
from seqrl.models.recurrent import next_state
from seqrl.types import Specials

SPECIALS = Specials(0, 1, 2, 3)


def looped(add_up: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    values, total = inputs, torch.zeros(())
    for step in range(4):
        values = torch.tanh(add_up(values)) + inputs * step
        total = total + values.square().sum()
    return total


def test_gradients_are_those_of_the_plain_map() -> None:
    torch.manual_seed(0)
    weight = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    inputs = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    deferred = looped(Deferred(weight), inputs)
    plain = looped(lambda x: x @ weight.T, inputs)
    assert deferred.item() == plain.item()
    for found, expected in zip(
        torch.autograd.grad(deferred, [weight, inputs]),
        torch.autograd.grad(plain, [weight, inputs]),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_a_second_way_back_starts_anew() -> None:
    weight, inputs = torch.randn(3, 3, requires_grad=True), torch.randn(5, 3)
    total = looped(Deferred(weight), inputs)
    first = torch.autograd.grad(total, weight, retain_graph=True)[0]
    assert torch.equal(torch.autograd.grad(total, weight)[0], first)


def test_a_frozen_weight_keeps_nothing() -> None:
    weight, inputs = torch.randn(3, 3), torch.randn(5, 3, requires_grad=True)
    deferred = Deferred(weight)
    looped(deferred, inputs).backward()
    assert inputs.grad is not None
    assert not deferred.pairs


def test_a_step_of_the_gates_is_the_librarys() -> None:
    cell = torch.nn.LSTMCell(3, 4).double()
    x, h, c = (torch.randn(5, n, dtype=torch.float64) for n in (3, 4, 4))
    gates = x @ cell.weight_ih.T + h @ cell.weight_hh.T + cell.bias_ih + cell.bias_hh
    torch.testing.assert_close(next_state(gates, c), tuple(cell(x, (h, c))), rtol=0, atol=1e-12)


@pytest.mark.parametrize("attention", ["dot", "mlp"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bias", [False, True])
def test_gradients_with_input_feeding_are_those_of_steps(
    attention: str, layers: int, bias: bool
) -> None:
    torch.manual_seed(0)
    model = LSTM(
        source_size=9, target_size=8, specials=SPECIALS, embedding=6, hidden=4, layers=layers,
        attention=attention, attention_bias=bias, input_feeding=True, dropout=0.0,
    ).double()  # fmt: skip
    source, inputs = torch.tensor([[4, 5, 6], [7, 8, 0]]), torch.tensor([[2, 4, 5], [2, 6, 0]])
    weights = torch.randn(2, 3, 8, dtype=torch.float64)

    def gradients(stepped: bool) -> tuple[Tensor, ...]:
        memory = model.encode(source, source != 0)
        if stepped:
            state, parts = model.start(memory), []
            for token in inputs.unbind(1):
                logits, state = model.step(memory, state, token)
                parts.append(logits)
            found = torch.stack(parts, 1)
        else:
            found = model.logits(memory, inputs)
        return torch.autograd.grad((found * weights).sum(), list(model.parameters()))

    for found, expected in zip(gradients(False), gradients(True), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
