"""Perturbed references: exact laws where they are enumerable, golden numbers where they are not."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations, product
from types import SimpleNamespace

import pytest
import torch

from seqrl.proposals.base import Proposal
from seqrl.proposals.perturbation import (
    EditSampler,
    HammingSampler,
    NGramReplacement,
    TokenCorruption,
    edit_counts,
    edit_tables,
    ordinary_words,
)
from seqrl.types import Batch, Clock, Trajectories
from tabular import (
    BOS,
    EOS,
    PAD,
    SEQUENCES,
    SIZE,
    UNK,
    WORDS,
    Scripted,
    assert_fits,
    batch_of,
    rows_of,
)

REFERENCES = [
    (4, 5, 6, 4, 5, 6, 4, EOS),
    (6, EOS),
    (EOS,),
    (5, 5, EOS),
    (UNK, 4, UNK, 5, EOS),
    (4, 4, 4, 4, EOS),
]


def draw(
    proposal: Proposal, batch: Batch, clock: Clock | None = None, size: int = SIZE
) -> Trajectories:
    return proposal(SimpleNamespace(target_size=size), None, batch, None, clock or Clock(seed=1))


def assert_well_formed(trajectories: Trajectories, batch: Batch, group: int) -> None:
    assert trajectories.group == group
    assert len(trajectories) == len(batch) * group
    assert trajectories.inputs[:, 0].tolist() == [BOS] * len(trajectories)
    assert torch.equal(trajectories.inputs[:, 1:], trajectories.targets[:, :-1])
    assert torch.equal(trajectories.mask, trajectories.targets != PAD)
    assert not (trajectories.given & ~trajectories.mask).any()
    for row in trajectories.targets.tolist():
        words = row[: row.index(EOS)]
        assert not {PAD, BOS, EOS} & set(words)
        assert set(row[len(words) + 1 :]) <= {PAD}


def edit_distance(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        new = [i + 1]
        for j, y in enumerate(b):
            new.append(min(row[j] + (x != y), row[j + 1] + 1, new[j] + 1))
        row = new
    return row[-1]


ALL = [
    NGramReplacement(samples=40),
    NGramReplacement(samples=40, longest=2, replace_last=False, unk=True),
    HammingSampler(samples=40, tau=1.5, rescale=False),
    EditSampler(samples=40, tau=1.5, rescale=False),
    TokenCorruption(samples=40),
]


@pytest.mark.parametrize("proposal", ALL)
def test_samples_are_sentences_with_one_end(proposal: Proposal) -> None:
    batch = batch_of(REFERENCES, width=11)
    assert_well_formed(draw(proposal, batch), batch, 40)


@pytest.mark.parametrize("proposal", ALL)
def test_the_same_clock_draws_the_same_and_another_does_not(proposal: Proposal) -> None:
    batch = batch_of(REFERENCES)
    first, again = draw(proposal, batch), draw(proposal, batch)
    assert torch.equal(first.targets, again.targets)
    assert rows_of(first.targets) != rows_of(draw(proposal, batch, Clock(seed=2)).targets)
    assert rows_of(first.targets) != rows_of(draw(proposal, batch, Clock(1, seed=1)).targets)


@pytest.mark.parametrize("proposal", ALL)
def test_a_split_batch_draws_what_the_whole_one_draws(proposal: Proposal) -> None:
    batch = batch_of(REFERENCES)
    whole = rows_of(draw(proposal, batch).targets)
    pieces = [piece for part in batch.split(4) for piece in part.split(3)]
    parts = [row for piece in pieces for row in rows_of(draw(proposal, piece).targets)]
    assert parts == whole


@pytest.mark.parametrize("proposal", ALL)
def test_given_marks_what_was_copied(proposal: Proposal) -> None:
    batch = batch_of(REFERENCES)
    trajectories = draw(proposal, batch)
    for n, row in enumerate(trajectories.targets.tolist()):
        kept = [token for token, given in zip(row, trajectories.given[n], strict=True) if given]
        rest = iter(REFERENCES[n // 40])
        assert kept[-1] == EOS
        assert all(token in rest for token in kept)  # a subsequence of the reference


def test_ordinary_words() -> None:
    specials = batch_of([(EOS,)]).specials
    assert ordinary_words(7, specials).tolist() == [4, 5, 6]
    assert ordinary_words(7, specials, unk=True).tolist() == [UNK, 4, 5, 6]


# n-gram replacement


@pytest.mark.parametrize("longest", [1, 2, 4])
def test_an_n_gram_is_replaced_and_nothing_else(longest: int) -> None:
    batch = batch_of(REFERENCES)
    trajectories = draw(NGramReplacement(samples=50, longest=longest), batch)
    changed = trajectories.mask & ~trajectories.given
    target = batch.target.repeat_interleave(50, dim=0)
    assert torch.equal(trajectories.targets[~changed], target[~changed])
    assert torch.equal(trajectories.mask, target != PAD)
    assert torch.equal(trajectories.targets == EOS, target == EOS)
    sizes = set()
    for n, row in enumerate(changed.tolist()):
        places = [t for t, moved in enumerate(row) if moved]
        if n % 50 == 0 or len(REFERENCES[n // 50]) == 1:
            assert not places
            continue
        assert 1 <= len(places) <= min(longest, len(REFERENCES[n // 50]) - 1)
        assert places == list(range(places[0], places[-1] + 1))
        sizes.add(len(places))
    assert sizes == set(range(1, longest + 1))


def test_every_group_begins_with_the_reference() -> None:
    batch = batch_of(REFERENCES)
    trajectories = draw(NGramReplacement(samples=7), batch)
    assert torch.equal(trajectories.targets[::7], batch.target)
    assert torch.equal(trajectories.given[::7], batch.target_mask)


def noise_grid(points: int, steps: int) -> torch.Tensor:
    """[steps, 1 + points^2], every pair of first two numbers at the middles of `points` cells."""
    middles = (torch.arange(points) + 0.5) / points
    grid = torch.cartesian_prod(middles, middles).T
    noise = torch.cat([grid, torch.full((steps - 2, points**2), 0.5)])
    return torch.cat([torch.full((steps, 1), 0.5), noise], dim=1)


@pytest.mark.parametrize(("longest", "replace_last"), [(4, True), (4, False), (2, True), (9, True)])
@pytest.mark.parametrize("words", [1, 2, 3, 5])
def test_size_and_place_of_the_n_gram_are_uniform(
    words: int, longest: int, replace_last: bool
) -> None:
    """On all values of the noise: 60 divides evenly by every number up to 6."""
    batch, points = batch_of([(*(4,) * words, EOS)]), 60
    proposal = NGramReplacement(samples=1 + points**2, longest=longest, replace_last=replace_last)
    noise = noise_grid(points, 2 + longest)
    trajectories = draw(proposal, batch, Scripted(noise))
    changed = (trajectories.mask & ~trajectories.given)[1:].long()
    found = Counter(
        (int(size), int(start))
        for size, start in zip(changed.sum(1), changed.argmax(1), strict=True)
    )
    room = words if replace_last else words - 1
    if not room:
        assert found == {(0, 0): points**2}
        return
    sizes = range(1, min(longest, room) + 1)
    assert found == {
        (n, start): points**2 / len(sizes) / (room - n + 1)
        for n in sizes
        for start in range(room - n + 1)
    }


@pytest.mark.parametrize(("unk", "choices"), [(False, [4, 5, 6]), (True, [UNK, 4, 5, 6])])
def test_new_words_are_uniform_and_independent(unk: bool, choices: list[int]) -> None:
    batch = batch_of([(4, 4, EOS)])
    size, samples = len(choices), 1 + len(choices) ** 2
    middles = (torch.arange(size) + 0.5) / size
    words = torch.cartesian_prod(middles, middles).T
    noise = torch.cat([torch.tensor([[0.9], [0.0]]).expand(2, size**2), words])
    noise = torch.cat([torch.zeros(4, 1), noise], dim=1)
    proposal = NGramReplacement(samples=samples, longest=2, unk=unk)
    found = draw(proposal, batch, Scripted(noise)).targets[1:, :2].tolist()
    assert sorted(found) == [list(pair) for pair in product(choices, choices)]


def test_the_last_word_is_kept_where_it_must_be() -> None:
    batch = batch_of([(4, 4, 4, 6, EOS)])
    kept = draw(NGramReplacement(samples=400, replace_last=False), batch).given[1:, 3]
    free = draw(NGramReplacement(samples=400), batch).given[1:, 3]
    assert kept.all()
    assert not free.all()


# Hamming distance


@pytest.mark.parametrize(
    ("tau", "probability", "none", "mean"),
    [
        (0.85, 0.04985849, 0.359555, 0.997170),
        (0.6, None, 0.995316, None),
        (1.0, 0.268941, None, 5.3788),
    ],
)
def test_golden_replacement_probability(
    tau: float, probability: float | None, none: float | None, mean: float | None
) -> None:
    found = HammingSampler(tau=tau).replacement_probability(22820)
    if probability is not None:
        assert found == pytest.approx(probability, abs=5e-7)
    if none is not None:
        assert (1 - found) ** 20 == pytest.approx(none, abs=1e-6)
    if mean is not None:
        assert 20 * found == pytest.approx(mean, abs=5e-5)


@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("tau", [1e-4, 1e-2, 1e4])
def test_replacement_probability_at_extreme_temperatures(tau: float, rescale: bool) -> None:
    found = HammingSampler(tau=tau, rescale=rescale).replacement_probability(30000)
    # at infinite temperature all strings are equally probable
    assert found == pytest.approx(0 if tau < 1 else 30000 / 30001, abs=1e-6)


def test_moments_at_the_size_of_a_real_vocabulary() -> None:
    batch = batch_of([(*(4,) * 20, EOS)])
    trajectories = draw(HammingSampler(samples=20000, tau=0.85), batch, size=22825)
    replaced = (trajectories.targets != batch.target).sum(1).double()
    assert (replaced == 0).double().mean().item() == pytest.approx(0.359555, abs=0.012)
    assert replaced.mean().item() == pytest.approx(0.997170, abs=0.025)
    assert replaced.var().item() == pytest.approx(20 * 0.04985849 * 0.95014151, abs=0.05)


@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("tau", [0.85, 2.0])
def test_samples_follow_the_exponentiated_payoff(tau: float, rescale: bool) -> None:
    reference = (4, 6, 6, EOS)
    samples = draw(HammingSampler(samples=20000, tau=tau, rescale=rescale), batch_of([reference]))
    found = Counter(rows_of(samples.targets))
    strings = [y for y in SEQUENCES if len(y) == len(reference)]
    scale = 1 + math.log(2) if rescale else 1.0
    mass = [
        math.exp(-scale * sum(a != b for a, b in zip(y, reference, strict=True)) / tau)
        for y in strings
    ]
    assert set(found) <= set(strings)
    assert_fits([found[y] for y in strings], [m / sum(mass) for m in mass])


def test_a_word_never_replaces_itself() -> None:
    batch = batch_of(REFERENCES)
    trajectories = draw(HammingSampler(samples=200, tau=3.0, rescale=False), batch)
    target = batch.target.repeat_interleave(200, dim=0)
    changed = trajectories.mask & ~trajectories.given
    assert changed.any()
    assert (trajectories.targets != target)[changed].all()
    assert torch.equal(trajectories.mask, target != PAD)
    assert torch.equal(trajectories.targets == EOS, target == EOS)


def test_an_unknown_word_becomes_any_word() -> None:
    batch = batch_of([(UNK, EOS)])
    samples = draw(HammingSampler(samples=6000, tau=50.0, rescale=False), batch).targets[:, 0]
    found = Counter(samples.tolist())
    assert set(found) == {UNK, *WORDS}
    replaced = sum(found[w] for w in WORDS)
    assert_fits([found[w] for w in WORDS], [1 / 3] * 3)
    assert replaced > 0


# edit distance


def test_number_of_edit_scripts() -> None:
    # four words, three words in the vocabulary, one edit: 5 insertions, 4 substitutions
    assert sum(edit_counts(1, 4)) * 3**1 == 27
    assert edit_counts(1, 4) == [5, 4]
    # two edits: C(6, 2) insertions; 4 C(4, 1) mixtures; C(4, 2) substitutions
    assert edit_counts(2, 4) == [15, 16, 6]
    assert edit_counts(0, 4) == [1]
    assert edit_counts(3, 1) == [4, 1, 0, 0]


def test_golden_strata() -> None:
    strata, _ = edit_tables(20, 22820, 0.85, True)
    probabilities = strata[20].double().diff(prepend=torch.zeros(1).double())
    assert probabilities[:6].tolist() == pytest.approx(
        [0.12216, 0.26282, 0.27617, 0.18924, 0.0953, 0.0377], abs=6e-6
    )
    mean = (probabilities * torch.arange(21)).sum().item()
    assert mean == pytest.approx(2.058, abs=5e-4)


@pytest.mark.parametrize("rescale", [True, False])
def test_strata_are_counts_of_scripts_times_the_payoff(rescale: bool) -> None:
    tau, words, m = 0.7, 3, 4
    strata, substitutions = edit_tables(6, words, tau, rescale)
    mass = [
        sum(edit_counts(e, m))
        * words**e
        * math.exp(-e / tau)
        * (words ** (-e / tau) if rescale else 1.0)
        for e in range(m + 1)
    ]
    found = strata[m].double().diff(prepend=torch.zeros(1).double())
    assert found.tolist() == pytest.approx([*(x / sum(mass) for x in mass), 0, 0], abs=1e-6)
    inner = substitutions[m, 2].double().diff(prepend=torch.zeros(1).double())
    assert inner.tolist() == pytest.approx([15 / 37, 16 / 37, 6 / 37, 0, 0, 0, 0], abs=1e-6)


def test_drawn_edits_follow_the_strata() -> None:
    m, samples, tau = 5, 20000, 1.3
    batch = batch_of([(*(4,) * m, EOS)])
    trajectories = draw(EditSampler(samples=samples, tau=tau, rescale=False), batch, size=40)
    edits = Counter((trajectories.mask & ~trajectories.given).sum(1).tolist())
    strata, _ = edit_tables(16, 36, tau, False)
    probabilities = strata[m].double().diff(prepend=torch.zeros(1).double())[: m + 1]
    assert_fits([edits[e] for e in range(m + 1)], probabilities.tolist())


def test_edits_bound_the_distance_and_insertions_the_length() -> None:
    batch, group = batch_of(REFERENCES), 100
    trajectories = draw(EditSampler(samples=group, tau=2.0, rescale=False), batch)
    edits = (trajectories.mask & ~trajectories.given).sum(1).tolist()
    kept = trajectories.given.sum(1).tolist()
    for n, y in enumerate(rows_of(trajectories.targets)):
        reference = REFERENCES[n // group]
        substituted = len(reference) - kept[n]
        assert edit_distance(y, reference) <= edits[n] <= len(reference) - 1
        assert len(y) == len(reference) + edits[n] - substituted
    assert any(len(y) > 8 for y in rows_of(trajectories.targets))


def script_law(reference: tuple[int, ...], tau: float) -> Counter[tuple[int, ...]]:
    """The law of the edit sampler's strings, script by script; words all equally probable."""
    m, size = len(reference), len(WORDS)
    mass = [sum(edit_counts(e, m)) * size**e * math.exp(-e / tau) for e in range(m + 1)]
    law: Counter[tuple[int, ...]] = Counter()
    for e in range(m + 1):
        counts = edit_counts(e, m)
        for s in range(e + 1):
            if not counts[s]:
                continue
            script = mass[e] / sum(mass) / sum(counts) / size**e
            for substituted in combinations(range(m), s):
                for inserted in combinations(range(m + e - 2 * s), e - s):
                    for words in product(WORDS, repeat=e):
                        law[_apply(reference, substituted, inserted, words)] += script
    return law


