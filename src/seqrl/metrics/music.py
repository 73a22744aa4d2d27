"""The music theory of Jaques et al. (2017) on melodies, note by note.

Melodies are symbols of `seqrl.melody`, notes [N, T]; every function gives, for each step t from
`first` on, what follows from y_1..t alone. The rules are the paper's in words; where words leave
something open, the released code (magenta, rl_tuner) decides, and so do its constants. The key is
C major, its tonic C4.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot, pad

from seqrl.melody import FIRST, HOLD, NOTES, OFF, STEPS

KEY = (0, 2, 4, 5, 7, 9, 11)
"""Semitones above C of the notes of C major."""
TONIC = FIRST + 12
"""The symbol of C4."""
LAGS = (1, 2, 3)
BAR = 8
"""Symbols in which a motif is looked for, the paper's bar."""
MOTIF = 3
"""Different notes that make a motif."""
FIFTH, OCTAVE = 7, 12
"""Semitones."""
NONE = -1
"""Where there is no note."""


def on_degree(notes: Tensor, *degrees: int) -> Tensor:
    """[N, T], whether they are notes so many semitones above a C."""
    above = torch.tensor(degrees, device=notes.device)
    return (notes >= FIRST) & torch.isin((notes - FIRST) % 12, above)


def out_of_key(notes: Tensor) -> Tensor:
    """[N, T], whether a note begins that is not of C major."""
    return (notes >= FIRST) & ~on_degree(notes, *KEY)


def on_tonic(notes: Tensor, steps: int = STEPS) -> Tensor:
    """[N, T], whether the symbol is what the tonic's rule wants there.

    C4 at the first step and at the fourth from the end; behind this a hold, and at the last two
    steps a rest will do too. Each is judged by itself.
    """
    place = torch.arange(notes.shape[1], device=notes.device)
    begins = (place == 0) | (place == steps - 4)
    ends = ((place >= steps - 3) & (place < steps) & (notes == HOLD)) | (
        (place >= steps - 2) & (place < steps) & (notes == OFF)
    )
    return (begins & (notes == TONIC)) | ends


def excessive(
    notes: Tensor, plain: int = 4, broken: int = 6, rests: int = 1, *, first: int = 0
) -> Tensor:
    """[N, T - first], whether the symbol stood too often before.

    It is counted backwards to the first note that is another one: more than `plain` times is too
    often, or more than `broken` where holds or rests stand between; of rests, more than `rests`.
    Holds are symbols like others, as released: after a note the sixth of them is too many.
    """
    now, then = notes[:, first:].unsqueeze(2), notes.unsqueeze(1)
    earlier = torch.ones_like(now == then).tril(first - 1)
    other = earlier & (then >= FIRST) & (then != now)
    since = earlier & (other.flip(2).cumsum(2).flip(2) == 0)
    count = (since & (then == now)).sum(2)
    between = (since & (then < FIRST) & (then != now)).any(2)
    limit = torch.where(between, broken, plain)
    return (count > limit) | ((now.squeeze(2) == OFF) & (count > rests))


def autocorrelation(notes: Tensor, lag: int) -> Tensor:
    """[N, T], that of the symbols' numbers up to each step; not a number where all are equal.

    c = sum_i (x_i - m) (x_{i + lag} - m) / (t v), m and v the mean and the variance of t numbers.
    """
    x = notes
    count = torch.arange(1, x.shape[1] + 1, device=x.device)
    total = x.cumsum(1)
    spread = count * (x * x).cumsum(1) - total**2  # t^2 v, a whole number
    ahead = pad(x, (lag, 0))[:, : x.shape[1]]  # x_{i - lag}
    early = ahead.cumsum(1)
    late = total - x[:, :lag].sum(1, keepdim=True)
    pairs = (count - lag).clamp(min=0)
    late = late.masked_fill(pairs == 0, 0)
    # t^2 sum (x_i - m) (x_{i + lag} - m), a whole number
    product = count**2 * (x * ahead).cumsum(1) - count * total * (early + late) + pairs * total**2
    return product.double() / (count * spread).double()


