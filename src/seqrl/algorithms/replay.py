"""Whole sequences that were played, and the memory from which they are learned again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from seqrl.ranges import require
from seqrl.types import Trajectories, shift_right


@dataclass(frozen=True)
class Plays:
    """N sequences with all that is learned from them; zero and false behind their ends.

    Kept are tokens, not the states of networks, as is usual with feed-forward ones: a recurrent
    state is that of the weights which made it, and grows stale while these learn.

    source, source_mask  [N, S]
    tokens               [N, T], what was played
    states               [N, T], true where a network is asked: up to and including EOS
    actions              [N, T], true where the token was chosen among several
    rewards              [N, T], of the actions
    log_prior            [N, T], log p of the tokens
    normaliser           [N, T], log sum_w exp of the prior's logits
    ended                [N], whether nothing comes after the last action; a sequence that a limit
                         on the length cut would have gone on
    """

    source: Tensor
    source_mask: Tensor
    tokens: Tensor
    states: Tensor
    actions: Tensor
    rewards: Tensor
    log_prior: Tensor
    normaliser: Tensor
    ended: Tensor

    def __len__(self) -> int:
        return len(self.tokens)

    def trajectories(self, bos: int) -> Trajectories:
        """The sequences with all states in their mask."""
        inputs = shift_right(self.tokens, bos)
        return Trajectories(inputs, self.tokens, self.states, torch.zeros_like(self.states))

    def trimmed(self) -> Plays:
        """The same without the columns that are empty."""
        widths = {"source": width(self.source_mask), "tokens": width(self.states)}
        return Plays(
            **{
                name: value
                if value.dim() == 1
                else value[:, : widths["source" if name.startswith("source") else "tokens"]]
                for name, value in vars(self).items()
            }
        )

    def to(self, device: torch.device) -> Plays:
        return Plays(**{name: value.to(device) for name, value in vars(self).items()})


class Replay:
    """The last `size` sequences that were played, on the CPU."""

    def __init__(self, size: int) -> None:
        require(size >= 1, f"memory must hold at least 1 sequence, not {size}")
        self.size = size
        self.played = 0  # ever
        self._kept: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return min(self.played, self.size)

    def add(self, plays: Plays) -> None:
        """Keep these; the oldest go where there is no room."""
        rows = torch.arange(self.played, self.played + len(plays))[-self.size :] % self.size
        for name, value in vars(plays).items():
            new = value[-self.size :].cpu()
            kept = self._kept.get(name)
            if kept is None:
                kept = new.new_zeros(self.size, *new.shape[1:])
            if new.dim() > 1:
                kept, new = (pad(v, (0, max(0, w - v.shape[1]))) for v, w in both(kept, new))
            kept[rows] = new
            self._kept[name] = kept
        self.played += len(plays)

    def draw(self, noise: Tensor) -> Plays:
        """One sequence for each number of noise [N] in [0, 1), all of them equally likely."""
        rows = (noise.double() * len(self)).long().cpu()
        found = Plays(**{name: value[rows] for name, value in self._kept.items()})
        return found.trimmed().to(noise.device)

    def state_dict(self) -> dict[str, Any]:
        kept = {name: value[: len(self)] for name, value in self._kept.items()}
        return {"played": self.played, "kept": kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._kept, self.played = {}, 0
        if state["kept"]:
            self.add(Plays(**state["kept"]))
        self.played = state["played"]


def width(mask: Tensor) -> int:
    """Columns of a mask [N, T] up to the last one with something in it."""
    filled = mask.any(0).nonzero()
    return int(filled[-1]) + 1 if len(filled) else 0


def both(a: Tensor, b: Tensor) -> list[tuple[Tensor, int]]:
    """Two tables, each with the other's width."""
    return [(a, b.shape[1]), (b, a.shape[1])]