def _apply(
    reference: tuple[int, ...],
    substituted: tuple[int, ...],
    inserted: tuple[int, ...],
    words: tuple[int, ...],
) -> tuple[int, ...]:
    """Slots hold insertions and kept words; substituted words stand before the next kept one."""
    new, place, result = iter(words), 0, []
    slots = len(reference) - len(substituted) + len(inserted)
    for slot in range(slots):
        if slot in inserted:
            result.append(next(new))
            continue
        while place in substituted:
            result.append(next(new))
            place += 1
        result.append(reference[place])
        place += 1
    while place < len(reference):
        result.append(next(new))
        place += 1
    return tuple(result)


@pytest.mark.parametrize("reference", [(4, 5), (4, 4), (5, 6, 4)])
def test_samples_follow_the_law_of_the_scripts(reference: tuple[int, ...]) -> None:
    tau, samples = 1.5, 30000
    law = script_law(reference, tau)
    assert sum(law.values()) == pytest.approx(1, abs=1e-12)
    proposal = EditSampler(samples=samples, tau=tau, rescale=False)
    found = Counter(y[:-1] for y in rows_of(draw(proposal, batch_of([(*reference, EOS)])).targets))
    assert set(found) <= set(law)
    strings = sorted(law)
    assert_fits([found[y] for y in strings], [law[y] for y in strings])


