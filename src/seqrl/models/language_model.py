"""A recurrent network that writes without reading anything: the generator of Yu et al. (2017).

    h_t, c_t = LSTM(e(y_{t-1}), h_{t-1}, c_{t-1}),      p(y_t | y_<t) = softmax(E dropout(h_t) + b)

from zero states. With a fixed length T it writes T words and then EOS, with probability one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from seqrl.models.dropout import Dropout
from seqrl.models.projected import Projected
from seqrl.models.projection import BARRED, Projection
from seqrl.models.recurrent import stepped
from seqrl.ranges import require
from seqrl.types import Specials, at, token_places


@dataclass(frozen=True)
class NoMemory:
    """Of B sequences that depend on no source. rows [B]"""

    rows: Tensor

    def select(self, rows: Tensor) -> NoMemory:
        return NoMemory(self.rows[rows])


@dataclass(frozen=True)
class LanguageState:
    """hidden, cell [N, H] of every layer; written [N], the words before."""

    hidden: tuple[Tensor, ...]
    cell: tuple[Tensor, ...]
    written: Tensor

    def select(self, rows: Tensor) -> LanguageState:
        return LanguageState(
            tuple(h[rows] for h in self.hidden),
            tuple(c[rows] for c in self.cell),
            self.written[rows],
        )


class EosWhenDue(nn.Module):
    """Makes the last column of a weight [V, H + 1] one that decides where EOS stands.

    The feature that it is multiplied by is 1 where EOS is due, and EOS's bias is `BARRED`: where it
    is due its logit is 0 and all others have `BARRED` more, elsewhere it is no action.
    """

    def __init__(self, eos: int) -> None:
        super().__init__()
        self.eos = eos

    def forward(self, weight: Tensor) -> Tensor:
        column = torch.full_like(weight[:, :1], BARRED)
        column[self.eos] = -BARRED
        return torch.cat([weight[:, :-1], column], dim=1)


class LanguageModel(Projected[NoMemory, LanguageState]):
    """The network described at the head of this file. Its source is not looked at.

    embedding, hidden  units
    layers             LSTMs above each other
    length             T, words of every output; None: it ends when it writes EOS
    bar_specials       whether padding and BOS are no actions; with a fixed length the unknown
                       word is none either, whatever this says
    dropout            on h, and between layers
    init               weights are drawn from N(0, init^2), as published, biases are zero

    With a fixed length there is one feature more, see `EosWhenDue`.
    """

    def __init__(
        self,
        *,
        source_size: int,
        target_size: int,
        specials: Specials,
        embedding: int = 32,
        hidden: int = 32,
        layers: int = 1,
        length: int | None = None,
        bar_specials: bool = True,
        dropout: float = 0.0,
        init: float = 0.1,
    ) -> None:
        super().__init__()
        require(embedding >= 1, f"embedding must be at least 1, not {embedding}")
        require(hidden >= 1, f"hidden must be at least 1, not {hidden}")
        require(layers >= 1, f"layers must be at least 1, not {layers}")
        require(length is None or length >= 1, f"length must be at least 1, not {length}")
        require(0 <= dropout < 1, f"dropout must lie in [0, 1), not {dropout}")
        require(init > 0, f"init must be positive, not {init}")
        self.specials = specials
        self.target_size = target_size
        self.length = length
        self.hidden = hidden
        self.feature_size = hidden + (length is not None)
        self.embedding = nn.Embedding(target_size, embedding)
        self.layers = nn.ModuleList(
            nn.LSTM(size, hidden, batch_first=True)
            for size in [embedding] + [hidden] * (layers - 1)
        )
        barred = {*specials.no_actions} if bar_specials else set()
        if length is not None:
            barred |= {specials.unk, specials.eos}
        self.output = Projection(self.feature_size, target_size, sorted(barred))
        if length is not None:
            parametrize.register_parametrization(self.output, "weight", EosWhenDue(specials.eos))
        self.dropout = Dropout(dropout)
        for name, parameter in self.named_parameters():
            if "bias" in name:
                nn.init.zeros_(parameter)
            else:
                nn.init.normal_(parameter, std=init)

    def encode(self, source: Tensor, mask: Tensor) -> NoMemory:
        return NoMemory(torch.arange(len(source), device=source.device))

    def features(self, memory: NoMemory, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        values = self.embedding(inputs)
        for depth, layer in enumerate(self.layers):
            values, _ = layer(self.dropout(values) if depth else values)
        places = torch.arange(inputs.shape[1], device=inputs.device).expand_as(inputs)
        found = self._marked(self.dropout(values), places)
        return found if mask is None else at(token_places(mask), found)

    def start(self, memory: NoMemory) -> LanguageState:
        rows, like = len(memory.rows), self.embedding.weight
        zeros = tuple(like.new_zeros(rows, self.hidden) for _ in self.layers)
        return LanguageState(zeros, zeros, torch.zeros_like(memory.rows))

    def step(
        self, memory: NoMemory, state: LanguageState, token: Tensor
    ) -> tuple[Tensor, LanguageState]:
        values, hidden, cell = stepped(
            self.layers, self.embedding(token), state.hidden, state.cell, self.dropout
        )
        found = self._marked(self.dropout(values), state.written)
        return self.project(found), LanguageState(hidden, cell, state.written + 1)

    def _marked(self, values: Tensor, places: Tensor) -> Tensor:
        """Values [..., H]; with a fixed length they are 0 where EOS is due, and say so behind."""
        if self.length is None:
            return values
        due = (places >= self.length).unsqueeze(-1).to(values.dtype)
        return torch.cat([values * (1 - due), due], dim=-1)
