"""A full disk or a folder that cannot be written: a message, the old checkpoint, no litter."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from children import Child, Undisturbed, leftovers, progress
from test_signals import PHASES, signal_in

from tiny import Figures

OVERRIDES = ("algorithm=erac", "trainer.guards=null")
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def whole(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("undisturbed") / "whole", tiny_data, *OVERRIDES)


def no_file_above(size: int) -> None:
    """No file can be larger, for this process: what lies beyond cannot be written."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def failed_plainly(child: Child, folder: Path, message: str) -> None:
    code, text = child.wait(), child.text
    assert code == 1, text
    assert message in text
    assert "the same command continues what is saved" in text
    assert str(Path("out")) in text.split(message)[0].splitlines()[-1]  # the file
    assert "Traceback" not in text
    assert "Exception ignored" not in text
    assert list(leftovers(folder)) == []


@pytest.mark.parametrize(
    "share",
    [
        0.5,
        *(
            pytest.param(share, marks=pytest.mark.faults)
            for share in (0.0, 0.01, 0.1, 0.25, 0.75, 0.9, 0.999)
        ),
    ],
)
def test_a_checkpoint_that_has_no_room_leaves_the_one_before(
    share: float, whole: Undisturbed, tmp_path: Path, figures: Figures
) -> None:
    folder = tmp_path / "full"
    child = Child(whole.config, folder, partial(signal_in, *PHASES["step"], 2, [15]))
    assert child.wait() == 75, child.text
    (last,) = folder.glob("out/.stages/*/last.pt")
    before = last.read_bytes()
    child = Child(whole.config, folder, partial(no_file_above, int(share * len(before))))
    failed_plainly(child, folder, "File too large")
    assert last.read_bytes() == before
    assert progress(folder) == {last.parent.name: 2}
    child = Child(whole.config, folder)
    assert child.wait() == 0, child.text
    assert whole.differing(folder) == []
    figures("full disks", "files that found no room", 1)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one mebibyte."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.mark.faults
@pytest.mark.parametrize("room", [0, 1, 30, 150, 300, 500, 700])
def test_a_full_disk_costs_what_was_not_saved(
    room: int, whole: Undisturbed, disk: Path, figures: Figures
) -> None:
    """So many kibibytes are free before the run begins; then there is space again."""
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(MEBIBYTE - room * 1024 - 4096))
    child = Child(whole.config, disk)
    failed_plainly(child, disk, "No space left on device")
    reached = progress(disk)
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    child = Child(whole.config, disk)
    assert child.wait() == 0, child.text
    assert not reached or "continuing at update" in child.text or "reused" in child.text
    assert whole.differing(disk) == []
    figures("full disks", "full disks", 1)


@pytest.mark.faults
def test_a_disk_that_is_read_only_is_told(whole: Undisturbed, disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    child = Child(whole.config, disk, partial(signal_in, *PHASES["step"], 2, [15]))
    assert child.wait() == 75, child.text
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    child = Child(whole.config, disk)
    failed_plainly(child, disk, "Read-only file system")
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    child = Child(whole.config, disk)
    assert child.wait() == 0, child.text
    assert "continuing at update 2" in child.text
    assert whole.differing(disk) == []


def test_a_folder_that_cannot_be_made_is_named(whole: Undisturbed, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "out").write_text("a file")
    child = Child(whole.config, folder)
    assert child.wait() == 2, child.text
    assert child.text.startswith("outputs=out: ")
    assert "Traceback" not in child.text
    (folder / "out").unlink()
    (folder / "out").mkdir()
    (folder / "out/.stages").write_text("a file")
    child = Child(whole.config, folder)
    assert child.wait() == 1, child.text
    assert "out/.stages" in child.text
    assert "Traceback" not in child.text
    assert list(leftovers(folder)) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(whole: Undisturbed, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "out/.stages").mkdir(parents=True)
    (folder / "out/.stages").chmod(0o500)
    child = Child(whole.config, folder)
    assert child.wait() == 1, child.text
    assert "out/.stages" in child.text
    assert "Permission denied" in child.text
    assert "Traceback" not in child.text