@pytest.mark.parametrize("kind", [HammingSampler, EditSampler])
def test_samplers_refuse_unusable_arguments(kind: type[HammingSampler | EditSampler]) -> None:
    with pytest.raises(ValueError, match="samples"):
        kind(samples=0)
    for tau in (0.0, -1.0):
        with pytest.raises(ValueError, match="tau"):
            kind(tau=tau)


def test_replacement_refuses_unusable_arguments() -> None:
    with pytest.raises(ValueError, match="samples"):
        NGramReplacement(samples=0)
    with pytest.raises(ValueError, match="longest"):
        NGramReplacement(longest=0)


def test_corrupted_tokens_are_independent_and_the_first_of_a_group_is_the_reference() -> None:
    """Each word is kept with 1 - p + p / A, or becomes any other one with p / A."""
    reference, p = (4, 6, EOS), 0.3
    samples = draw(TokenCorruption(samples=6001, probability=p), batch_of([reference]))
    rows = rows_of(samples.targets)
    assert rows[0] == reference
    strings = [(*words, EOS) for words in product(WORDS, repeat=2)]
    found = Counter(rows[1:])
    assert set(found) <= set(strings)
    masses = [
        math.prod((1 - p) * (v == w) + p / 3 for v, w in zip(y, reference[:-1], strict=False))
        for y in strings
    ]
    assert sum(masses) == pytest.approx(1)
    assert_fits([found[y] for y in strings], masses)


def test_how_often_a_token_is_corrupted() -> None:
    batch = batch_of(REFERENCES)
    never = draw(TokenCorruption(samples=3, probability=0.0), batch)
    assert torch.equal(never.targets, batch.target.repeat_interleave(3, dim=0))
    assert torch.equal(never.given, never.mask)
    always = draw(TokenCorruption(samples=3, probability=1.0), batch)
    assert torch.equal(always.given[::3], always.mask[::3])
    for copy in (1, 2):
        assert torch.equal(always.given[copy::3], batch.target == EOS)
    defaults = TokenCorruption()
    assert (defaults.samples, defaults.probability) == (6, 0.2)
    for options, message in (({"samples": 0}, "samples"), ({"probability": 1.2}, "probability")):
        with pytest.raises(ValueError, match=message):
            TokenCorruption(**options)
