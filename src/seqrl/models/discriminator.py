"""A convolutional network that tells real sequences from a policy's (Yu et al. 2017, section 3.2).

Words are embedded, and for each window size w a layer of filters looks at every w words in a row,

    c_i = relu(W e_{i:i+w} + b),     f = max_i c_i,

after Kim (2014). The f of all windows go through one highway layer (Srivastava et al. 2015),

    g = sigma(W_T f + b_T),     h = g relu(W_H f + b_H) + (1 - g) f,

and a linear unit of dropout(h) gives the logit of being real, D(y) = sigma(u h + c).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqrl.models.dropout import Dropout
from seqrl.ranges import require
from seqrl.types import Batch, Specials


class Windows(nn.Module):
    """The features f [N, sum of filters] of words [N, T]."""

    def __init__(
        self, words: int, embedding: int, windows: Sequence[int], filters: Sequence[int]
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, embedding)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(embedding, count, size) for size, count in zip(windows, filters, strict=True)
        )
        nn.init.uniform_(self.embedding.weight, -1, 1)
        for layer in self.convolutions:
            assert isinstance(layer, nn.Conv1d)
            assert layer.bias is not None
            nn.init.trunc_normal_(layer.weight, std=0.1, a=-0.2, b=0.2)
            nn.init.constant_(layer.bias, 0.1)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """A window stands where it is within the sequence, or, if it is wider, at its start.

        So what is found does not depend on how wide a batch is padded.
        """
        embedded = (self.embedding(tokens) * mask.unsqueeze(2)).transpose(1, 2)  # [N, E, T]
        length = mask.sum(1, keepdim=True)
        found = []
        for layer in self.convolutions:
            assert isinstance(layer, nn.Conv1d)
            size = layer.kernel_size[0]
            values = layer(F.pad(embedded, (0, max(0, size - tokens.shape[1]))))
            place = torch.arange(values.shape[2], device=tokens.device)
            inside = place <= (length - size).clamp(min=0)  # [N, T - w + 1]
            found.append(torch.relu(values.masked_fill(~inside.unsqueeze(1), -torch.inf).amax(2)))
        return torch.cat(found, dim=1)


class CNNDiscriminator(nn.Module):
    """The network described at the head of this file.

    embedding    units of a word
    windows      their sizes w, in words
    filters      of each
    conditional  whether it sees the source too, through windows of its own, whose features
                 stand beside the output's: for tasks in which a good output depends on it
    dropout      on h; the paper keeps 0.75
    """

    trained = False

    def __init__(
        self,
        *,
        source_size: int,
        target_size: int,
        specials: Specials,
        embedding: int = 64,
        windows: Sequence[int] = (1, 2, 3, 4, 5),
        filters: Sequence[int] = (100, 100, 100, 100, 100),
        conditional: bool = True,
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        require(embedding >= 1, f"embedding must be at least 1, not {embedding}")
        require(
            len(windows) >= 1 and all(size >= 1 for size in windows),
            f"windows must be sizes of at least 1, not {list(windows)}",
        )
        require(
            len(filters) == len(windows) and all(count >= 1 for count in filters),
            f"filters must be as many numbers of at least 1 as windows, not {list(filters)}",
        )
        require(0 <= dropout < 1, f"dropout must lie in [0, 1), not {dropout}")
        self.specials = specials
        self.target = Windows(target_size, embedding, windows, filters)
        self.source = Windows(source_size, embedding, windows, filters) if conditional else None
        size = sum(filters) * (1 + conditional)
        self.gate, self.candidate = nn.Linear(size, size), nn.Linear(size, size)
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(size, 1)
        nn.init.zeros_(self.gate.bias)
        nn.init.trunc_normal_(self.output.weight, std=0.1, a=-0.2, b=0.2)
        nn.init.zeros_(self.output.bias)

    def read(self, batch: Batch) -> Tensor | None:
        """What there is to know of the sources, [B, F], for `forward`."""
        return None if self.source is None else self.source(batch.source, batch.source_mask)

    def forward(self, tokens: Tensor, mask: Tensor, sources: Tensor | None) -> Tensor:
        """The logit [N] of sequences [N, T] being real; mask [N, T] is true up to EOS.

        sources  [N, F], what `read` gave, for each sequence its own
        """
        found = self.target(tokens, mask)
        if sources is not None:
            found = torch.cat([found, sources], dim=1)
        gate = torch.sigmoid(self.gate(found))
        found = gate * torch.relu(self.candidate(found)) + (1 - gate) * found
        logit: Tensor = self.output(self.dropout(found)).squeeze(1)
        return logit
