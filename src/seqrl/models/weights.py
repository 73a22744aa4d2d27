"""A network's weights as they are stored: tied tensors once, under the first of their names."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def stored_weights(module: nn.Module) -> dict[str, Tensor]:
    """The module's state, without the further names of tied tensors."""
    state = module.state_dict()
    further = {name for names in _tied(module) for name in names[1:]}
    return {name: tensor for name, tensor in state.items() if name not in further}


def load_stored(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load what `stored_weights` gave, or a whole state; what is tied stays so.

    RuntimeError where names are missing or unknown, where shapes differ, and where the names of
    one tied tensor have different values: these are of a module without the tie.
    """
    whole = dict(weights)
    for names in _tied(module):
        given = [name for name in names if name in weights]
        for name in given[1:]:
            if not torch.equal(weights[name], weights[given[0]]):
                raise RuntimeError(f"{given[0]} and {name} are one tensor here and two there")
        whole.update((name, weights[given[0]]) for name in names if given)
    module.load_state_dict(whole)


def _tied(module: nn.Module) -> list[list[str]]:
    """The names of each tensor of the state that has several, in the state's order."""
    names: dict[object, list[str]] = {}
    for name, tensor in module.state_dict().items():
        if tensor.data_ptr():  # empty tensors, and those of no device, lie nowhere
            place = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, tensor.device)
            names.setdefault(place, []).append(name)
    return [several for several in names.values() if len(several) > 1]
