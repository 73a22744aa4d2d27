import gzip
import json
import os
import tarfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from seqrl.data import iwslt14
from seqrl.data.corpus import CorpusError, Example
from seqrl.data.download import Source
from seqrl.data.filters import Filters

TALK = """<url>http://example.org/{0}</url>
<keywords>a, b</keywords>
<talkid>{0}</talkid>
<title>{1}</title>
<description>{2}</description>
"""
GERMAN = [f"Das ist Satz {n} von hier." for n in range(60)]
ENGLISH = [f"This is sentence {n} from here." for n in range(60)]


def original(folder: Path) -> Path:
    """A small corpus in the form of the original: 65 lines of text, three of them not clean."""
    folder.mkdir(parents=True)
    odd = [" ".join(["lang"] * 51), "kurz", ""], [" ".join(["long"] * 51), "a b", "empty ."]
    for language, lines, more, title in (
        ("de", GERMAN, odd[0], "Über Hunde"),
        ("en", ENGLISH, odd[1], "On dogs"),
    ):
        head = TALK.format(1, title, f"{title}: a talk & more")
        text = head + "".join(f" {line} \n" for line in [*more, *lines])
        (folder / f"train.tags.de-en.{language}").write_text(text)
        for name in iwslt14.EVALUATION:
            segments = [f"It’s {name} &amp; {n}" for n in (1, 2)]
            body = "".join(f'<seg id="{n}"> {s} </seg>\n' for n, s in enumerate(segments, 1))
            xml = f"<?xml version='1.0'?>\n<doc>\n<title>no</title>\n{body}</doc>\n"
            (folder / f"IWSLT14.{name}.de-en.{language}.xml").write_text(xml)
    return folder


def packed(folder: Path) -> Path:
    """The same as `de-en.tgz` in the folder."""
    original(folder / "plain" / "de-en")
    with tarfile.open(folder / "de-en.tgz", "w:gz") as tar:
        tar.add(folder / "plain" / "de-en", "de-en")
    (folder / "plain").rename(folder.parent / "moved")
    return folder


def lines(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().split("\n")[:-1]


def test_preparation_follows_the_published_recipe(tmp_path):
    counts = iwslt14.prepare(original(tmp_path / "de-en"), tmp_path / "out")
    # 60 sentences, title and description are clean; lines 23 and 46 of these are dev
    assert counts == {"train": 60, "dev": 2, "test": 10}
    train = lines(tmp_path / "out/train.de-en.en.gz")
    assert train[:3] == ["on dogs", "on dogs : a talk &amp; more", "this is sentence 0 from here ."]
    assert lines(tmp_path / "out/valid.de-en.de.gz") == [
        "das ist satz 20 von hier .",
        "das ist satz 43 von hier .",
    ]
    assert lines(tmp_path / "out/valid.raw.de-en.en.gz") == [ENGLISH[20], ENGLISH[43]]
    test = lines(tmp_path / "out/test.de-en.en.gz")
    assert test[0] == "it &apos;s ted.dev2010 &amp; amp ; 1"  # entities stay, as in the original
    assert [line.split()[2] for line in test[::2]] == [n.lower() for n in iwslt14.EVALUATION]
    assert lines(tmp_path / "out/test.raw.de-en.en.gz")[0] == "It's TED.dev2010 & 1"
    told = json.loads((tmp_path / "out/counts.json").read_text())
    assert told == {"pairs": counts, "expected": iwslt14.EXPECTED}


def test_the_reader_prepares_an_archive_once(tmp_path):
    folder = packed(tmp_path / "data")
    corpus = iwslt14.iwslt14(data_dir=folder)
    assert {name: len(split) for name, split in corpus.items()} == {
        "train": 60, "dev": 2, "test": 10,
    }  # fmt: skip
    assert corpus["dev"][0] == Example(
        "das ist satz 20 von hier .", ("this is sentence 20 from here .",), (ENGLISH[20],)
    )
    assert sorted(p.name for p in folder.iterdir()) == ["de-en.tgz", "prepared"]
    (folder / "de-en.tgz").unlink()
    assert iwslt14.iwslt14(data_dir=folder) == corpus
    assert iwslt14.iwslt14(data_dir=folder / "prepared") == corpus
    other = iwslt14.iwslt14(data_dir=folder, source="en", target="de")["dev"][0]
    assert (other.source, other.raw) == ("this is sentence 20 from here .", (GERMAN[20],))


def test_nothing_half_prepared_stays(tmp_path):
    folder = original(tmp_path / "de-en")
    (folder / "IWSLT14.TED.tst2011.de-en.en.xml").unlink()
    with (folder / "train.tags.de-en.en").open("a") as file:
        file.write("one more\n")
    with pytest.raises(CorpusError, match=r"(?s)has 65 lines.*has 66 lines.*tst2011.*missing"):
        iwslt14.prepare(folder, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["de-en"]


def test_preparing_again_and_preparing_nothing_are_refused(tmp_path):
    folder = original(tmp_path / "de-en")
    iwslt14.prepare(folder, tmp_path / "out")
    with pytest.raises(CorpusError, match="exists already"):
        iwslt14.prepare(folder, tmp_path / "out")
    with pytest.raises(CorpusError, match=iwslt14.ARCHIVE.url):
        iwslt14.prepare(tmp_path / "out", tmp_path / "other")


def test_the_archive_is_downloaded_where_there_is_none(tmp_path, monkeypatch):
    packed(tmp_path / "served")

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path / "served"))

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/de-en.tgz"
        monkeypatch.setattr(iwslt14, "ARCHIVE", Source(url, size=1, trusted=False))
        corpus = iwslt14.iwslt14(download_dir=tmp_path / "here")
        server.shutdown()
        thread.join()
    assert len(corpus["train"]) == 60
    assert sorted(p.name for p in (tmp_path / "here").iterdir()) == ["de-en.tgz", "prepared"]


def test_a_missing_split_is_refused_unless_it_is_not_asked_for(tmp_path):
    iwslt14.prepare(original(tmp_path / "de-en"), tmp_path / "out")
    for language in ("de", "en"):
        (tmp_path / f"out/train.de-en.{language}.gz").unlink()
    with pytest.raises(CorpusError, match=r"train\.de-en\.de .* missing"):
        iwslt14.iwslt14(data_dir=tmp_path / "out")
    assert len(iwslt14.iwslt14(data_dir=tmp_path / "out", splits=["test"])["test"]) == 10


def test_only_the_two_languages_exist():
    with pytest.raises(ValueError, match="de and en"):
        iwslt14.iwslt14(source="de", target="fr")


@pytest.mark.skipif("SEQRL_DATA" not in os.environ, reason="SEQRL_DATA is not set")
def test_sizes_of_the_published_evaluation_sets():
    folder = Path(os.environ["SEQRL_DATA"]) / "iwslt14-eval"
    corpus = iwslt14.iwslt14(data_dir=folder, splits=["dev", "test"])
    assert {name: len(split) for name, split in corpus.items()} == {"dev": 6_969, "test": 6_750}
    filters = Filters(max_source_tokens=50, max_target_tokens=50, drop_long_evaluation=True)
    short = filters(corpus)
    assert {name: len(split) for name, split in short.items()} == {"dev": 6_969, "test": 6_509}
    tokens = sum(example.references[0].count(" ") + 1 for example in short["test"])
    assert tokens == 116_528
    with pytest.raises(CorpusError, match="missing"):
        iwslt14.iwslt14(data_dir=folder)
