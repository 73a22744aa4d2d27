"""Tatoeba's archive: many-to-many pairs, split by groups."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from seqrl.cli.data import main
from seqrl.data import tatoeba
from seqrl.data.corpus import CorpusError
from seqrl.data.tatoeba import Pair, connected, prepare, read_pairs, split_by_group
from seqrl.data.text import text

PAIRS = [
    ("Hallo!", "Hi."),
    ("Grüß Gott!", "Hi."),
    ("hallo.", "Hello!"),
    ("Lauf!", "Run!"),
    ("Wer?", "Who?"),
    ("Wer", "Who is it?"),
]


def archive(folder: Path, pairs: Sequence[Pair] = PAIRS, member: str = "deu.txt") -> Path:
    path = folder / "deu-eng.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("_about.txt", "about")
        opened.writestr(member, "".join(f"{english}\t{german}\n" for german, english in pairs))
    return path


def test_sentences_that_translations_connect_are_one_group() -> None:
    first, *others = connected(PAIRS)
    assert others[:2] == [first, first]  # by "Hi.", and by "hallo" without regard to case
    assert others[2] not in (first, others[3])
    assert others[3] == others[4]
    assert len(set(connected([("?", "!"), ("...", "?!")]))) == 2  # no words: as they stand


def test_no_group_is_in_two_splits_and_no_pair_is_lost() -> None:
    pairs = [(f"satz {i // 2}", f"sentence {i}") for i in range(12_000)]
    splits = split_by_group(pairs, seed=1)
    assert sorted(pair for part in splits.values() for pair in part) == sorted(pairs)
    for name in ("dev", "test"):
        sources = {german for german, _ in splits[name]}
        assert len(sources) == 2000
        assert len(splits[name]) == 4000
    german = [{g for g, _ in part} for part in splits.values()]
    assert not german[0] & german[1]
    assert not german[0] & german[2]
    assert not german[1] & german[2]
    assert split_by_group(pairs, seed=1) == splits
    assert split_by_group(pairs, seed=2) != splits


def test_a_large_group_is_for_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tatoeba, "EVALUATION", {"dev": 40, "test": 40})
    pairs = [(f"gruß {i}", "Hi.") for i in range(5)] + [(f"satz {i}", f"s {i}") for i in range(90)]
    for seed in range(9):  # in any order
        splits = split_by_group(pairs, seed)
        assert [p for p in splits["train"] if p[1] == "Hi."] == pairs[:5]
        assert {name: len(part) for name, part in splits.items()} == {
            "train": 15, "dev": 40, "test": 40
        }  # fmt: skip


def test_prepared_files_are_a_corpus_with_several_references(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tatoeba, "EVALUATION", {"dev": 30, "test": 30})
    pairs = [
        pair
        for i in range(100)
        for pair in ((f"Satz Nr. {i}, ja!", f"It's {i}."), (f"Satz Nr. {i}, ja!", f"{i} it is!"))
    ]
    output = tmp_path / "made"
    path = archive(tmp_path, [*pairs, pairs[0]])  # one pair stands there twice
    assert main(["prepare", "tatoeba", str(path), "--output", str(output)]) == 0
    assert "train 80 lines, dev 30 lines, test 30 lines" in capsys.readouterr().out
    corpus = text(data_dir=output, source="de", target="en")
    assert {name: len(examples) for name, examples in corpus.items()} == {
        "train": 80, "dev": 30, "test": 30
    }  # fmt: skip
    example = corpus["dev"][0]
    number = example.source.split()[2]
    assert example.source == f"satz nr. {number} , ja !"
    assert set(example.references) == {f"it &apos;s {number} .", f"{number} it is !"}
    assert set(example.raw) == {f"It's {number}.", f"{number} it is!"}
    assert all(len(e.references) == 1 and not e.raw for e in corpus["train"])


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"no tab here\n", "no tab in line 1"), (b"", "no lines"), (b"\xff\tx\n", "UTF-8")],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "deu.txt"
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=told):
        read_pairs(path)


def test_another_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="manythings"):
        read_pairs(archive(tmp_path, member="fra.txt"))
    with pytest.raises(CorpusError, match="manythings"):
        prepare(tmp_path / "none.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif("SEQRL_DATA" not in os.environ, reason="needs the folder SEQRL_DATA")
def test_the_archive_of_2018() -> None:
    pairs = read_pairs(Path(os.environ["SEQRL_DATA"]) / "tatoeba-de-en" / "deu-eng.zip")
    assert len(pairs) > 165_000
    splits = split_by_group(pairs, seed=0)
    assert {german for german, _ in splits["test"]}.isdisjoint(g for g, _ in splits["train"])
    assert {english for _, english in splits["test"]}.isdisjoint(e for _, e in splits["train"])
    assert len({german for german, _ in splits["test"]}) == 2000