def distinct(notes: Tensor, *, first: int = 0) -> Tensor:
    """[N, T - first], different notes among the last `BAR` symbols; 0 before there are so many."""
    own = _since(notes, first)
    there = one_hot(own.clamp(min=HOLD), FIRST + NOTES)[..., FIRST:]
    counted = pad(there.cumsum(1), (0, 0, 1, 0))
    found = ((counted[:, BAR:] - counted[:, :-BAR]) > 0).sum(2)
    found[:, : max(0, BAR - 1 - first)] = 0
    return found


def in_motif(notes: Tensor, *, first: int = 0) -> Tensor:
    """[N, T - first], whether the last `BAR` symbols are a motif."""
    return distinct(notes, first=first) >= MOTIF


def in_repeated_motif(notes: Tensor, *, first: int = 0) -> Tensor:
    """[N, T - first], whether these are a motif, and stand once more before they began."""
    steps = notes.shape[1]
    # [N, T - first + BAR - 1, T + BAR - 1], whether two symbols are the same
    same = _since(notes, first).unsqueeze(2) == pad(notes, (BAR - 1, 0), value=NONE).unsqueeze(1)
    again = torch.stack(
        [same[:, back : back + steps - first, back : back + steps] for back in range(BAR)]
    ).all(0)
    return again.tril(first - BAR).any(2) & in_motif(notes, first=first)


def _since(notes: Tensor, first: int) -> Tensor:
    """The symbols from `BAR` - 1 before the first on; NONE where there are not so many."""
    start = first - BAR + 1
    return pad(notes[:, max(0, start) :], (max(0, -start), 0), value=NONE)


def before(notes: Tensor) -> Tensor:
    """[N, T], the last note that began before; NONE where there was none."""
    place = torch.arange(notes.shape[1], device=notes.device).expand_as(notes)
    last = pad(place.masked_fill(notes < FIRST, -1).cummax(1).values, (1, -1), value=-1)
    return notes.gather(1, last.clamp(min=0)).masked_fill(last < 0, NONE)


def leaps(notes: Tensor, apart: int = 6) -> tuple[Tensor, Tensor]:
    """[N, T], whether a leap is resolved, and whether it is followed by another the same way.

    A leap is a fifth or more. It is open until the melody comes back to where it began, which
    resolves it, or leaps the other way, which resolves it after more than `apart` steps and else
    only ends it. A second leap the same way leaves the first open.
    """
    previous = before(notes)
    interval = (notes - previous).masked_fill((notes < FIRST) | (previous == NONE), 0)
    leapt = interval.abs() >= FIFTH
    rows = notes[:, 0]
    direction, origin, waited = (torch.zeros_like(rows) for _ in range(3))
    resolved, doubled = [], []
    for t in range(notes.shape[1]):
        note, leap, way = notes[:, t], leapt[:, t], interval[:, t].sign()
        open_ = direction != 0
        back = leap & open_ & (way != direction)
        returned = ~leap & open_ & (note >= FIRST) & ((note - origin) * direction <= 0)
        resolved.append(returned | (back & (waited > apart)))
        doubled.append(leap & open_ & (way == direction))
        new = leap & ~open_
        origin = torch.where(new, previous[:, t], origin)
        direction = torch.where(new, way, direction.masked_fill(back | returned, 0))
        waited = torch.where(leap, 0, waited + (t > 0))
    return torch.stack(resolved, 1), torch.stack(doubled, 1)


def unique(notes: Tensor, highest: bool, *, first: int = 0) -> Tensor:
    """[N, T - first], whether the highest note up to each step, or the lowest, began once."""
    sign = 1 if highest else -1
    least = -FIRST - NOTES
    height = (sign * notes).masked_fill(notes < FIRST, least)
    most = height.cummax(1).values[:, first:]
    equal = (height.unsqueeze(1) == most.unsqueeze(2)).tril(first)
    return (equal.sum(2) == 1) & (most > least)


# What each step is worth, [N, T - first], with the constants of the released code.


def key(notes: Tensor, *, first: int = 0, penalty: float = -1.0) -> Tensor:
    """A note out of key."""
    return penalty * out_of_key(notes[:, first:])


