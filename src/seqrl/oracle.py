"""The oracle of the synthetic benchmark: a random recurrent network whose samples are the data.

Yu et al. (2017), section 5.1: an LSTM whose weights are all drawn from N(0, 1) writes sequences of
T words out of V. Since its probabilities are known, a model that has learned from its samples can
be judged by how likely the oracle finds what the model writes:

    NLL_oracle = -(1/T) E_{y ~ model} log p_oracle(y)         nats a word

Every oracle has a floor, its own entropy, and a ceiling, what it thinks of words that are drawn
without looking, so that values of different oracles cannot be compared without the two.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

import torch
from torch import Tensor

from seqrl.ranges import require
from seqrl.types import derived_seed

AT_ONCE = 500
"""Sequences computed at once."""


class Oracle:
    """An LSTM over words 0 ... V - 1, with its embeddings and its output, of N(0, 1) weights.

        i, f, o = sigmoid(.),  g = tanh(.)  of  W x_t + U h_{t-1} + b
        c_t = f c_{t-1} + i g,   h_t = o tanh(c_t),   p(y_t) = softmax(E h_t + d)

    h_0 and c_0 are zero, and the first word read is 0, as in the released code.

    words  V
    units  of embeddings and of the hidden state, 32 as published
    seed   of the weights
    """

    def __init__(self, *, words: int = 5000, units: int = 32, seed: int = 0) -> None:
        require(words >= 2, f"words must be at least 2, not {words}")
        require(units >= 1, f"units must be at least 1, not {units}")
        self.words = words
        generator = torch.Generator().manual_seed(derived_seed(seed, "oracle"))

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator)

        self._embedding = normal(words, units)
        self._inputs, self._hidden = normal(units, 4 * units), normal(units, 4 * units)
        self._bias = normal(4 * units)
        self._output, self._offset = normal(units, words), normal(words)
        self._uniform: dict[int, float] = {}

    def sample(self, count: int, length: int, *, seed: int | str) -> Tensor:
        """Words [count, length], the same for the same seed."""
        generator = torch.Generator().manual_seed(derived_seed(seed, "samples"))
        noise = torch.rand(length, count, generator=generator)
        found = torch.zeros(count, length, dtype=torch.long)
        for part in _parts(count):
            steps = self._steps(len(found[part]))
            log_p = next(steps)
            for t in range(length):
                cumulative = log_p.exp().cumsum(1)
                threshold = noise[t, part].unsqueeze(1) * cumulative[:, -1:]
                drawn = torch.searchsorted(cumulative, threshold, right=True).squeeze(1)
                found[part, t] = drawn.clamp(max=self.words - 1)
                if t + 1 < length:
                    log_p = steps.send(found[part, t])
        return found

    def log_probs(self, sequences: Tensor) -> Tensor:
        """log p(y_t | y_<t) [N, T] of words [N, T]."""

        def chosen(log_p: Tensor, words: Tensor) -> Tensor:
            return log_p.gather(1, words.unsqueeze(1)).squeeze(1)

        return self._along(sequences, chosen)

    def entropies(self, sequences: Tensor) -> Tensor:
        """The entropy [N, T] of p(. | y_<t) along words [N, T], in nats."""

        def entropy(log_p: Tensor, words: Tensor) -> Tensor:
            found: Tensor = -torch.linalg.vecdot(log_p.exp(), log_p)
            return found

        return self._along(sequences, entropy)

    def uniform_nll(self, length: int) -> float:
        """What it thinks of a thousand sequences drawn without looking, nats a word."""
        if length not in self._uniform:
            generator = torch.Generator().manual_seed(derived_seed("uniform"))
            drawn = torch.randint(self.words, (1000, length), generator=generator)
            self._uniform[length] = -float(self.log_probs(drawn).mean())
        return self._uniform[length]

    def _along(self, sequences: Tensor, ask: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """What is asked of log p(. | y_<t) [N, V] and y_t [N], in double precision [N, T]."""
        found = torch.zeros(sequences.shape, dtype=torch.float64)
        for part in _parts(len(sequences)):
            own = sequences[part]
            steps = self._steps(len(own))
            log_p = next(steps)
            for t, words in enumerate(own.unbind(1)):
                found[part, t] = ask(log_p, words).double()
                if t + 1 < sequences.shape[1]:
                    log_p = steps.send(words)
        return found

    def _steps(self, rows: int) -> Generator[Tensor, Tensor, None]:
        """log p [N, V] of the next word, after each word [N] that is sent."""
        hidden = cell = torch.zeros(rows, len(self._hidden))
        words = torch.zeros(rows, dtype=torch.long)
        while True:
            gates = self._embedding[words] @ self._inputs + hidden @ self._hidden + self._bias
            enters, stays, leaves, candidate = gates.chunk(4, dim=1)
            cell = stays.sigmoid() * cell + enters.sigmoid() * candidate.tanh()
            hidden = leaves.sigmoid() * cell.tanh()
            words = yield torch.log_softmax(hidden @ self._output + self._offset, dim=1)


def _parts(count: int) -> Iterator[slice]:
    for start in range(0, count, AT_ONCE):
        yield slice(start, min(start + AT_ONCE, count))
