from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqrl.data.batching import Batches, Split, collate, sequential
from seqrl.data.corpus import Example
from seqrl.types import Specials

SPECIALS = Specials(pad=0, unk=1, bos=2, eos=3)


def split_of(lengths: list[tuple[int, int]]) -> Split:
    """A split with sources and targets of these lengths, EOS of the target counted."""
    return Split(
        name="train",
        sources=[[5] * source for source, _ in lengths],
        references=[[[6] * (target - 1) + [3]] for _, target in lengths],
        examples=[Example("x", ("y",)) for _ in lengths],
        source_pad=9,
        specials=SPECIALS,
    )


def random_split(size: int) -> Split:
    generator = torch.Generator().manual_seed(1)
    draw = torch.randint(2, 40, (size, 2), generator=generator).tolist()
    return split_of([(source, target) for source, target in draw])


def test_collate_pads_each_side_with_its_own_symbol():
    split = Split(
        name="dev",
        sources=[[4, 5], [4], [4, 5, 6]],
        references=[[[7, 3]], [[7, 8, 3], [3], [7, 8, 7, 3]], [[8, 3], [7, 3]]],
        examples=[Example("x", ("y",))] * 3,
        source_pad=9,
        specials=SPECIALS,
    )
    batch = collate(split, [2, 1])
    assert batch.source.tolist() == [[4, 5, 6], [4, 9, 9]]
    assert batch.target.tolist() == [[8, 3, 0], [7, 8, 3]]
    assert batch.references.tolist() == [
        [[8, 3, 0, 0], [7, 3, 0, 0], [0, 0, 0, 0]],
        [[7, 8, 3, 0], [3, 0, 0, 0], [7, 8, 7, 3]],
    ]
    assert batch.source_mask.sum(1).tolist() == [3, 1]
    assert batch.target_length.tolist() == [1, 2]
    assert batch.target_inputs.tolist() == [[2, 8, 3], [2, 7, 8]]
    assert batch.source.dtype == batch.target.dtype == torch.int64
    assert (batch.source_pad, batch.specials, batch.total) == (9, SPECIALS, 2)


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=80),
    size=st.integers(1, 60),
    unit=st.sampled_from(["sentences", "tokens"]),
    cache=st.integers(1, 5),
    epoch=st.integers(0, 3),
)
def test_an_epoch_holds_every_sentence_once_in_batches_of_the_size(
    lengths, size, unit, cache, epoch
):
    batches = Batches(split_of(lengths), size=size, unit=unit, cache=cache, seed=3)
    order = batches.order(epoch)
    assert Counter(i for batch in order for i in batch) == Counter(range(len(lengths)))
    assert len(order) == batches.length(epoch)
    for batch in order:
        longest = max(max(lengths[i]) for i in batch)
        used = len(batch) if unit == "sentences" else len(batch) * longest
        assert used <= size or len(batch) == 1


def test_order_is_a_function_of_seed_and_epoch_alone():
    split = random_split(500)
    batches = Batches(split, size=7, seed=1)
    first, second = batches.order(0), batches.order(1)
    assert first != second
    fresh = Batches(split, size=7, seed=1)
    assert fresh.order(1) == second
    assert fresh.order(0) == first
    assert Batches(split, size=7, seed=2).order(0) != first


def test_an_interrupted_epoch_continues_where_it_stood():
    batches = Batches(random_split(100), size=8, seed=5)
    whole = [batch.source.tolist() for batch in batches.iterate(2)]
    rest = [batch.source.tolist() for batch in Batches(batches.split, size=8, seed=5).iterate(2, 5)]
    assert len(whole) == len(batches) == 13
    assert rest == whole[5:]


def test_each_cache_is_sorted_by_length_and_its_batches_are_shuffled():
    split = random_split(400)
    batches = Batches(split, size=10, cache=20, seed=0)
    order = batches.order(0)
    parts = [order[:20], order[20:]]
    for part in parts:
        keys = [[split.lengths(i) for i in batch] for batch in part]
        by_longest = sorted(keys, reverse=True)
        assert keys != by_longest  # shuffled
        flat = [key for batch in by_longest for key in batch]
        assert flat == sorted(flat, reverse=True)  # and cut from one sorted list
    members = [{i for batch in part for i in batch} for part in parts]
    assert members[0].isdisjoint(members[1])


def test_sorting_saves_padding():
    split = random_split(2000)

    def padding(cache: int) -> float:
        batches = Batches(split, size=20, cache=cache, seed=0)
        sources = [batch.source for batch in batches.iterate(0)]
        return sum((s == 9).sum().item() for s in sources) / sum(s.numel() for s in sources)

    assert padding(1) > 0.4
    assert padding(50) < 0.05


def test_sequential_goes_through_all_longest_first_and_keeps_indices():
    split = split_of([(1, 2), (5, 2), (3, 4), (3, 2), (5, 3)])
    batches = list(sequential(split, 2))
    assert [indices for indices, _ in batches] == [[4, 1], [2, 3], [0]]
    for indices, batch in batches:
        assert batch.source_mask.sum(1).tolist() == [len(split.sources[i]) for i in indices]


def test_settings_are_checked():
    split = random_split(3)
    with pytest.raises(ValueError, match="unit"):
        Batches(split, size=2, unit="words")
    with pytest.raises(ValueError, match="at least 1"):
        Batches(split, size=0)
    with pytest.raises(ValueError, match="empty"):
        Batches(split_of([]), size=1)
