"""Our own dropout: the law of its noise."""

from __future__ import annotations

import pytest
import torch

from seqrl.models.dropout import Dropout


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
def test_numbers_are_zero_with_probability_p_and_else_larger(p: float) -> None:
    torch.manual_seed(0)
    values = torch.full((1000, 1001), 2.0)  # no multiple of four
    found = Dropout(p)(values)
    kept = found != 0
    deviation = (p * (1 - p) / values.numel()) ** 0.5
    assert (~kept).double().mean().item() == pytest.approx(p, abs=4 * deviation)
    assert found[kept].unique().tolist() == pytest.approx([2 / (1 - p)], rel=1e-4)
    for part in range(4):  # of the sixteen bits that one draw gives to each of four
        share = (~kept).flatten()[part::4].double().mean().item()
        assert share == pytest.approx(p, abs=8 * deviation)


def test_neighbours_are_independent() -> None:
    torch.manual_seed(1)
    kept = (Dropout(0.5)(torch.ones(400_000)) != 0).double() * 2 - 1
    for distance in (1, 2, 3, 4, 8):
        product = (kept[distance:] * kept[:-distance]).mean().item()
        assert product == pytest.approx(0, abs=4 / 400_000**0.5)


def test_gradients_flow_where_numbers_were_kept() -> None:
    torch.manual_seed(0)
    values = torch.randn(50, dtype=torch.float64, requires_grad=True)
    found = Dropout(0.4)(values)
    (slope,) = torch.autograd.grad(found.sum(), values)
    torch.testing.assert_close(slope * values, found)
    assert found.dtype == torch.float64


def test_the_seed_decides() -> None:
    def drawn(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        found: torch.Tensor = Dropout(0.5)(torch.ones(100))
        return found

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_nothing_is_dropped_outside_of_training_or_with_probability_zero() -> None:
    values = torch.randn(100)
    assert torch.equal(Dropout(0.5).eval()(values), values)
    assert torch.equal(Dropout(0.0)(values), values)
    assert not Dropout(0.999999)(values).isnan().any()
