"""An installed wheel works outside the repository, its configuration included."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel's files were unpacked, as pip would."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("seqrl-*.whl")
    target = folder / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def run(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from seqrl.cli.train import main; sys.argv[0] = 'seqrl-train'; main()"
    environment = os.environ | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_configuration_file_is_in_the_wheel(installed: Path) -> None:
    ours = {p.relative_to(ROOT / "conf") for p in (ROOT / "conf").rglob("*.yaml")}
    theirs = {p.relative_to(installed / "seqrl/conf") for p in installed.rglob("*.yaml")}
    assert ours == theirs
    assert Path("train.yaml") in ours


def test_the_installed_command_trains(installed: Path, tmp_path: Path) -> None:
    for split, size in (("train", 30), ("dev", 4), ("test", 4)):
        for side, word in (("de", "hund"), ("en", "dog")):
            lines = "".join(f"{word} {' '.join('ja' * (i % 3))} .\n" for i in range(size))
            (tmp_path / f"{split}.{side}").write_text(lines)
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "tiny.yaml").write_text(
        "defaults: [lstm]\nhidden: 8\nembedding: 8\n"
    )
    done = run(
        installed,
        tmp_path,
        "--config-dir=mine",
        "model=tiny",
        "task=text",
        "task.data_dir=.",
        "task.source=de",
        "task.target=en",
        "trainer=smoke",
        "tracker=none",
        "decoding=greedy",
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "outputs/text/mle").is_dir()
    assert "MLE  test   greedy" in done.stdout
