"""Small networks of every kind, for tests of what all of them must do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from seqrl.models.base import Policy
from seqrl.models.language_model import LanguageModel
from seqrl.models.lstm import LSTM
from seqrl.models.pretrained import Pretrained
from seqrl.models.transformer import Transformer
from tabular import SPECIALS

SIZES = {"source_size": 10, "target_size": 11, "specials": SPECIALS}


def lstm(seed: int = 0, **options: Any) -> LSTM:
    torch.manual_seed(seed)
    return LSTM(**(SIZES | {"embedding": 6, "hidden": 8, "init": 0.7} | options))


def transformer(seed: int = 0, **options: Any) -> Transformer:
    torch.manual_seed(seed)
    return Transformer(**(SIZES | {"hidden": 8, "inner": 12, "heads": 2, "layers": 2} | options))


def language_model(seed: int = 0, **options: Any) -> LanguageModel:
    torch.manual_seed(seed)
    return LanguageModel(**(SIZES | {"embedding": 6, "hidden": 8, "init": 0.7} | options))


SMALL = {
    "marian": {
        "d_model": 8, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 12,
        "decoder_ffn_dim": 12, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
        "vocab_size": 11, "decoder_vocab_size": 11, "max_position_embeddings": 48,
        "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 3, "init_std": 0.7,
    },
    "t5": {
        "d_model": 8, "d_kv": 4, "d_ff": 12, "num_layers": 2, "num_heads": 2, "vocab_size": 11,
        "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 3,
        "initializer_factor": 2.0,
    },
    "bart": {
        "d_model": 8, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 12,
        "decoder_ffn_dim": 12, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
        "vocab_size": 11, "max_position_embeddings": 48, "init_std": 0.7,
        "decoder_start_token_id": 3, "bos_token_id": 2, "pad_token_id": 0, "eos_token_id": 3,
    },
}  # fmt: skip
"""Architectures of the `transformers` library, as small as they can be."""


def pretrained(seed: int = 0, kind: str = "marian", **options: Any) -> Pretrained:
    """BART reads two tokens in place of BOS, as its checkpoints for summaries do."""
    torch.manual_seed(seed)
    own = SIZES | {"first": [3, 2] if kind == "bart" else None} | options
    words = max(own["source_size"], own["target_size"])
    sizes = {name: words for name in SMALL[kind] if name.endswith("vocab_size")}
    return Pretrained(**({"architecture": {"model_type": kind, **SMALL[kind], **sizes}} | own))


Make = Callable[..., Policy[Any, Any]]
NETWORKS: dict[str, Make] = {"lstm": lstm, "transformer": transformer}
"""Our own."""

EVERY_NETWORK = NETWORKS | {kind: partial(pretrained, kind=kind) for kind in SMALL}
