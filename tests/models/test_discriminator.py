"""The convolutional discriminator: by hand, padded, and with sources."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import pad

from seqrl.models.discriminator import CNNDiscriminator, Windows
from tabular import EOS, SPECIALS, batch_of, seeded


def discriminator(**options: Any) -> CNNDiscriminator:
    torch.manual_seed(0)
    small = {"embedding": 3, "windows": [1, 2, 5], "filters": [4, 3, 2]}
    sizes = {"source_size": 10, "target_size": 10, "specials": SPECIALS}
    return CNNDiscriminator(**(sizes | small | options)).double().eval()  # type: ignore[arg-type]


def test_features_are_the_best_windows() -> None:
    """One filter of width 2 over one number a word: relu(w1 e_i + w2 e_{i+1} + b)."""
    windows = Windows(6, 1, [2], [1]).double()
    windows.embedding.weight.data = torch.tensor([[9.0], [0], [0], [1], [2], [-3]]).double()
    convolution = windows.convolutions[0]
    convolution.weight.data = torch.tensor([[[1.0, -2.0]]]).double()
    convolution.bias.data = torch.tensor([0.5]).double()
    tokens = torch.tensor([[4, 5, 3, 0], [3, 4, 0, 0], [5, 0, 0, 0], [4, 5, 4, 5]])
    found = windows(tokens, tokens > 0)
    # 2 + 6, then -3 - 2: 8.5;  1 - 4: 0;  -3 and nothing: 0;  8, -7, 8: 8.5
    assert found.tolist() == [[8.5], [0.0], [0.0], [8.5]]


def test_a_wide_window_sees_a_short_sequence_from_its_start() -> None:
    windows = Windows(6, 1, [3], [1]).double()
    windows.embedding.weight.data = torch.tensor([[9.0], [0], [0], [1], [2], [-3]]).double()
    windows.convolutions[0].weight.data = torch.tensor([[[1.0, 10.0, 100.0]]]).double()
    windows.convolutions[0].bias.data = torch.tensor([0.0]).double()
    tokens = torch.tensor([[4, 3]])
    assert windows(tokens, tokens > 0).tolist() == [[12.0]]


@pytest.mark.parametrize("conditional", [False, True])
def test_padding_and_company_change_nothing(conditional: bool) -> None:
    network = discriminator(conditional=conditional)
    batch = batch_of([(4, 5, EOS), (5, 6, 4, 6, 6, 7, EOS), (EOS,)])
    logits = network(batch.target, batch.target_mask, network.read(batch))
    for n in range(3):
        alone = batch.select(torch.tensor([n]))
        width = int(alone.target_mask.sum())
        tokens, mask = alone.target[:, :width], alone.target_mask[:, :width]
        assert torch.allclose(network(tokens, mask, network.read(alone)), logits[n], atol=1e-12)
        tokens, mask = pad(tokens, (0, 4)), pad(mask, (0, 4))
        assert torch.allclose(network(tokens, mask, network.read(alone)), logits[n], atol=1e-12)


def test_the_logit_is_a_highway_layer_of_the_features() -> None:
    """g relu(W_H f + b_H) + (1 - g) f, g = sigma(W_T f + b_T), then a unit."""
    network = discriminator(conditional=False)
    tokens = torch.randint(4, 9, (5, 8), generator=seeded(1))
    mask = torch.ones_like(tokens, dtype=torch.bool)
    f = network.target(tokens, mask)
    g = 1 / (1 + (-(f @ network.gate.weight.T + network.gate.bias)).exp())
    h = g * (f @ network.candidate.weight.T + network.candidate.bias).clamp(min=0) + (1 - g) * f
    expected = h @ network.output.weight[0] + network.output.bias
    assert torch.allclose(network(tokens, mask, None), expected, atol=1e-12)
    assert network.gate.bias.abs().max() == 0


def test_the_judgement_depends_on_the_source_where_it_is_seen() -> None:
    batch = batch_of([(4, 5, EOS), (4, 5, EOS)])  # of two sources
    network = discriminator(conditional=True)
    one, other = network(batch.target, batch.target_mask, network.read(batch)).tolist()
    assert one != other
    network = discriminator(conditional=False)
    assert network.read(batch) is None
    one, other = network(batch.target, batch.target_mask, None).tolist()
    assert one == other


def test_weights_are_drawn_as_published() -> None:
    network = discriminator(embedding=64, windows=[2], filters=[100], target_size=2000)
    assert network.target.embedding.weight.abs().max() <= 1
    assert abs(float(network.target.embedding.weight.detach().var()) - 1 / 3) < 0.01
    weight = network.target.convolutions[0].weight
    assert float(weight.detach().abs().max()) <= 0.2
    assert torch.equal(network.target.convolutions[0].bias, torch.full((100,), 0.1).double())
