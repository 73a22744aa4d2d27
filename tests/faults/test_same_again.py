"""The same seed gives the same bytes: again, in another process, with another order of hashes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from children import CASES, Child, Undisturbed, arguments

from tiny import Figures


@pytest.mark.parametrize(
    ("case", "hashes"),
    [
        *(pytest.param(case, ["0", "4711"], marks=pytest.mark.faults) for case in CASES),
    ],
)
def test_the_same_run_again_is_the_same_bytes(
    case: str, hashes: list[str], tiny_data: Path, tmp_path: Path, figures: Figures
) -> None:
    """Once in a child, and by a command of its own with other hashes."""
    overrides = [*CASES[case].split(), "trainer.guards=null"]
    whole = Undisturbed(tmp_path / "whole", tiny_data, *overrides)
    child = Child(whole.config, tmp_path / "again")
    assert child.wait() == 0, child.text
    assert whole.differing(tmp_path / "again") == []
    for hash_seed in hashes:
        folder = tmp_path / hash_seed
        folder.mkdir()
        subprocess.run(
            [
                *(sys.executable, "-c", "from seqrl.cli.train import main; main()"),
                *arguments(tiny_data, *overrides),
            ],
            cwd=folder,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        assert whole.differing(folder) == []
    figures("the same again", "runs", 1 + len(hashes))


@pytest.mark.faults
def test_another_seed_is_another_run(tiny_data: Path, tmp_path: Path) -> None:
    whole = Undisturbed(tmp_path / "whole", tiny_data, "algorithm=mle")
    other = Undisturbed(tmp_path / "other", tiny_data, "algorithm=mle", "seed=2")
    assert (whole.run / "metrics.jsonl").read_bytes() != (other.run / "metrics.jsonl").read_bytes()
