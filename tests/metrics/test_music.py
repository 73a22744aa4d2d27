"""The rules of music theory on melodies: numbers by hand, and slow words beside quick tensors."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from seqrl.melody import FIRST, HOLD, NUMBERS, OFF, SYMBOLS
from seqrl.metrics import music


def notes(text: str) -> Tensor:
    """Symbols [1, T] of words."""
    return torch.tensor([[NUMBERS[word] for word in text.split()]])


def of(term: Callable[[Tensor], Tensor], text: str) -> list[float]:
    [row] = term(notes(text)).tolist()
    return [float(value) for value in row]


def where(term: Callable[[Tensor], Tensor], text: str) -> list[int]:
    """The steps, from 0, at which a rule holds."""
    [row] = term(notes(text)).tolist()
    return [step for step, value in enumerate(row) if value]


def test_sharps_are_out_of_key_and_nothing_else_is() -> None:
    assert of(music.key, "C4 C#4 - off F#5 B3 A#4") == [0, -1, 0, 0, -1, 0, -1]
    outside = {word for word in SYMBOLS if of(music.key, word) == [-1]}
    assert outside == {word for word in SYMBOLS if "#" in word}


def test_the_tonic_begins_and_ends() -> None:
    ending = " ".join(["D4"] * 27)
    assert where(music.on_tonic, f"C4 {ending} C4 - - off") == [0, 28, 29, 30, 31]
    assert where(music.on_tonic, f"C5 {ending} C3 off off D4") == [30]
    assert where(music.on_tonic, f"C4 {ending} D4 - off -") == [0, 29, 30, 31]
    assert of(music.tonic, "C4 C4") == [3, 0]
    assert music.tonic(notes("D4 D4 C4 - - -"), steps=6).tolist() == [[0, 0, 3, 3, 3, 3]]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("C4 C4 C4 C4 C4", []),  # four before it
        ("C4 C4 C4 C4 C4 C4 C4", [5, 6]),
        ("C4 D4 C4 D4 C4 D4 C4 D4 C4 D4 C4 D4", []),
        ("C4 - C4 - C4 - C4 - C4 - C4 -", []),
        ("C4 - C4 C4 C4 C4 C4 C4 C4", [8]),  # seven before it, a hold between
        ("C4 - - - - - -", [6]),  # five holds before it
        ("C4 - - - - - D4 - -", []),
        ("off - off - off", [4]),  # two rests before it
        ("C4 off D4 off E4 off F4 off", []),
        ("C4 C4 C4 C4 C4 off C4 C4 C4", [8]),
    ],
)
def test_what_is_repeated_too_often(text: str, steps: list[int]) -> None:
    assert where(music.excessive, text) == steps
    assert of(music.repeats, text) == [-100.0 * (t in steps) for t in range(len(text.split()))]


def test_autocorrelation_by_hand() -> None:
    # Numbers 2, 4, 2: mean 8/3, deviations -2/3, 4/3, -2/3, variance 8/9.
    found = music.autocorrelation(notes("C3 D3 C3"), 1)[0].tolist()
    assert math.isnan(found[0])
    assert found[1:] == pytest.approx([-1 / 2, 2 * (-8 / 9) / (3 * 8 / 9)])
    assert music.autocorrelation(notes("C3 D3 C3"), 2)[0, 2].item() == pytest.approx(1 / 6)
    # |c| of the lags 1, 2 and 3: 1/2; then 2/3 and 1/6.
    expected = [0, -3 / 2, -3 * (2 / 3 + 1 / 6)]
    assert of(music.correlation, "C3 D3 C3") == pytest.approx(expected)
    beyond = music.correlation(notes("C3 D3 C3"), threshold=0.2)[0, 2].item()
    assert beyond == pytest.approx(-2)
    assert of(music.correlation, "E4 E4 E4 E4") == [0, 0, 0, 0]


def test_a_motif_has_three_different_notes_in_eight_symbols() -> None:
    text = "C4 - D4 - E4 - off - C4 - - - - - - -"
    assert where(music.in_motif, text) == [7, 8, 9]
    assert music.distinct(notes(text))[0, 6:12].tolist() == [0, 3, 3, 3, 2, 2]
    five = "C4 D4 E4 F4 G4 - - - - - -"
    assert of(music.motif, five) == pytest.approx([0] * 7 + [3.6, 3.3, 3, 0])


def test_a_repeated_motif_stands_before_itself_in_full() -> None:
    bar = "C4 - D4 - E4 F4 - off"
    assert where(music.in_repeated_motif, f"{bar} {bar}") == [15]
    assert of(music.repeated_motif, f"{bar} {bar}")[15] == 5
    assert where(music.in_repeated_motif, f"{bar} G4 {bar}") == [16]
    assert where(music.in_repeated_motif, f"{bar} {bar.replace('F4', 'G4')}") == []
    other = "C4 - D4 - - - - -"
    assert where(music.in_repeated_motif, f"{other} {other}") == []  # no motif
    assert where(music.in_repeated_motif, " ".join(["C4 D4 E4 F4"] * 3)) == []  # it overlaps


@pytest.mark.parametrize(
    ("text", "worth"),
    [
        ("C4", 0.0),
        ("C4 -", 0.3),
        ("G4 off", 0.15),
        ("D4 -", 0.075),
        ("D4 - off", 0.05),
        ("off", 0.0),
        ("- -", 0.0),
        ("C4 C4", 0.0),
        ("C4 C#4", 0.0),
        ("C4 D4", 0.08),
        ("D4 C4", 0.08),
        ("C4 - off D4", 0.08),
        ("C4 D#4", 0.0),
        ("C4 E4", 0.15),
        ("E4 C4", 0.15),
        ("F4 A4", 0.09),
        ("C4 F4", 0.07),
        ("C4 F#4", 0.0),
        ("C4 G4", 0.1),
        ("G4 C4", 0.1),
        ("D4 A4", 0.02),
        ("C4 A4", 0.05),
        ("C4 A#4", 0.0),
        ("C4 B4", -0.3),
        ("C4 C5", 0.0),
        ("C4 C#5", -1.0),
        ("B5 C3", -1.0),
    ],
)
def test_what_an_interval_is_worth(text: str, worth: float) -> None:
    assert of(music.intervals, text)[-1] == pytest.approx(5 * worth)


def test_leaps_are_resolved_or_doubled() -> None:
    steps = "- - - - - -"
    cases: dict[str, tuple[list[int], list[int]]] = {
        "C4 G4 E4 C4": ([3], []),  # returns step by step
        "C4 G4 E4 D4 B3": ([4], []),  # beyond where it came from
        "G4 C4 E4 G4": ([3], []),
        "C4 F4 C4": ([], []),  # a fourth is no leap
        "C4 E4 G4 C4": ([], []),  # but the last is, and stays open
        "C4 G4 D5": ([], [2]),
        "C4 G4 D5 C5 A4 F4 C4": ([], [2]),  # A4 to F4 to C4: not yet there, then ...
        "C4 G4 C4": ([], []),  # leaps back at once
        f"C4 G4 {steps} C4": ([], []),  # six steps since: not enough
        f"C4 G4 {steps} - C4": ([9], []),
        f"C4 G4 {steps} - D5": ([], [9]),
        "C4 G4 C4 G4 E4 C4": ([5], []),  # the second leap is ended, the third is open
    }
    cases["C4 G4 D5 C5 A4 F4 C4"] = ([6], [2])  # by a fourth, to where the first one began
    for text, (resolved, doubled) in cases.items():
        assert where(lambda n: music.leaps(n)[0], text) == resolved, text
        assert where(lambda n: music.leaps(n)[1], text) == doubled, text
    assert of(music.leaping, "C4 G4 D5 C5 A4 F4 C4") == [0, 0, -5, 0, 0, 0, 5]


def test_extremes_are_of_notes_that_began_once() -> None:
    def last(text: str) -> float:
        return music.extremes(notes(text), steps=len(text.split()))[0, -1].item()

    assert last("C4 E4 D4 -") == 6
    assert last("C4 E4 C4 -") == 3
    assert last("E4 - C4 E4") == 3
    assert last("C4 E4 C4 E4") == 0
    assert last("C4 - - -") == 6
    assert last("- off - -") == 0
    assert music.extremes(notes("C4 E4 D4 -"), steps=3).tolist() == [[0, 0, 6, 0]]


def slow(row: list[int]) -> dict[str, float]:
    """What the last symbol of a melody is worth by each rule, in plain words."""
    past, now = row[:-1], row[-1]
    found = dict.fromkeys(music_names(), 0.0)
    if now >= FIRST and "#" in SYMBOLS[now]:
        found["key"] = -1.0
    place = len(past)
    if (place in (0, 28) and SYMBOLS[now] == "C4") or (29 <= place < 32 and now == HOLD):
        found["tonic"] = 3.0
    if 30 <= place < 32 and now == OFF:
        found["tonic"] = 3.0
    run = []
    for symbol in reversed(past):
        if symbol >= FIRST and symbol != now:
            break
        run.append(symbol)
    same = run.count(now)
    if same > (6 if len(run) > same else 4) or (now == OFF and same > 1):
        found["repeats"] = -100.0
    if len(set(row)) > 1:
        x = np.array(row) - np.mean(row)
        for lag in (1, 2, 3):
            c = sum(x[i] * x[i + lag] for i in range(len(x) - lag)) / (x @ x)
            found["correlation"] -= 3 * abs(c) * (abs(c) > 0.15)
    kinds = len({symbol for symbol in row[-8:] if symbol >= FIRST})
    if len(row) >= 8 and kinds >= 3:
        found["motif"] = 3 + 0.3 * (kinds - 3)
        if any(row[i : i + 8] == row[-8:] for i in range(len(row) - 15)):
            found["repeated_motif"] = 1 + kinds
    return found


def music_names() -> list[str]:
    return ["key", "tonic", "repeats", "correlation", "motif", "repeated_motif"]


def melodies(count: int, length: int = 32) -> list[list[int]]:
    """Random ones, with few notes, many holds and some repetition."""
    choice = random.Random(3)
    rows = []
    for _ in range(count):
        own = [OFF, HOLD, HOLD, *choice.sample(range(FIRST, len(SYMBOLS)), choice.randint(1, 5))]
        row = choice.choices(own, k=length)
        if choice.random() < 0.5:
            row[8:16] = row[:8]
            row[20:28] = row[4:12]
        rows.append(row)
    return rows


def test_all_steps_at_once_are_what_plain_words_say() -> None:
    rows = melodies(60)
    batch = torch.tensor(rows)
    quick = {name: getattr(music, name)(batch) for name in music_names()}
    met = dict.fromkeys(quick, 0)
    for n, row in enumerate(rows):
        for t in range(len(row)):
            for name, value in slow(row[: t + 1]).items():
                assert quick[name][n, t].item() == pytest.approx(value), (name, row[: t + 1])
                met[name] += bool(value)
    assert min(met.values()) > 25  # every rule was met


@pytest.mark.parametrize("term", music.TERMS)
def test_the_first_steps_may_be_left_out(term: Callable[..., Tensor]) -> None:
    batch = torch.tensor(melodies(20))
    whole = term(batch)
    for first in (0, 1, 6, 7, 8, 20, 31):
        assert torch.equal(term(batch, first=first), whole[:, first:])


@pytest.mark.parametrize("term", music.TERMS)
def test_a_step_is_worth_what_it_is_worth_whatever_follows(
    term: Callable[[Tensor], Tensor],
) -> None:
    batch = torch.tensor(melodies(20))
    whole = term(batch)
    for t in (1, 9, 20, 31):
        assert torch.equal(term(batch[:, :t]), whole[:, :t])


def test_the_theory_is_the_sum_of_its_rules() -> None:
    batch = torch.tensor(melodies(20))
    total = sum(term(batch).double() for term in music.TERMS)
    assert torch.equal(music.theory(batch), torch.as_tensor(total))
    # C4, held: each step 1.5 for the hold, the sixth hold and all after it are too many.
    held = of(music.theory, "C4 - - - - - -")
    assert held[0] == 3
    assert held[6] - held[5] == pytest.approx(-100, abs=2)
