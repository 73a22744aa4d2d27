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
from torch.nn.functional import linear
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqrl.models.base import Policy
from seqrl.ranges import require
from seqrl.types import Specials, at, token_places

ATTENTIONS = ("dot", "mlp")
BARRED = -1e4
"""The bias of a token that is no action: its probability is exactly zero, p log p is no NaN."""


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
        asked = self.query(queries)
        if places is None:
            summed = asked.unsqueeze(2) + memory.keys.unsqueeze(1)  # [N, T, S, H]
            energies: Tensor = self.energy(torch.tanh(summed)).squeeze(-1)
            return energies
        steps, width = queries.shape[1], memory.keys.shape[1]
        keys = memory.keys.index_select(0, places // steps)  # [P, S, H]
        summed = keys + asked.flatten(0, 1).index_select(0, places).unsqueeze(1)
        found = self.energy(torch.tanh(summed)).squeeze(-1)
        everywhere: Tensor = found.new_zeros(len(queries) * steps, width)
        return everywhere.index_copy(0, places, found).view(-1, steps, width)


class LSTM(Policy[LSTMMemory, LSTMState]):
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
        self.barred: Tensor
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
        self.output = nn.Linear(hidden, target_size)
        self.dropout = nn.Dropout(dropout)
        barred = [specials.pad, specials.bos] if bar_specials else []
        self.register_buffer("barred", torch.tensor(barred, dtype=torch.long), persistent=False)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -init, init)

    def encode(self, source: Tensor, mask: Tensor) -> LSTMMemory:
        lengths = mask.sum(1).cpu()
        values = self.source_embedding(source)
        hidden, cell = [], []
        for depth, layer in enumerate(self.encoder_layers):
            packed = pack_padded_sequence(
                self.dropout(values) if depth else values,
                lengths,
                batch_first=True,
                enforce_sorted=False,
            )
            outputs, (h, c) = layer(packed)  # h, c: [2, B, H / 2]
            values, _ = pad_packed_sequence(outputs, batch_first=True, total_length=source.shape[1])
            hidden.append(torch.cat([h[0], h[1]], dim=-1))
            cell.append(torch.cat([c[0], c[1]], dim=-1))
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

    def project(self, features: Tensor) -> Tensor:
        bias = self.output.bias.index_fill(0, self.barred, BARRED)
        return linear(features, self.output.weight, bias)

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
        hidden, cell = [], []
        for depth, layer in enumerate(self.decoder_layers):
            assert isinstance(layer, nn.LSTM)
            values, c = torch.lstm_cell(
                self.dropout(values) if depth else values,
                (state.hidden[depth], state.cell[depth]),
                *layer.all_weights[0],
            )
            hidden.append(values)
            cell.append(c)
        attended = self._attend(memory, values.unsqueeze(1)).squeeze(1)
        fed = attended if self.input_feeding else None
        return attended, LSTMState(tuple(hidden), tuple(cell), fed)

    def _attend(self, memory: LSTMMemory, values: Tensor, places: Tensor | None = None) -> Tensor:
        """dropout(tanh(W [h ; c])) [N, T, H] of decoder outputs h [N, T, H], or [P, H]."""
        both = torch.cat([values, self.attention(values, memory, places)], dim=-1)
        if places is not None:
            both = at(places, both)
        attended = torch.tanh(self.combine(both))
        dropped: Tensor = self.dropout(attended)
        return dropped
