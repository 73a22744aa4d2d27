"""The encoder-decoder of Vaswani et al. (2017), with the normalisation before each sublayer.

A sublayer f turns x into x + dropout(f(LN(x))), and a last LN follows each stack (Xiong et al.
2020, section 3.1 and figure 1b). The sublayers are attention of A heads (section 3.2.2),

    f(x) = [h_1 ; ... ; h_A] W_O,   h_a = softmax(x Q_a (m K_a)^T / sqrt(H / A)) m V_a,

m being x itself, up to the present word in the decoder, or the encoded source; and

    f(x) = max(0, x W_1 + b_1) W_2 + b_2        (section 3.3, eq. 2).

What a stack reads at place t is dropout(sqrt(H) e + p_t), e the word's embedding and p_t the
sinusoids of section 3.5. Attention has no biases and its weights no dropout (section 5.4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from seqrl.models.dropout import Dropout
from seqrl.models.projected import Projected
from seqrl.models.projection import Projection
from seqrl.ranges import require
from seqrl.types import Specials, at, token_places

TIES = (None, "target", "all")

LONGEST = 10_000
"""The base of the sinusoids' wave lengths, which go from 2 pi to nearly 2 pi times this."""


@dataclass(frozen=True)
class TransformerMemory:
    """The encoded source of B sentences, as the decoder's layers read it.

    mask [B, S]; pairs [B, S, 2 H] for every layer, keys beside values
    """

    mask: Tensor
    pairs: tuple[Tensor, ...]

    def select(self, rows: Tensor) -> TransformerMemory:
        return TransformerMemory(self.mask[rows], tuple(p[rows] for p in self.pairs))


@dataclass(frozen=True)
class TransformerState:
    """pairs [N, t, 2 H] for every layer, keys beside values of the t words that were read."""

    pairs: tuple[Tensor, ...]

    def select(self, rows: Tensor) -> TransformerState:
        return TransformerState(tuple(p[rows] for p in self.pairs))


@dataclass(frozen=True)
class Layout:
    """Where P tokens stand among [N, T]: all but attention works on tokens alone.

    places [P] of the flattened [N, T]; none: they are all of it
    """

    rows: int
    steps: int
    places: Tensor | None = None

    @classmethod
    def of(cls, mask: Tensor) -> Layout:
        """The tokens where a mask [N, T] is true."""
        rows, steps = mask.shape
        return cls(rows, steps, token_places(mask))

    def flat(self, values: Tensor) -> Tensor:
        """[P, ...] of values [N, T, ...]."""
        return values.flatten(0, 1) if self.places is None else at(self.places, values)

    def padded(self, values: Tensor) -> Tensor:
        """[N, T, C] of values [P, C], zero where there is no token."""
        if self.places is not None:
            zeros = values.new_zeros(self.rows * self.steps, values.shape[1])
            values = zeros.index_copy(0, self.places, values)
        return values.view(self.rows, self.steps, -1)


