"""Gigaword's headlines, in every form in which they come."""

from __future__ import annotations

import gzip
import threading
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from seqrl.cli.data import main
from seqrl.data import gigaword as module
from seqrl.data.corpus import CorpusError, Example
from seqrl.data.download import Source
from seqrl.data.gigaword import gigaword, prepare, sample

COUNTS = {"train": 20, "dev": 6, "test": 2}


def texts(split: str) -> dict[str, str]:
    unknown = "UNK" if split == "test" else "<unk>"
    numbers = range(COUNTS[split])
    return {
        "src": "".join(f"{split} {n} {unknown} fell #.# percent .\n" for n in numbers),
        "tgt": "".join(f"{split} {n} falls\n" for n in numbers),
    }


def example(split: str, number: int) -> Example:
    return Example(f"{split} {number} UNK fell #.# percent .", (f"{split} {number} falls",))


def archive(folder: Path, **changed: str) -> Path:
    """The archive with the names that the hub's script has; `train__src` changes a member."""
    folder.mkdir(exist_ok=True)
    path = folder / module.ZIP
    with zipfile.ZipFile(path, "w") as opened:
        for split in COUNTS:
            for side, text in texts(split).items():
                member = f"org_data/{split}.{side}.txt"
                opened.writestr(member, changed.get(f"{split}__{side}", text))
    return path


def plain(folder: Path, dev: str = "dev") -> Path:
    for split in COUNTS:
        for side, text in texts(split).items():
            name = f"{dev if split == 'dev' else split}.{'article' if side == 'src' else 'title'}"
            (folder / name).write_text(text)
    return folder


def test_every_form_gives_the_same_corpus(tmp_path: Path) -> None:
    expected = {split: [example(split, n) for n in range(COUNTS[split])] for split in COUNTS}
    path = archive(tmp_path / "zip")
    for name in ("unpacked", "dev", "valid"):
        (tmp_path / name).mkdir()
    with zipfile.ZipFile(path) as opened:
        opened.extractall(tmp_path / "unpacked")
    plain(tmp_path / "dev")
    plain(tmp_path / "valid", dev="valid")
    for folder in ("unpacked", "unpacked/org_data", "dev", "valid", "zip"):
        assert gigaword(data_dir=tmp_path / folder) == expected, folder
    assert (tmp_path / "zip" / "prepared" / "train.title.gz").is_file()
    path.unlink()
    assert gigaword(data_dir=tmp_path / "zip", splits=["test"]) == {"test": expected["test"]}
    (tmp_path / "valid" / "valid.article").unlink()
    (tmp_path / "valid" / "valid.title").unlink()
    assert set(gigaword(data_dir=tmp_path / "valid", splits=["test"])) == {"test"}


def test_a_sample_is_drawn_with_the_seed_and_stands_in_order(tmp_path: Path) -> None:
    plain(tmp_path)
    corpus = gigaword(data_dir=tmp_path, train=7, dev=3)
    assert {name: len(split) for name, split in corpus.items()} == {"train": 7, "dev": 3, "test": 2}
    numbers = [int(pair.source.split()[1]) for pair in corpus["train"]]
    assert numbers == sorted(set(numbers))
    assert all(
        pair == example("train", n) for pair, n in zip(corpus["train"], numbers, strict=True)
    )
    assert gigaword(data_dir=tmp_path, train=7, dev=3) == corpus
    assert gigaword(data_dir=tmp_path, train=7, dev=3, seed=1) != corpus
    assert len(gigaword(data_dir=tmp_path, train=200_000)["train"]) == COUNTS["train"]
    with pytest.raises(ValueError, match="train must be at least 1"):
        gigaword(data_dir=tmp_path, train=0)
    drawn = [place for seed in range(200) for place in sample(10, 3, seed, "train")]
    assert all(35 < drawn.count(place) < 90 for place in range(10))  # 60, deviation 6.5


def test_prepared_files_are_the_corpus_or_the_sample_that_the_reader_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = archive(tmp_path / "zip")
    whole, part = tmp_path / "whole", tmp_path / "part"
    assert main(["prepare", "gigaword", str(path), "--output", str(whole)]) == 0
    assert "train 20 pairs (expected 3,803,957, -3,803,937)" in capsys.readouterr().out
    sampled = ["--sample", "5", "--seed", "3", "--output", str(part)]
    assert main(["prepare", "gigaword", str(path), *sampled]) == 0
    assert "train 5 pairs (expected 5, +0), dev 6 pairs" in capsys.readouterr().out
    assert gigaword(data_dir=part) == gigaword(data_dir=whole, train=5, seed=3)
    assert gzip.decompress((whole / "test.title.gz").read_bytes()).decode() == texts("test")["tgt"]


def test_what_is_wrong_with_an_archive_is_told(tmp_path: Path) -> None:
    short = archive(tmp_path / "short", train__src="only one\n")
    with pytest.raises(CorpusError, match=r"train\.src\.txt has 1 lines, .*train\.tgt\.txt 20"):
        prepare(short, tmp_path / "out")
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as opened:
        opened.writestr("readme.txt", "x")
    with pytest.raises(CorpusError, match=r"no org_data/train\.src\.txt, but readme\.txt"):
        prepare(other, tmp_path / "out")
    for path in (tmp_path / "none.zip", tmp_path):
        with pytest.raises(CorpusError, match=rf"cannot be unpacked .*{module.ZIP}"):
            prepare(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_wrong_with_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"neither train\.article.*ggw_data\.zip.*or it is empty"):
        gigaword(data_dir=tmp_path)
    plain(tmp_path)
    (tmp_path / "test.title").unlink()
    with pytest.raises(CorpusError, match=r"test\.title \(or test\.title\.gz\) is missing"):
        gigaword(data_dir=tmp_path)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    archive(tmp_path / "served")

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, directory=str(tmp_path / "served"), **kwargs)  # type: ignore

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}/{module.ZIP}"
        serving.shutdown()
        thread.join()


def test_without_a_folder_the_archive_is_fetched_and_unpacked_once(
    served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ARCHIVE", Source(served))
    folder = tmp_path / "data" / "gigaword"
    corpus = gigaword(download_dir=folder)
    assert corpus["dev"] == [example("dev", n) for n in range(6)]
    monkeypatch.setattr(module, "ARCHIVE", Source("http://127.0.0.1:9/gone"))
    assert gigaword(download_dir=folder) == corpus
