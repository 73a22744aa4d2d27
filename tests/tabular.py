"""A world small enough to enumerate: three words, at most four steps, one logit for each choice.

Special symbols other than EOS have a probability of exactly zero, and still a finite log
probability. A sequence that has not ended before the last step ends there, so that there
are 1 + 3 + 9 + 27 = 40 of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from seqrl.models.base import Policy
from seqrl.proposals.sampling import Sampling
from seqrl.rewards.base import PrefixReward
from seqrl.types import Batch, Clock, Specials, Trajectories, shift_right

PAD, UNK, BOS, EOS = 0, 1, 2, 3
SPECIALS = Specials(PAD, UNK, BOS, EOS)
WORDS = (4, 5, 6)
SIZE = 7  # V
STEPS = 4  # T
BARRED = -1e4

PREFIXES = [p for n in range(STEPS) for p in product(WORDS, repeat=n)]
START, SINK = 0, len(PREFIXES) + 1
NODE = {prefix: place + 1 for place, prefix in enumerate(PREFIXES)}
NODES = SINK + 1
SEQUENCES = [(*prefix, EOS) for prefix in PREFIXES]


def _following() -> Tensor:
    table = torch.full((NODES, SIZE), SINK)
    table[START, BOS] = NODE[()]
    for prefix in PREFIXES:
        for word in WORDS if len(prefix) < STEPS - 1 else ():
            table[NODE[prefix], word] = NODE[(*prefix, word)]
    return table


FOLLOWING = _following()
"""[nodes, V], the node after a node and a token."""


def nodes_of(inputs: Tensor) -> Tensor:
    """[N, T], the node at which each target is chosen, from the decoder's inputs."""
    node, nodes = torch.full_like(inputs[:, 0], START), []
    for token in inputs.unbind(1):
        node = FOLLOWING[node, token]
        nodes.append(node)
    return torch.stack(nodes, 1)


@dataclass(frozen=True)
class TabularMemory:
    row: Tensor  # [N]

    def select(self, rows: Tensor) -> TabularMemory:
        return TabularMemory(self.row[rows])


@dataclass(frozen=True)
class TabularState:
    node: Tensor  # [N]

    def select(self, rows: Tensor) -> TabularState:
        return TabularState(self.node[rows])