class Attention(nn.Module):
    """Attention of `heads` heads to pairs [..., 2 H], keys beside values, made by `pair`."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(hidden, hidden, bias=False)
        self.pair = nn.Linear(hidden, 2 * hidden, bias=False)
        self.output = nn.Linear(hidden, hidden, bias=False)

    def forward(
        self,
        inputs: Tensor,
        layout: Layout,
        pairs: Tensor,
        mask: Tensor | None = None,
        causal: bool = False,
    ) -> Tensor:
        """[P, H], what inputs [P, H] find in pairs [N, S, 2 H] where `mask` [N, S] is true.

        causal  S is T, and no input finds what comes after it
        """
        queries = self._split(layout.padded(self.query(inputs)))
        keys, values = (self._split(half) for half in pairs.chunk(2, dim=-1))
        allowed = None if mask is None else mask[:, None, None]
        found = scaled_dot_product_attention(
            queries, keys, values, attn_mask=allowed, is_causal=causal
        )
        joined: Tensor = self.output(layout.flat(found.transpose(1, 2).flatten(2)))
        return joined

    def _split(self, values: Tensor) -> Tensor:
        """[N, A, T, H / A] of [N, T, H]."""
        return values.view(*values.shape[:2], self.heads, -1).transpose(1, 2)


class FeedForward(nn.Sequential):
    """max(0, x W_1 + b_1) W_2 + b_2 with `inner` units between."""

    def __init__(self, hidden: int, inner: int) -> None:
        super().__init__(nn.Linear(hidden, inner), nn.ReLU(), nn.Linear(inner, hidden))


class EncoderLayer(nn.Module):
    """Attention of all tokens to each other, then the feed-forward network."""

    def __init__(self, hidden: int, inner: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(hidden)
        self.attention = Attention(hidden, heads)
        self.forward_norm = nn.LayerNorm(hidden)
        self.feed_forward = FeedForward(hidden, inner)
        self.dropout = Dropout(dropout)

    def forward(self, values: Tensor, layout: Layout, mask: Tensor) -> Tensor:
        """[P, H] of values [P, H], the tokens where `mask` [B, S] is true."""
        inputs = self.attention_norm(values)
        pairs = layout.padded(self.attention.pair(inputs))
        values = values + self.dropout(self.attention(inputs, layout, pairs, mask))
        found: Tensor = values + self.dropout(self.feed_forward(self.forward_norm(values)))
        return found


class DecoderLayer(nn.Module):
    """Attention to what was read, attention to the source, then the feed-forward network."""

    def __init__(self, hidden: int, inner: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(hidden)
        self.attention = Attention(hidden, heads)
        self.source_norm = nn.LayerNorm(hidden)
        self.source_attention = Attention(hidden, heads)
        self.forward_norm = nn.LayerNorm(hidden)
        self.feed_forward = FeedForward(hidden, inner)
        self.dropout = Dropout(dropout)

    def forward(
        self,
        values: Tensor,
        layout: Layout,
        source: Tensor,
        mask: Tensor,
        before: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """[P, H] of values [P, H], and the pairs [N, t + T, 2 H] of all words up to them.

        source  pairs [N, S, 2 H] of the source, which are tokens where `mask` [N, S] is true
        before  pairs [N, t, 2 H] of the words before these, of which there is then one (T = 1)
        """
        inputs = self.attention_norm(values)
        pairs = layout.padded(self.attention.pair(inputs))
        if before is not None:
            pairs = torch.cat([before, pairs], dim=1)
        found = self.attention(inputs, layout, pairs, causal=before is None)
        values = values + self.dropout(found)
        found = self.source_attention(self.source_norm(values), layout, source, mask)
        values = values + self.dropout(found)
        return values + self.dropout(self.feed_forward(self.forward_norm(values))), pairs


class Transformer(Projected[TransformerMemory, TransformerState]):
    """The encoder-decoder described at the head of this file.

    hidden        H, units of embeddings and of what runs through the layers
    inner         units between the feed-forward network's two products
    heads         A, of every attention
    layers        of the encoder and of the decoder
    tied          which tables are one: none (null); `target`, the target embedding and the
                  projection's matrix (Press and Wolf 2017); `all`, the source embedding too, which
                  takes one vocabulary for both sides
    bar_specials  whether padding and BOS are no actions, as in `models.lstm.LSTM`
    dropout       on embeddings and on what a sublayer adds

    Matrices start Xavier uniform, embeddings (and what is tied to them) normal with deviation
    1 / sqrt(H), biases at zero.
    """

    def __init__(
        self,
        *,
        source_size: int,
        target_size: int,
        specials: Specials,
        hidden: int = 256,
        inner: int = 1024,
        heads: int = 4,
        layers: int = 3,
        tied: str | None = None,
        bar_specials: bool = True,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        require(
            hidden >= 2 and hidden % 2 == 0,
            f"hidden must be positive and even (sines and cosines), not {hidden}",
        )
        require(
            heads >= 1 and hidden % heads == 0,
            f"heads must divide hidden, {hidden}, without remainder, not {heads}",
        )
        require(inner >= 1, f"inner must be at least 1, not {inner}")
        require(layers >= 1, f"layers must be at least 1, not {layers}")
        require(tied in TIES, f"tied must be null, target or all, not {tied!r}")
        require(
            tied != "all" or source_size == target_size,
            "tied must be null or target where source and target have vocabularies of their own "
            f"({source_size} and {target_size} words), not 'all'",
        )
        require(0 <= dropout < 1, f"dropout must lie in [0, 1), not {dropout}")
        self.specials = specials
        self.target_size = target_size
        self.feature_size = hidden
        self.source_embedding = nn.Embedding(source_size, hidden)
        self.target_embedding = nn.Embedding(target_size, hidden)
        self.encoder_layers = nn.ModuleList(
            EncoderLayer(hidden, inner, heads, dropout) for _ in range(layers)
        )
        self.encoder_norm = nn.LayerNorm(hidden)
        self.decoder_layers = nn.ModuleList(
            DecoderLayer(hidden, inner, heads, dropout) for _ in range(layers)
        )
        self.decoder_norm = nn.LayerNorm(hidden)
        barred = list(specials.no_actions) if bar_specials else []
        self.output = Projection(hidden, target_size, barred)
        self.dropout = Dropout(dropout)
        if tied is not None:
            self.output.weight = self.target_embedding.weight
        if tied == "all":
            self.source_embedding.weight = self.target_embedding.weight
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, Attention):  # two matrices of [H, H] in one: the range of each
                nn.init.xavier_uniform_(module.pair.weight, gain=math.sqrt(3 / 2))
            elif isinstance(module, nn.Embedding):  # after the projection, which it may be tied to
                nn.init.normal_(module.weight, std=module.embedding_dim**-0.5)

    def encode(self, source: Tensor, mask: Tensor) -> TransformerMemory:
        layout = Layout.of(mask)
        values = self._embedded(self.source_embedding, source, layout)
        for layer in self.encoder_layers:
            values = layer(values, layout, mask)
        values = self.encoder_norm(values)
        pairs = []
        for layer in self.decoder_layers:
            assert isinstance(layer, DecoderLayer)
            pairs.append(layout.padded(layer.source_attention.pair(values)))
        return TransformerMemory(mask, tuple(pairs))

    def features(
        self, memory: TransformerMemory, inputs: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        if mask is None:
            rows, steps = inputs.shape
            layout = Layout(rows, steps)
            return layout.padded(self._read(memory, inputs, layout))
        read = mask.flip(1).cumsum(1).flip(1) > 0  # what no later token asks for is not computed
        return self._read(memory, inputs, Layout.of(read))[mask[read]]

    def start(self, memory: TransformerMemory) -> TransformerState:
        return TransformerState(tuple(pairs[:, :0] for pairs in memory.pairs))

    def step(
        self, memory: TransformerMemory, state: TransformerState, token: Tensor
    ) -> tuple[Tensor, TransformerState]:
        layout, words = Layout(len(token), 1), token.unsqueeze(1)
        first = state.pairs[0].shape[1]
        values = self._embedded(self.target_embedding, words, layout, first)
        after = []
        for depth, layer in enumerate(self.decoder_layers):
            own, before = memory.pairs[depth], state.pairs[depth]
            values, pairs = layer(values, layout, own, memory.mask, before)
            after.append(pairs)
        return self.project(self.decoder_norm(values)), TransformerState(tuple(after))

    def _read(self, memory: TransformerMemory, inputs: Tensor, layout: Layout) -> Tensor:
        """What `project` reads, [P, H], at the tokens of inputs [N, T]."""
        values = self._embedded(self.target_embedding, inputs, layout)
        for layer, source in zip(self.decoder_layers, memory.pairs, strict=True):
            values, _ = layer(values, layout, source, memory.mask)
        found: Tensor = self.decoder_norm(values)
        return found

    def _embedded(
        self, table: nn.Embedding, tokens: Tensor, layout: Layout, first: int = 0
    ) -> Tensor:
        """dropout(sqrt(H) e + p) [P, H] of tokens [N, T], whose places start at `first`."""
        values = table(layout.flat(tokens)) * math.sqrt(self.feature_size)
        waves = sinusoids(first, layout.steps, values)
        waves = waves.expand(layout.rows, -1, -1)
        dropped: Tensor = self.dropout(values + layout.flat(waves))
        return dropped


def sinusoids(first: int, count: int, like: Tensor) -> Tensor:
    """p [count, H] of the places from `first` on, as `like` [..., H] (Vaswani et al., section 3.5).

    p_t,2i = sin(t / LONGEST^(2i / H)) and p_t,2i+1 = cos of the same.
    """
    places = torch.arange(first, first + count, dtype=like.dtype, device=like.device)
    evens = torch.arange(0, like.shape[-1], 2, dtype=like.dtype, device=like.device)
    angles = places.unsqueeze(1) * torch.exp(evens * (-math.log(LONGEST) / like.shape[-1]))
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
