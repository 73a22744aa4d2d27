"""Small networks of every kind, for tests of what all of them must do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from seqrl.models.base import Policy
from seqrl.models.lstm import LSTM
from seqrl.models.transformer import Transformer
from tabular import SPECIALS

SIZES = {"source_size": 10, "target_size": 11, "specials": SPECIALS}


def lstm(seed: int = 0, **options: Any) -> LSTM:
    torch.manual_seed(seed)
    return LSTM(**(SIZES | {"embedding": 6, "hidden": 8, "init": 0.7} | options))


def transformer(seed: int = 0, **options: Any) -> Transformer:
    torch.manual_seed(seed)
    return Transformer(**(SIZES | {"hidden": 8, "inner": 12, "heads": 2, "layers": 2} | options))


Make = Callable[..., Policy[Any, Any]]
NETWORKS: dict[str, Make] = {"lstm": lstm, "transformer": transformer}
