"""JoeyNMT's recurrent model behind a pipe, in an environment of its own: see `peers.py`.

Reads a file of batches and sizes, then commands from standard input, a line each; answers each
with a line of JSON: `update I` trains on the batch I and gives the seconds that it took, `decode`
decodes the dev batches by beam search of 5 and gives the seconds and the number of tokens.
"""

from __future__ import annotations

import json
import sys
import time
from types import SimpleNamespace
from typing import Any

import torch
from joeynmt.batch import Batch
from joeynmt.model import build_model
from joeynmt.search import search
from joeynmt.vocabulary import Vocabulary

UNK, PAD, BOS, EOS = range(4)
SPECIALS = SimpleNamespace(
    unk_token="<unk>", pad_token="<pad>", bos_token="<s>", eos_token="</s>", sep_token=None,
    unk_id=UNK, pad_id=PAD, bos_id=BOS, eos_id=EOS, sep_id=None, lang_tags=[],
)  # fmt: skip


def model_of(sizes: dict[str, int]) -> Any:
    """The paper's network with input feeding, as JoeyNMT has it."""
    recurrent = {"type": "recurrent", "rnn_type": "lstm", "num_layers": 1, "dropout": 0.0}
    embeddings = {"embedding_dim": sizes["embedding"], "dropout": 0.0}
    half = {"hidden_size": sizes["hidden"] // 2, "bidirectional": True, "embeddings": embeddings}
    decoder = {
        "hidden_size": sizes["hidden"], "embeddings": embeddings, "attention": "luong",
        "hidden_dropout": 0.3, "input_feeding": True, "init_hidden": "last",
    }  # fmt: skip
    config = {
        "initializer": "uniform", "init_weight": 0.1, "bias_initializer": "uniform",
        "embed_initializer": "uniform", "embed_init_weight": 0.1,
        "encoder": recurrent | half, "decoder": recurrent | decoder,
    }  # fmt: skip
    vocabularies = [
        Vocabulary([f"w{i}" for i in range(sizes[side] - 4)], SPECIALS)
        for side in ("source", "target")
    ]
    model = build_model(config, *vocabularies)
    model.loss_function = ("crossentropy", 0.0)
    return model


def batch_of(source: torch.Tensor, target: torch.Tensor | None) -> Batch:
    return Batch(
        src=source, src_length=(source != PAD).sum(1), src_prompt_mask=None, trg=target,
        trg_prompt_mask=None, indices=torch.arange(len(source)), device=torch.device("cpu"),
        pad_index=PAD, eos_index=EOS, is_train=target is not None,
    )  # fmt: skip


def update(model: Any, optimizer: torch.optim.Optimizer, pair: Any) -> float:
    began = time.perf_counter()
    model.train()
    batch = batch_of(*pair)
    batch.sort_by_src_length()
    loss, *_ = model(return_type="loss", **vars(batch))
    batch.normalize(loss, normalization="batch").backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    optimizer.zero_grad()
    return time.perf_counter() - began


def decode(model: Any, sources: list[torch.Tensor]) -> dict[str, float]:
    began, tokens = time.perf_counter(), 0
    model.eval()
    for source in sources:
        batch = batch_of(source, None)
        batch.sort_by_src_length()
        found, *_ = search(model, batch, max_output_length=100, beam_size=5, beam_alpha=0.0)
        tokens += int((found != PAD).sum())
    return {"seconds": time.perf_counter() - began, "tokens": tokens}


def main() -> None:
    given = torch.load(sys.argv[1])
    torch.manual_seed(1)
    model = model_of(given["sizes"])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
    for line in sys.stdin:
        command, *number = line.split()
        if command == "update":
            pairs = given["train"]
            answer: Any = {"seconds": update(model, optimizer, pairs[int(number[0]) % len(pairs)])}
        else:
            answer = decode(model, given["dev"])
        print("answer", json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
