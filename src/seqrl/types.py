"""The records that every part of seqrl exchanges, and the alphabet of their shapes.

    B  sentences in a batch            S  source steps
    K  trajectories per sentence       T  target steps, end-of-sentence included
    N  = B * K, the K of one           V  target vocabulary
       sentence adjacent               H  hidden units
    M  references per sentence         P  tokens of N sequences, padding left out

All records are frozen: a function that changes one returns a new one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Specials:
    """Ids of the special symbols of one vocabulary (each side has its own).

    `bos` starts a decoder's input; a source vocabulary may have neither `bos` nor `eos`,
    which is then -1, an id that no token has. `bos` may be `pad`, as in checkpoints whose
    decoders start with padding.
    """

    pad: int
    unk: int
    bos: int = -1
    eos: int = -1

    @property
    def no_actions(self) -> tuple[int, ...]:
        """What no output may hold, ascending: padding and BOS."""
        return tuple(sorted({self.pad, self.bos}))


@dataclass(frozen=True)
class Batch:
    """B source sentences with their references, as padded ids.

    source      [B, S], padded with `source_pad`
    target      [B, T], the first reference; ends in EOS, then padding
    references  [B, M, T'], all references (the first included), each ending in EOS;
                an absent reference is a row of padding
    offset, total
                position of the first row in the batch that this one was split from, and
                that batch's number of rows: losses divide by `total`, so that the
                gradients of the parts add up to the gradient of the whole
    """

    source: Tensor
    target: Tensor
    references: Tensor
    source_pad: int
    specials: Specials
    offset: int = 0
    total: int = 0

    def __post_init__(self) -> None:
        if not self.total:
            object.__setattr__(self, "total", self.target.shape[0])

    def __len__(self) -> int:
        return self.target.shape[0]

    @property
    def source_mask(self) -> Tensor:
        """[B, S], true where there is a token."""
        return self.source != self.source_pad

    @property
    def target_mask(self) -> Tensor:
        """[B, T], true up to and including EOS."""
        return self.target != self.specials.pad

    @property
    def target_length(self) -> Tensor:
        """[B], tokens of the first reference without EOS."""
        return self.target_mask.sum(1) - 1

    @property
    def target_inputs(self) -> Tensor:
        """[B, T], the decoder's inputs under teacher forcing: BOS, then the target shifted."""
        return shift_right(self.target, self.specials.bos)

    def reference_trajectories(self) -> Trajectories:
        """The first references as trajectories, K = 1."""
        mask = self.target_mask
        return Trajectories(self.target_inputs, self.target, mask, mask, group=1)

    def to(self, device: torch.device | str) -> Batch:
        return replace(
            self,
            source=self.source.to(device, non_blocking=True),
            target=self.target.to(device, non_blocking=True),
            references=self.references.to(device, non_blocking=True),
        )

    def select(self, rows: Tensor) -> Batch:
        """The sentences in the given rows, in the given order, padded as all are.

        For looking things up: the noise of `Clock.uniform` is not theirs.
        """
        return replace(
            self,
            source=self.source[rows],
            target=self.target[rows],
            references=self.references[rows],
        )

    def part(self, start: int, stop: int) -> Batch:
        """The sentences from `start` to `stop`, padded as the whole is."""
        rows = slice(start, stop)
        return replace(
            self,
            source=self.source[rows],
            target=self.target[rows],
            references=self.references[rows],
            offset=self.offset + start,
        )

    def split(self, rows: int) -> Iterator[Batch]:
        """Parts of at most `rows` sentences, padded as the whole is."""
        for start in range(0, len(self), rows):
            yield self.part(start, start + rows)


@dataclass(frozen=True)
class Trajectories:
    """N = B * K target sequences, the K of one sentence adjacent.

    inputs   [N, T]  what the decoder reads
    targets  [N, T]  what it is to predict; usually `inputs` is `targets` shifted, but not
                     where inputs and targets are corrupted separately
    mask     [N, T]  bool, true up to and including EOS; a row of zeros is an absent candidate
    given    [N, T]  bool, true where the token was copied from the reference
    group    K
    cut      [N] bool, true where a limit on the length put the EOS; none: there is no limit
    """

    inputs: Tensor
    targets: Tensor
    mask: Tensor
    given: Tensor
    group: int = 1
    cut: Tensor | None = None

    def __len__(self) -> int:
        return self.targets.shape[0]

    @property
    def length(self) -> Tensor:
        """[N], tokens including EOS."""
        return self.mask.sum(1)

    @cached_property
    def places(self) -> Tensor:
        """[P], where the tokens are in the flattened [N, T], row by row."""
        return token_places(self.mask)

    def flat(self, values: Tensor) -> Tensor:
        """The values [N, T, ...] of tokens alone, [P, ...]."""
        return at(self.places, values)

    def padded(self, values: Tensor) -> Tensor:
        """Values of tokens [P, ...] where they belong in [N, T, ...], zero at padding."""
        zeros = values.new_zeros(self.mask.numel(), *values.shape[1:])
        return zeros.index_copy(0, self.places, values).view(*self.mask.shape, *values.shape[1:])

    @property
    def forced(self) -> Tensor:
        """[N, T], true at an EOS that a limit on the length put: nobody chose it."""
        if self.cut is None:
            return torch.zeros_like(self.mask)
        place = torch.arange(self.mask.shape[1], device=self.mask.device)
        last = place == (self.length - 1).unsqueeze(1)
        return self.mask & ~self.given & last & self.cut.unsqueeze(1)

    @property
    def drawn(self) -> Tensor:
        """[N, T], true where the token was the policy's choice: neither given nor a forced EOS."""
        return self.mask & ~self.given & ~self.forced


@dataclass(frozen=True)
class Clock:
    """Where a stage stands, and the only source of the algorithms' randomness.

    update    optimizer updates done before this one
    epoch     passes over the data completed
    fraction  of the stage's budget that is spent, in [0, 1]
    seed      of the stage
    share     of the budget that one update spends

    Noise is a pure function of (seed, update, stream), so that a resumed run needs no
    generator's state, and a batch that is split draws what the whole one would have drawn.
    """

    update: int = 0
    epoch: int = 0
    fraction: float = 0.0
    seed: int = 0
    share: float = 0.0

    def uniform(self, stream: str, steps: int, batch: Batch, group: int = 1) -> Tensor:
        """[steps, B * group] numbers in [0, 1), the same for a sentence however its batch is split.

        `stream` names what the noise is for; two draws under one name are equal.
        """
        device = batch.target.device
        generator = torch.Generator(device)
        generator.manual_seed(derived_seed(self.seed, self.update, stream))
        noise = torch.rand(steps, batch.total * group, generator=generator, device=device)
        start = batch.offset * group
        return noise[:, start : start + len(batch) * group]

    def shared(self, stream: str, steps: int) -> Tensor:
        """[steps] numbers in [0, 1) that all sentences of an update share, on the CPU."""
        generator = torch.Generator().manual_seed(derived_seed(self.seed, self.update, stream))
        return torch.rand(steps, generator=generator)


def derived_seed(*parts: object) -> int:
    """A 63-bit seed that depends on every part and on their order."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def token_places(mask: Tensor) -> Tensor:
    """[P], where a mask [N, T] is true, as places in the flattened one."""
    return mask.flatten().nonzero().squeeze(1)


def at(places: Tensor, values: Tensor) -> Tensor:
    """[P, ...], the values [N, T, ...] at places [P] of the flattened [N, T]."""
    return values.flatten(0, 1).index_select(0, places)


def shift_right(tokens: Tensor, first: int) -> Tensor:
    """[N, T] tokens moved one step to the right, `first` in front, the last one dropped."""
    return torch.cat([torch.full_like(tokens[:, :1], first), tokens[:, :-1]], dim=1)