class TabularPolicy(Policy[TabularMemory, TabularState]):
    """Logits are a free parameter for every (sentence, prefix, token): table [rows, nodes, V].

    A sentence's row is the id of the source's token at `column`: 0 for a policy, 1 for a
    critic, whose source is BOS and the reference.
    """

    def __init__(self, table: Tensor, column: int = 0) -> None:
        super().__init__()
        self.specials, self.target_size, self.column = SPECIALS, SIZE, column
        self.feature_size = SIZE
        self.table = nn.Parameter(table.clone())

    def encode(self, source: Tensor, mask: Tensor) -> TabularMemory:
        return TabularMemory(source[:, self.column])

    def features(self, memory: TabularMemory, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        found = self.table[memory.row.unsqueeze(1), nodes_of(inputs)]
        return found if mask is None else found[mask]

    def project(self, features: Tensor) -> Tensor:
        return features.clone()

    def start(self, memory: TabularMemory) -> TabularState:
        return TabularState(torch.full_like(memory.row, START))

    def step(
        self, memory: TabularMemory, state: TabularState, token: Tensor
    ) -> tuple[Tensor, TabularState]:
        node = FOLLOWING[state.node, token]
        return self.table[memory.row, node], TabularState(node)


class TabularReward(PrefixReward):
    """r(prefix, token) from a table [rows, nodes, V]; the row is the reference's first token."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = table

    def increments(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        row = batch.target[:, :1].repeat_interleave(trajectories.group, dim=0)
        values = self.table[row, nodes_of(trajectories.inputs), trajectories.targets]
        return torch.where(trajectories.mask, values, 0.0)

    def score(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        return self.increments(trajectories, batch).sum(1)

    def lookahead(self, prefix: Tensor, batch: Batch, group: int, vocabulary: int) -> Tensor:
        inputs = torch.cat([torch.full((len(prefix), 1), BOS), prefix], dim=1)
        row = batch.target[:, 0].repeat_interleave(group)
        return self.table[row, nodes_of(inputs)[:, -1]]


class Fixed(Sampling):
    """Proposes the trajectories that it was given."""

    def __init__(self, trajectories: Trajectories) -> None:
        super().__init__(samples=trajectories.group)
        self.trajectories = trajectories

    def __call__(self, policy: Any, memory: Any, batch: Any, reward: Any, clock: Any) -> Any:
        return self.trajectories


class Scripted(Clock):
    """A clock whose noise [steps, N] is given."""

    def __init__(self, noise: Tensor) -> None:
        super().__init__()
        object.__setattr__(self, "noise", noise)

    def uniform(self, stream: str, steps: int, batch: Batch, group: int = 1) -> Tensor:
        assert self.noise.shape == (steps, len(batch) * group)
        return self.noise


def policy_table(seed: int, rows: int = SIZE) -> Tensor:
    """Random logits [rows, nodes, V] with special symbols barred."""
    table = torch.randn(rows, NODES, SIZE, generator=seeded(seed), dtype=torch.float64)
    table[..., [PAD, UNK, BOS]] = BARRED
    return table


def value_table(seed: int, rows: int = SIZE) -> Tensor:
    """Random numbers [rows, nodes, V]."""
    return torch.randn(rows, NODES, SIZE, generator=seeded(seed), dtype=torch.float64)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def padded(sequences: Iterable[Sequence[int]], width: int = 0) -> Tensor:
    rows = [list(sequence) for sequence in sequences]
    width = max(width, *(len(row) for row in rows))
    return torch.tensor([row + [PAD] * (width - len(row)) for row in rows])


def batch_of(references: Sequence[Sequence[int]], width: int = 0) -> Batch:
    """Sentences whose sources are the single tokens 4, 5, 6, ..."""
    target = padded(references, width)
    source = torch.arange(len(target)).unsqueeze(1) + 4
    return Batch(source, target, target.unsqueeze(1), PAD, SPECIALS)


def trajectories_of(
    sequences: Iterable[Sequence[int]], group: int = 1, width: int = 0
) -> Trajectories:
    targets = padded(sequences, width)
    mask = targets != PAD
    return Trajectories(
        shift_right(targets, BOS), targets, mask, torch.zeros_like(mask), group=group
    )


def rows_of(tokens: Tensor) -> list[tuple[int, ...]]:
    """Rows without their padding, which is all to the right of EOS."""
    return [tuple(row[: row.index(EOS) + 1]) for row in tokens.tolist()]


def sequence_log_prob(logits: Tensor, sequence: Sequence[int], *, forced: bool) -> Tensor:
    """log p(y) from logits [nodes, V]; with `forced`, ending at the last step is no choice."""
    total = logits.new_zeros(())
    for t, token in enumerate(sequence):
        if forced and t == STEPS - 1:
            break
        total = total + torch.log_softmax(logits[NODE[tuple(sequence[:t])]], -1)[token]
    return total


def law(logits: Tensor) -> Tensor:
    """[40], the probabilities of SEQUENCES under sampling."""
    return torch.stack([sequence_log_prob(logits, y, forced=True) for y in SEQUENCES]).exp()


def soft_values(logits: Tensor, reward: Tensor, tau: float) -> Tensor:
    """The exact soft Q [nodes, V] of softmax(logits [nodes, V]) under rewards [nodes, V].

    At the last step every action has the value of EOS, which is what follows it.
    """
    values = torch.zeros_like(reward)

    def state_value(prefix: tuple[int, ...]) -> Tensor:
        node = NODE[prefix]
        log_pi = torch.log_softmax(logits[node], -1)
        if len(prefix) == STEPS - 1:
            values[node] = reward[node, EOS]
        else:
            values[node, EOS] = reward[node, EOS]
            for word in WORDS:
                values[node, word] = reward[node, word] + state_value((*prefix, word))
        return (log_pi.exp() * (values[node] - tau * log_pi)).sum()

    state_value(())
    return values


def assert_fits(counts: Sequence[int], probabilities: Sequence[float]) -> None:
    """Pearson's chi-square at p = 0.001; cells that expect fewer than 5 are counted as one."""
    total = sum(counts)
    cells = [(n, total * p) for n, p in zip(counts, probabilities, strict=True) if total * p >= 5]
    rest = total - sum(n for n, _ in cells), total - sum(e for _, e in cells)
    if rest[1] >= 5:
        cells.append(rest)
    else:
        assert rest[0] <= 20, f"{rest[0]} where {rest[1]:.2f} were expected"
    statistic = sum((n - e) ** 2 / e for n, e in cells)
    degrees = len(cells) - 1
    part = 2 / (9 * degrees)
    bound = degrees * (1 - part + 3.09 * math.sqrt(part)) ** 3  # Wilson and Hilferty 1931
    assert statistic < bound, f"chi-square {statistic:.1f} of {degrees} degrees, bound {bound:.1f}"


COPIES = 512
"""Of a policy with `dyadic_table`, so many samples can hold every sequence in proportion to p."""


def dyadic_table(seed: int, rows: int = SIZE) -> Tensor:
    """Logits [rows, nodes, V] of choices with probabilities 1/2, 1/4, 1/8, 1/8 in random order.

    Before the last step there is no choice but EOS, so that no sequence's end is forced.
    """
    table = torch.full((rows, NODES, SIZE), BARRED, dtype=torch.float64)
    generator = seeded(seed)
    for row, prefix in product(range(rows), PREFIXES):
        if len(prefix) == STEPS - 1:
            table[row, NODE[prefix], EOS] = 0.0
            continue
        order = torch.randperm(4, generator=generator)
        chances = torch.tensor([1 / 2, 1 / 4, 1 / 8, 1 / 8], dtype=torch.float64)[order]
        table[row, NODE[prefix], [EOS, *WORDS]] = chances.log()
    return table


def copies(logits: Tensor) -> list[tuple[int, ...]]:
    """COPIES sequences, each COPIES * p(y) times, of a policy with `dyadic_table`'s logits."""
    found: list[tuple[int, ...]] = []
    for y in SEQUENCES:
        count = sequence_log_prob(logits, y, forced=False).exp().item() * COPIES
        assert abs(count - round(count)) < 1e-6
        found += [y] * round(count)
    assert len(found) == COPIES
    return found


def cut_copies(table: Tensor) -> tuple[Tensor, Trajectories]:
    """A policy's logits [rows, nodes, V] whose samples a limit of STEPS cuts, and these samples.

    It is the policy with `dyadic_table`'s logits `table`, but that it has a choice at the last step
    too, where sampling puts EOS all the same. Of sentences 4 and 5 each, COPIES samples.
    """
    choices, last = policy_table(9, rows=len(table)), [NODE[p] for p in PREFIXES if len(p) == 3]
    open_ended = table.clone()
    open_ended[:, last] = choices[:, last]
    samples = trajectories_of([y for row in (4, 5) for y in copies(table[row])], group=COPIES)
    return open_ended, replace(samples, cut=samples.length == STEPS)
