import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from seqrl.data import gigaword, iwslt14, tatoeba
from seqrl.data.archives import DAMAGED, extract, opened_zip
from seqrl.data.corpus import CorpusError

MOST = 1 << 20
LINKS = {"symlink": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE}
DEVICES = {"device": tarfile.CHRTYPE, "disk": tarfile.BLKTYPE, "pipe": tarfile.FIFOTYPE}
OUTSIDE = ["/tmp/x", "a/../../x", "..", "\\\\host\\x", "..\\x"]


def tar(path: Path, *members: tuple[str, str]) -> Path:
    """An archive of (name, kind) members of two bytes each."""
    with tarfile.open(path, "w:gz") as opened:
        for name, kind in members:
            info = tarfile.TarInfo(name)
            if kind == "file":
                info.size = 2
                opened.addfile(info, io.BytesIO(b"x\n"))
            else:
                info.type = {**LINKS, **DEVICES}[kind]
                info.linkname = "/etc/passwd" if kind in LINKS else ""
                opened.addfile(info)
    return path


def said_to_be(path: Path, size: int) -> Path:
    """An archive whose only member's header names a size that does not come."""
    info = tarfile.TarInfo("huge")
    info.size = size
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    return path


def packed(path: Path, *names: str, mode: int = 0) -> Path:
    """A zip archive of members of two bytes each."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            opened.writestr(info, "x\n")
    return path


def test_files_are_unpacked_or_read(tmp_path):
    extract(tar(tmp_path / "a.tgz", ("de-en/x", "file")), tmp_path / "out", most=2)
    assert (tmp_path / "out/de-en/x").read_text() == "x\n"
    with opened_zip(packed(tmp_path / "a.zip", "in/x", mode=stat.S_IFREG), most=2) as opened:
        assert opened.read("in/x") == b"x\n"


@pytest.mark.parametrize(
    "member",
    [(name, "file") for name in OUTSIDE] + [("y", kind) for kind in (*LINKS, *DEVICES)],
    ids=str,
)
def test_tar_members_that_lead_outside_are_refused_before_anything_is_written(tmp_path, member):
    path = tar(tmp_path / "a.tgz", ("fine", "file"), member)
    with pytest.raises(CorpusError) as caught:
        extract(path, tmp_path / "out", most=MOST)
    assert f"paths that lead outside: {member[0]}; it is not the published" in str(caught.value)
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize(
    ("name", "mode"),
    [(name, 0) for name in OUTSIDE]
    + [("y", mode) for mode in (stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO)],
)
def test_zip_members_that_lead_outside_are_refused(tmp_path, name, mode):
    path = packed(tmp_path / "a.zip", "fine", name, mode=mode)
    with pytest.raises(CorpusError) as caught, opened_zip(path, most=MOST):
        pass
    assert "holds links, devices or paths that lead outside: " in str(caught.value)
    assert name.replace("\\", "/") in str(caught.value).replace("\\", "/")


def test_declared_sizes_are_bounded(tmp_path):
    for size in (MOST + 1, 1 << 50):
        with pytest.raises(CorpusError, match=r"unpack to more than 1,048,576 bytes"):
            extract(said_to_be(tmp_path / "a.tar", size), tmp_path / "out", most=MOST)
    with pytest.raises(CorpusError, match=r"lead outside: huge|cannot be unpacked"):
        extract(said_to_be(tmp_path / "a.tar", -512), tmp_path / "out", most=MOST)
    with (
        pytest.raises(CorpusError, match=r"unpack to more than 3 bytes"),
        opened_zip(packed(tmp_path / "a.zip", "x", "y"), most=3),
    ):
        pass
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("zeros", bytes(MOST + 1))
    assert (tmp_path / "bomb.zip").stat().st_size < 2000
    with pytest.raises(CorpusError), opened_zip(tmp_path / "bomb.zip", most=MOST):
        pass
    assert not (tmp_path / "out").exists()


def test_damaged_archives_say_so(tmp_path):
    path = tar(tmp_path / "a.tgz", ("x", "file"))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(CorpusError, match="cannot be unpacked"):
        extract(path, tmp_path / "out", most=MOST)
    whole = packed(tmp_path / "a.zip", "x").read_bytes()
    (tmp_path / "a.zip").write_bytes(whole[:-5])
    with pytest.raises(DAMAGED), opened_zip(tmp_path / "a.zip", most=MOST):
        pass


def spoiled(path: Path, fault: str, *members: str) -> Path:
    """A zip archive whose first member is wrong."""
    data = bytearray(packed(path, *members, *["../x"] * (fault == "outside")).read_bytes())
    if fault == "locked":  # the flag that says so, in both of its headers
        data[6] |= 1
        data[data.index(b"PK\x01\x02") + 8] |= 1
    if fault == "torn":  # where its packed bytes begin
        start = 30 + len(members[0])
        data[start : start + 2] = b"\xff\xff"
    path.write_bytes(data)
    return path


PAIRS = [
    f"org_data/{split}.{side}.txt" for split in ("train", "dev", "test") for side in ("src", "tgt")
]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("outside", "lead outside: "),
        ("locked", "password required"),
        ("torn", "invalid block|CRC|code"),
    ],
)
@pytest.mark.parametrize(
    ("prepare", "members"), [(tatoeba.prepare, ["deu.txt"]), (gigaword.prepare, PAIRS)]
)
def test_preparing_from_a_bad_zip_writes_nothing(tmp_path, prepare, members, fault, message):
    path = spoiled(tmp_path / "a.zip", fault, *members)
    with pytest.raises(CorpusError, match=message):
        prepare(path, tmp_path / "out")
    assert [*tmp_path.iterdir()] == [path]


def test_preparing_from_a_bad_tar_writes_nothing(tmp_path):
    tar(tmp_path / "de-en.tgz", ("de-en/../../x", "file"))
    with pytest.raises(CorpusError, match="not the published archive"):
        iwslt14.iwslt14(data_dir=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["de-en.tgz"]
    tar(tmp_path / "de-en.tgz", ("de-en/train.tags.de-en.de", "file"))
    with pytest.raises(CorpusError, match=r"train\.tags\.de-en\.en .*is missing"):
        iwslt14.iwslt14(data_dir=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["de-en.tgz"]


def test_too_few_pairs_make_no_folder(tmp_path):
    short = tmp_path / "deu.txt"
    short.write_text("Go.\tGeh.\nRun!\tLauf!\n")
    with pytest.raises(CorpusError, match="too few pairs: none are left for train"):
        tatoeba.prepare(short, tmp_path / "out")
    for language in iwslt14.LANGUAGES:
        (tmp_path / f"train.tags.de-en.{language}").write_text("eins zwei\n" * 22)
        for name in iwslt14.EVALUATION:
            (tmp_path / f"IWSLT14.{name}.de-en.{language}.xml").write_text('<seg id="1"> a </seg>')
    with pytest.raises(CorpusError, match="has 22 clean training pairs and 5 of evaluation"):
        iwslt14.prepare(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
