"""A run whose last policy is of two networks: evaluated, exported, and a start of others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from commands import command
from seqrl.evaluation.export import load_exported
from seqrl.training.checkpoint import load_weights
from tiny import TINY


@pytest.fixture(scope="module")
def run(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    outputs = tmp_path_factory.mktemp("outputs")
    own = ["algorithm=sequence_tutor", "algorithm.target=g", "algorithm.values=separate"]
    own += ["algorithm.centred=false", "trainer.guards=null", f"outputs={outputs}"]
    command("train", *TINY, *own, f"task.data_dir={tiny_data}")
    (folder,) = outputs.glob("text/sequence_tutor/*/seed1")
    return folder


def test_it_keeps_the_prior_as_it_was_and_values_that_learned(run: Path) -> None:
    actor, tutor = (
        load_weights(run / "checkpoints" / stage / "best.safetensors")
        for stage in ("actor", "tutor")
    )
    moved = 0
    for name, weight in actor.items():
        plain = name.removeprefix("policy.")
        assert (tutor[f"policy.prior.{plain}"] == weight).all()
        moved += int((tutor[f"policy.values.{plain}"] != weight).any())
    assert moved > 10
    assert not (run / "checkpoints/actor/policy.json").exists()
    described = json.loads((run / "checkpoints/tutor/policy.json").read_text())
    assert described["_target_"].endswith("Tilted")


def test_it_is_evaluated_and_translates(run: Path, tiny_data: Path) -> None:
    command("evaluate", str(run), "split=test")
    expected = (run / "test.hyp.txt").read_text()
    assert (run / "evaluations" / "test.greedy.hyp.txt").read_text() == expected
    sources = (tiny_data / "test.de").read_text()
    assert command("generate", str(run), text=sources) == expected
    actor = (run / "checkpoints/actor/test.greedy.hyp.txt").read_text()
    assert command("generate", str(run), "stage=actor", text=sources) == actor


def test_its_export_is_both_networks(run: Path, tiny_data: Path, tmp_path: Path) -> None:
    command("export", str(run), "--output", str(tmp_path / "export"))
    sources = (tiny_data / "test.de").read_text().splitlines()
    expected = (run / "test.hyp.txt").read_text().splitlines()
    assert load_exported(tmp_path / "export").generate(sources) == expected


@pytest.mark.full
def test_a_run_of_it_can_teach_another(run: Path, tiny_data: Path, tmp_path: Path) -> None:
    own = ["algorithm=distillation", f"algorithm.teacher={run}", f"outputs={tmp_path}"]
    command("train", *TINY, *own, f"task.data_dir={tiny_data}", "trainer.max_steps=2")
    (result,) = tmp_path.glob("text/distillation/*/seed1/result.json")
    assert list(json.loads(result.read_text())["stages"]) == ["student"]
