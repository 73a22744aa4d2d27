"""The recurrent encoder-decoder of Dai, Xie and Hovy (2018), sections 6.1 and appendix B.

Encoder: a bidirectional LSTM. Decoder: an LSTM that starts from the encoder's final states
and attends at every step,

    a_t = tanh(W [h_t ; c_t]),      c_t = sum_s alpha_ts m_s,
    logits_t = E dropout(a_t) + b,

with alpha_t = softmax over the source of h_t . m_s (`dot`) or of
v . tanh(W_h h_t + W_m m_s + b) (`mlp`). With input feeding the decoder reads a_{t-1}
beside the previous word (Luong et al. 2015, section 3.3).

The actor is the `dot` form without a bias in W; the critic the `mlp` form with it, with
references as its source and its logits as action values.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqrl.models.dropout import Dropout
from seqrl.models.energies import additive_energies
from seqrl.models.projected import Projected
from seqrl.models.projection import Projection
from seqrl.models.recurrent import bidirectional, stepped
from seqrl.ranges import require
from seqrl.types import Specials, at, token_places

ATTENTIONS = ("dot", "mlp")


@dataclass(frozen=True)
class LSTMMemory:
    """The encoded source of B sentences.

    values [B, S, H], keys [B, S, H] (what the attention compares with), mask [B, S];
    hidden, cell [B, L, H]: the decoder's first state.
    """

    values: Tensor
    keys: Tensor
    mask: Tensor
    hidden: Tensor
    cell: Tensor

    def select(self, rows: Tensor) -> LSTMMemory:
        values = self.values[rows]
        keys = values if self.keys is self.values else self.keys[rows]
        return LSTMMemory(values, keys, self.mask[rows], self.hidden[rows], self.cell[rows])


@dataclass(frozen=True)
class LSTMState:
    """hidden, cell [N, H] of every layer; fed [N, H], what input feeding hands on, if it does."""

    hidden: tuple[Tensor, ...]
    cell: tuple[Tensor, ...]
    fed: Tensor | None

    def select(self, rows: Tensor) -> LSTMState:
        return LSTMState(
            tuple(h[rows] for h in self.hidden),
            tuple(c[rows] for c in self.cell),
            None if self.fed is None else self.fed[rows],
        )


class Attention(nn.Module):
    """Weights over a memory, and the memory's mean under them."""

    def __init__(self, size: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        if kind == "mlp":
            self.query = nn.Linear(size, size)
            self.key = nn.Linear(size, size, bias=False)
            self.energy = nn.Linear(size, 1)

    def keys(self, values: Tensor) -> Tensor:
        """[B, S, H], computed once per source."""
        return self.key(values) if self.kind == "mlp" else values

    def forward(self, queries: Tensor, memory: LSTMMemory, places: Tensor | None = None) -> Tensor:
        """Contexts [N, T, H] of queries [N, T, H]; only those at `places` [P] mean something."""
        if self.kind == "mlp":
            scores = self._energies(queries, memory, places)
        else:
            scores = queries @ memory.keys.transpose(1, 2)  # [N, T, S]
        scores = scores.masked_fill(~memory.mask.unsqueeze(1), float("-inf"))
        return torch.softmax(scores, dim=-1) @ memory.values

    def _energies(self, queries: Tensor, memory: LSTMMemory, places: Tensor | None) -> Tensor:
        """v . tanh(W_h h + W_m m + b) [N, T, S], zero where nobody asks for them."""
        steps = queries.shape[1]
        asked = self.query(queries).flatten(0, 1)
        rows = torch.arange(len(queries), device=queries.device).repeat_interleave(steps)
        if places is not None:
            asked, rows = asked.index_select(0, places), rows.index_select(0, places)
        found = additive_energies(asked, memory.keys, self.energy.weight[0], rows)
        found = found + self.energy.bias
        if places is not None:
            everywhere = found.new_zeros(len(queries) * steps, found.shape[1])
            found = everywhere.index_copy(0, places, found)
        return found.view(len(queries), steps, -1)


class LSTM(Projected[LSTMMemory, LSTMState]):
    """The encoder-decoder described at the head of this file.

    embedding, hidden  units; each direction of the encoder has hidden / 2
    layers             of the encoder and of the decoder
    attention          `dot` or `mlp`
    attention_bias     whether W has a bias
    input_feeding      whether the decoder reads the previous attentional vector
    bar_specials       whether padding and BOS are no actions: a policy's probability of them
                       is zero. A critic must have values for all words, trained or not; without
                       the bar a full-vocabulary policy gradient chases its untrained ones
    dropout            on the attentional vector, and between layers
    init               every parameter starts uniform in [-init, init]
    """

    def __init__(
        self,
        *,
        source_size: int,
        target_size: int,
        specials: Specials,
        embedding: int = 256,
        hidden: int = 256,
        layers: int = 1,
        attention: str = "dot",
        attention_bias: bool = False,
        input_feeding: bool = False,
        bar_specials: bool = True,
        dropout: float = 0.3,
        init: float = 0.1,
    ) -> None:
        super().__init__()
        require(embedding >= 1, f"embedding must be at least 1, not {embedding}")
        require(
            hidden >= 2 and hidden % 2 == 0,
            f"hidden must be positive and even (half for each direction), not {hidden}",
        )
        require(layers >= 1, f"layers must be at least 1, not {layers}")
        require(
            attention in ATTENTIONS,
            f"attention must be one of {', '.join(ATTENTIONS)}, not {attention!r}",
        )
        require(0 <= dropout < 1, f"dropout must lie in [0, 1), not {dropout}")
        require(init > 0, f"init must be positive, not {init}")
        self.specials = specials
        self.target_size = target_size
        self.feature_size = hidden
        self.input_feeding = input_feeding
        self.source_embedding = nn.Embedding(source_size, embedding)
        self.target_embedding = nn.Embedding(target_size, embedding)
        self.encoder_layers = nn.ModuleList(
            nn.LSTM(size, hidden // 2, bidirectional=True, batch_first=True)
            for size in [embedding] + [hidden] * (layers - 1)
        )
        first = embedding + hidden * input_feeding
        self.decoder_layers = nn.ModuleList(
            nn.LSTM(size, hidden, batch_first=True) for size in [first] + [hidden] * (layers - 1)
        )
        self.attention = Attention(hidden, attention)
        self.combine = nn.Linear(2 * hidden, hidden, bias=attention_bias)
        barred = list(specials.no_actions) if bar_specials else []
        self.output = Projection(hidden, target_size, barred)
        self.dropout = Dropout(dropout)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -init, init)

    def encode(self, source: Tensor, mask: Tensor) -> LSTMMemory:
        values = self.source_embedding(source)
        hidden, cell = [], []
        for depth, layer in enumerate(self.encoder_layers):
            assert isinstance(layer, nn.LSTM)
            values, h, c = bidirectional(layer, self.dropout(values) if depth else values, mask)
            hidden.append(h)
            cell.append(c)
        keys = self.attention.keys(values)
        return LSTMMemory(values, keys, mask, torch.stack(hidden, 1), torch.stack(cell, 1))

    def features(self, memory: LSTMMemory, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        embedded = self.target_embedding(inputs)
        places = None if mask is None else token_places(mask)
        if self.input_feeding:
            state, outputs = self.start(memory), []
            for word in embedded.unbind(1):
                attended, state = self._advance(memory, state, word)
                outputs.append(attended)
            everything = torch.stack(outputs, 1)
            return everything if places is None else at(places, everything)
        values = embedded
        for depth, layer in enumerate(self.decoder_layers):
            start = memory.hidden[:, depth].unsqueeze(0), memory.cell[:, depth].unsqueeze(0)
            values, _ = layer(
                self.dropout(values) if depth else values, tuple(s.contiguous() for s in start)
            )
        return self._attend(memory, values, places)

    def start(self, memory: LSTMMemory) -> LSTMState:
        hidden, cell = memory.hidden.unbind(1), memory.cell.unbind(1)
        return LSTMState(hidden, cell, torch.zeros_like(hidden[0]) if self.input_feeding else None)

    def step(self, memory: LSTMMemory, state: LSTMState, token: Tensor) -> tuple[Tensor, LSTMState]:
        attended, state = self._advance(memory, state, self.target_embedding(token))
        return self.project(attended), state

    def _advance(
        self, memory: LSTMMemory, state: LSTMState, word: Tensor
    ) -> tuple[Tensor, LSTMState]:
        """What `project` reads, [N, H], after an embedded word [N, E], and the next state."""
        values = word if state.fed is None else torch.cat([word, state.fed], dim=-1)
        values, hidden, cell = stepped(
            self.decoder_layers, values, state.hidden, state.cell, self.dropout
        )
        attended = self._attend(memory, values.unsqueeze(1)).squeeze(1)
        return attended, LSTMState(hidden, cell, attended if self.input_feeding else None)

    def _attend(self, memory: LSTMMemory, values: Tensor, places: Tensor | None = None) -> Tensor:
        """dropout(tanh(W [h ; c])) [N, T, H] of decoder outputs h [N, T, H], or [P, H]."""
        both = torch.cat([values, self.attention(values, memory, places)], dim=-1)
        if places is not None:
            both = at(places, both)
        attended = torch.tanh(self.combine(both))
        dropped: Tensor = self.dropout(attended)
        return dropped
