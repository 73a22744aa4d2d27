"""Stored weights: each tensor once; what was tied is tied after loading."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from networks import lstm, transformer
from seqrl.models.weights import load_stored, stored_weights
from seqrl.training.checkpoint import load_weights, save_weights

NAMES = ["source_embedding.weight", "target_embedding.weight", "output.weight"]
TIED = {None: [], "target": NAMES[1:], "all": NAMES}


def network(tied: str | None, seed: int = 0) -> nn.Module:
    return transformer(seed=seed, tied=tied, target_size=10)


def written(path: Path, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    save_weights(path / "weights.safetensors", weights)
    return load_weights(path / "weights.safetensors")


@pytest.mark.parametrize("tied", TIED)
@pytest.mark.parametrize("whole", [False, True])
def test_files_with_each_tensor_once_or_under_every_name_load_alike(
    tied: str | None, whole: bool, tmp_path: Path
) -> None:
    model, other = network(tied), network(tied, seed=5)
    file = written(tmp_path, model.state_dict() if whole else stored_weights(model))
    missing = [] if whole else TIED[tied][1:]
    assert model.state_dict().keys() - file.keys() == set(missing)
    if not whole:
        numbers = sum(parameter.numel() for parameter in model.parameters())
        assert sum(tensor.numel() for tensor in file.values()) == numbers
    load_stored(other, file)
    pairs = zip(other.state_dict().values(), model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    places = {other.get_parameter(name).data_ptr() for name in TIED[tied]}
    assert len(places) == bool(tied)


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_tied_tensor_stands_for_all(name: str) -> None:
    model, other = network("all"), network("all", seed=5)
    weights = {k: v for k, v in model.state_dict().items() if k not in NAMES or k == name}
    load_stored(other, weights)
    assert torch.equal(other.get_parameter(NAMES[0]), model.get_parameter(NAMES[0]))


def test_what_is_missing_or_unknown_is_refused() -> None:
    stored = stored_weights(network("target"))
    for name in ("source_embedding.weight", "target_embedding.weight", "encoder_norm.bias"):
        without = {k: v for k, v in stored.items() if k != name}
        with pytest.raises(RuntimeError, match=f"Missing key.*{name}"):
            load_stored(network("target"), without)
    with pytest.raises(RuntimeError, match=r"Missing key.*output\.weight"):
        load_stored(network(None), stored)
    with pytest.raises(RuntimeError, match=r"Missing key.*target_embedding\.weight"):
        load_stored(network(None), stored_weights(network("all")))
    with pytest.raises(RuntimeError, match=r"Unexpected key.*extra"):
        load_stored(network("target"), stored | {"extra": torch.zeros(1)})


def test_weights_of_a_module_without_the_tie_are_refused() -> None:
    with pytest.raises(RuntimeError, match=r"target_embedding\.weight and output\.weight are one"):
        load_stored(network("target"), stored_weights(network(None)))


def test_only_a_whole_tensor_with_two_names_is_tied() -> None:
    """No values that are equal, no part of another, no transposed view, nothing that is empty."""
    module = nn.Module()
    table = torch.arange(4.0).reshape(2, 2)
    tensors = {
        "table": table,
        "equal": table.clone(),
        "row": table[0],
        "transposed": table.t(),
        "none": torch.zeros(0),
        "nothing": torch.zeros(0),
        "again": table,
    }
    for name, tensor in tensors.items():
        module.register_buffer(name, tensor)
    assert list(stored_weights(module)) == [name for name in tensors if name != "again"]


def test_a_network_without_ties_is_stored_as_it_is() -> None:
    assert stored_weights(lstm()).keys() == lstm().state_dict().keys()
    with torch.device("meta"):
        assert stored_weights(lstm()).keys() == lstm().state_dict().keys()
