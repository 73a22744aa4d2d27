"""A checkpoint of the `transformers` library is fine-tuned, evaluated, exported and given back."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from commands import command
from seqrl.cli.configuration import conf_folder
from seqrl.evaluation.export import load_exported
from seqrl.tracking.metrics_log import read_metrics

transformers = pytest.importorskip("transformers")

RUN = [
    *("algorithm=reinforce", "task=text", "task.source=de", "task.target=en", "model=pretrained"),
    *("trainer=smoke", "trainer.max_steps=12", "trainer.validate_every=6", "trainer.guards=null"),
    *("task.budget.actor.optimizers.policy.lr=0.01", "task.budget.actor.lr_schedule=null"),
    *("decoding=greedy", "decoding.max_length=16", "tracker=none", "device=cpu", "threads=1"),
]


ALGORITHMS = sorted(path.stem for path in (conf_folder() / "algorithm").glob("*.yaml"))


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path_factory.mktemp("mine") / "marian"))


@pytest.fixture(scope="module")
def run(checkpoint: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    outputs = tmp_path_factory.mktemp("outputs")
    own = [f"model.checkpoint={checkpoint}", f"task.data_dir={tiny_data}", f"outputs={outputs}"]
    command("train", *RUN, *own)
    (folder,) = outputs.glob("text/reinforce/*/seed1")
    return folder


def test_what_the_checkpoint_can_do_is_measured_before_it_learns(run: Path) -> None:
    first = next(r for r in read_metrics(run / "metrics.jsonl") if "dev/nll" in r)
    assert (first["stage"], first["step"]) == ("actor", 0)
    last = [r for r in read_metrics(run / "metrics.jsonl") if r["stage"] == "actor"][-1]
    assert last["dev/nll"] < 0.8 * first["dev/nll"]


def test_it_is_evaluated_and_translates(run: Path, checkpoint: Path, tiny_data: Path) -> None:
    """Whatever has become of the checkpoint since."""
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(config | {"scale_embedding": True}))
    command("evaluate", str(run), "split=test")
    (checkpoint / "config.json").write_text(json.dumps(config))
    expected = (run / "test.hyp.txt").read_text()
    assert (run / "evaluations" / "test.greedy.hyp.txt").read_text() == expected
    assert command("generate", str(run), text=(tiny_data / "test.de").read_text()) == expected


def test_its_export_needs_neither_the_checkpoint_nor_seqrl(
    run: Path, checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "export"
    command("export", str(run), "--output", str(folder))
    hidden = checkpoint.rename(checkpoint.with_name("hidden"))
    try:
        sources = (tiny_data / "test.de").read_text().splitlines()
        expected = (run / "test.hyp.txt").read_text().splitlines()
        assert load_exported(folder).generate(sources) == expected
        known = transformers.AutoTokenizer.from_pretrained(folder / "transformers")
        model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder / "transformers")
        pad = known.pad_token_id
        read = known(sources, padding=True, return_tensors="pt")
        tokens = model.generate(**read, max_new_tokens=16, suppress_tokens=[pad])
        assert known.batch_decode(tokens, skip_special_tokens=True) == expected
    finally:
        hidden.rename(checkpoint)


@pytest.mark.full
def test_a_run_starts_from_another_that_cut_texts_otherwise(
    run: Path, checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    own = [f"model.checkpoint={checkpoint}", f"task.data_dir={tiny_data}", f"outputs={tmp_path}"]
    command("train", *RUN, *own, f"init_from={run}", "model.max_tokens=20", "trainer.max_steps=1")
    (folder,) = tmp_path.glob("text/reinforce/*/seed1")
    before, after = (
        next(r["dev/nll"] for r in read_metrics(one / "metrics.jsonl") if "dev/nll" in r)
        for one in (run, folder)
    )
    assert after < 0.8 * before


@pytest.mark.full
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_learns_from_it(
    algorithm: str, checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    """Padding is BOS there, which no network of our own has."""
    own = [f"model.checkpoint={checkpoint}", f"task.data_dir={tiny_data}", f"outputs={tmp_path}"]
    command("train", *RUN, *own, f"algorithm={algorithm}", "trainer.max_steps=2")
    (folder,) = tmp_path.glob(f"text/{algorithm}/*/seed1")
    records = [r for r in read_metrics(folder / "metrics.jsonl") if "train/grad_norm/policy" in r]
    assert records
    assert all(r["train/grad_norm/policy"] > 0 for r in records)


def test_a_missing_checkpoint_is_one_message(run: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from seqrl.cli.train import main; main()", *RUN,
         f"model.checkpoint={tmp_path / 'none'}", f"task.data_dir={tmp_path}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    told = done.stdout + done.stderr
    assert f"model.policy: checkpoint {tmp_path / 'none'}: there is no such folder" in told
    assert "Traceback" not in told
    config = json.loads((run / "result.json").read_text())
    assert config
