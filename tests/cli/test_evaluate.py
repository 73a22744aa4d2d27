"""`seqrl-evaluate`, on a run that was really trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from seqrl.cli.evaluate import main


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path / "seed1"))


def entry(run: Path, stage: str, split: str) -> dict[str, object]:
    """What the training itself found."""
    entries = json.loads((run / "result.json").read_text())["scores"]
    (found,) = (e for e in entries if e["stage"] == stage and e["split"] == split)
    assert isinstance(found, dict)
    return found


def test_the_runs_own_decoding_repeats_the_results_of_the_training(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(run)]) == 0
    scored = json.loads((run / "evaluations" / "test.greedy.json").read_text())
    trained = entry(run, "joint", "test")
    assert scored["scores"] == trained["scores"]
    assert scored["length_ratio"] == trained["length_ratio"]
    assert scored["sentences"] == 15
    texts = (run / "evaluations" / "test.greedy.hyp.txt").read_text()
    assert texts == (run / "test.hyp.txt").read_text()
    assert len(texts.splitlines()) == 15
    assert texts.strip()
    shown = capsys.readouterr().out
    assert "ERAC  test   greedy" in shown
    assert "sacrebleu: nrefs:1|case:mixed" in shown
    assert f"hypotheses: {run}/evaluations/test.greedy.hyp.txt" in shown
    assert f"{run}/evaluations/test.greedy.json" in shown


def test_an_earlier_stage_and_another_split(run: Path) -> None:
    assert main([str(run), "stage=actor", "split=dev", "--output", str(run / "there")]) == 0
    scored = json.loads((run / "there" / "actor.dev.greedy.json").read_text())
    assert scored["scores"] == entry(run, "actor", "dev")["scores"]
    assert scored["label"] == "MLE"
    own = run / "checkpoints" / "actor" / "dev.greedy.hyp.txt"
    assert (run / "there" / "actor.dev.greedy.hyp.txt").read_text() == own.read_text()


def test_another_way_of_decoding_has_its_own_files(run: Path) -> None:
    overrides = ["decoding=beam5", "decoding.size=3", "decoding.max_length=8"]
    assert main([str(run), *overrides, "decoding.length_penalty=1"]) == 0
    assert main([str(run), "decoding.max_length=1"]) == 0
    names = {path.name for path in (run / "evaluations").glob("*.txt")}
    assert names == {
        "test.beam3-length_penalty1-max_length8.hyp.txt",
        "test.greedy-max_length1.hyp.txt",
    }
    cut = (run / "evaluations" / "test.greedy-max_length1.hyp.txt").read_text().splitlines()
    assert cut == [""] * 15  # the only token of an output is EOS


def test_the_data_may_have_moved_and_only_the_split_is_needed(
    run: Path, tiny_data: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    for language in ("de", "en"):
        shutil.copy(tiny_data / f"test.{language}", moved)
    assert main([str(run), f"task.data_dir={moved}"]) == 0
    scored = json.loads((run / "evaluations" / "test.greedy.json").read_text())
    assert scored["scores"] == entry(run, "joint", "test")["scores"]


@pytest.mark.parametrize(
    ("overrides", "code", "told"),
    [
        (["split=tset"], 2, "split=tset: no such split; did you mean test?"),
        (["stage=critic"], 2, "critic delivers no policy; there are actor, joint"),
        (["stage=jont"], 2, "jont is no stage of this run; did you mean joint?"),
        (["decoding=beem"], 2, "there is no such decoding; did you mean beam5?"),
        (["decoding.size=3"], 2, "decoding.size=3: no such setting; decoding has max_length"),
        (["decoding.max_length=x"], 2, "must be a whole number"),
        (["decoding.max_length=0"], 2, "decoding: max_length must be at least 1, not 0"),
        (["seed=3"], 2, "seed=3: cannot be changed here"),
        (["device=cuda:99"], 2, "cuda"),
        (["task.data_dir=/nowhere"], 2, "task.data_dir=/nowhere: must be the folder of the corpus"),
    ],
)
def test_what_cannot_be_done_is_said(
    run: Path,
    capsys: pytest.CaptureFixture[str],
    overrides: list[str],
    code: int,
    told: str,
) -> None:
    assert main([str(run), *overrides]) == code
    shown = capsys.readouterr()
    assert told in shown.err
    assert not shown.out
    assert not (run / "evaluations").exists()


def test_no_run(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nothing")]) == 2
    assert "there is no such folder" in capsys.readouterr().err
    assert main([str(tiny_run.parent)]) == 2
    told = capsys.readouterr().err
    assert "is not the folder of a run: it has no config.yaml" in told
    assert str(tiny_run) in told


def test_a_run_that_is_not_finished(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "result.json").unlink()
    (run / "status.json").write_text('{"status": "failed", "reason": "the disk is full"}')
    assert main([str(run)]) == 1
    told = capsys.readouterr().err
    assert f"not finished (failed: the disk is full); `seqrl-rerun {run}` continues it" in told


def test_a_run_that_diverged(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It would diverge again."""
    (run / "result.json").unlink()
    (run / "status.json").write_text('{"status": "diverged", "reason": "loss is nan"}')
    assert main([str(run)]) == 1
    told = capsys.readouterr().err
    assert "not finished (diverged: loss is nan); it goes on with other settings only" in told


def test_weights_that_are_missing_or_damaged(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = run / "checkpoints" / "joint" / "best.safetensors"
    weights.write_bytes(b"torn")
    assert main([str(run)]) == 1
    assert f"{weights} holds no whole weights" in capsys.readouterr().err
    weights.unlink()
    assert main([str(run)]) == 1
    assert f"the weights of stage joint are missing: there is no {weights}" in (
        capsys.readouterr().err
    )


def test_tokenizers_that_are_missing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(run / "tokenizers")
    assert main([str(run)]) == 1
    assert f"the tokenizers of {run} cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"seed: [1\n", b"\xff\xfe", b"algorithm: {stages: text}", b""])
def test_a_damaged_configuration(
    content: bytes, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "config.yaml").write_bytes(content)
    assert main([str(run)]) == 1
    assert f"{run / 'config.yaml'} is no configuration of a run" in capsys.readouterr().err