def tonic(notes: Tensor, *, first: int = 0, reward: float = 3.0, steps: int = STEPS) -> Tensor:
    """What `on_tonic` wants."""
    return reward * on_tonic(notes, steps)[:, first:]


def repeats(
    notes: Tensor,
    *,
    first: int = 0,
    penalty: float = -100.0,
    plain: int = 4,
    broken: int = 6,
    rests: int = 1,
) -> Tensor:
    """A symbol that stood too often before, see `excessive`."""
    return penalty * excessive(notes, plain, broken, rests, first=first)


def correlation(
    notes: Tensor, *, first: int = 0, weight: float = 3.0, threshold: float = 0.15
) -> Tensor:
    """-weight sum_lag |c_lag|, of the autocorrelations beyond the threshold."""
    found = torch.stack([autocorrelation(notes, lag)[:, first:].abs() for lag in LAGS])
    return -weight * torch.where(found > threshold, found, 0).sum(0)


def motif(notes: Tensor, *, first: int = 0, reward: float = 3.0, more: float = 0.3) -> Tensor:
    """reward + more (n - 3) where there is a motif, of n different notes."""
    different = distinct(notes, first=first)
    return (reward + more * (different - MOTIF)) * (different >= MOTIF)


def repeated_motif(
    notes: Tensor, *, first: int = 0, reward: float = 4.0, more: float = 1.0
) -> Tensor:
    """reward + more (n - 3) where a motif, of n different notes, stands once more before."""
    different = distinct(notes, first=first)
    return (reward + more * (different - MOTIF)) * in_repeated_motif(notes, first=first)


def intervals(
    notes: Tensor,
    *,
    first: int = 0,
    factor: float = 5.0,
    rest: float = 0.05,
    rest_on_chord: float = 0.15,
    hold: float = 0.075,
    hold_on_chord: float = 0.3,
    second: float = 0.08,
    third: float = 0.09,
    third_in_key: float = 0.15,
    fourth: float = 0.07,
    fifth: float = 0.02,
    fifth_in_key: float = 0.1,
    sixth: float = 0.05,
    seventh: float = -0.3,
    beyond: float = -1.0,
) -> Tensor:
    """factor times what the step from the last note is worth, up or down.

    The intervals are the major ones; others are worth nothing, and beyond an octave `beyond`. A
    rest or a hold counts more after a C or G; a third is in key from a C or E, a fifth from a C
    or G.
    """
    last, notes = before(notes)[:, first:], notes[:, first:]
    chord, third_there = on_degree(last, 0, 7), on_degree(last, 0, 4)
    size = (notes - last).abs()
    found = (size > OCTAVE) * beyond
    for semitones, worth in ((2, second), (5, fourth), (9, sixth), (11, seventh)):
        found = found + (size == semitones) * worth
    found = found + (size == 4) * torch.where(third_there, third_in_key, third)
    found = found + (size == FIFTH) * torch.where(chord, fifth_in_key, fifth)
    found = torch.where(notes == HOLD, torch.where(chord, hold_on_chord, hold), found)
    found = torch.where(notes == OFF, torch.where(chord, rest_on_chord, rest), found)
    return factor * found.masked_fill(last == NONE, 0.0)


def leaping(
    notes: Tensor,
    *,
    first: int = 0,
    resolved: float = 5.0,
    doubled: float = -5.0,
    apart: int = 6,
) -> Tensor:
    """A leap that is resolved, and one that is followed by another, see `leaps`."""
    back, again = leaps(notes, apart)
    return (resolved * back + doubled * again)[:, first:]


def extremes(notes: Tensor, *, first: int = 0, reward: float = 3.0, steps: int = STEPS) -> Tensor:
    """At the last step, a highest note that began once, and likewise a lowest."""
    place = torch.arange(first, notes.shape[1], device=notes.device)
    found = unique(notes, True, first=first).int() + unique(notes, False, first=first).int()
    return reward * found * (place == steps - 1)


TERMS = (key, tonic, repeats, correlation, motif, repeated_motif, intervals, leaping, extremes)


def theory(notes: Tensor) -> Tensor:
    """[N, T], the sum of all terms."""
    return torch.stack([term(notes).double() for term in TERMS]).sum(0)
