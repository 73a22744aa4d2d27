"""`seqrl-export`: the exported model does what the run's model does, without Hydra."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from seqrl.cli.export import detokenizer, main
from seqrl.cli.runs import RunError
from seqrl.evaluation.export import ExportError, load_exported, save_exported
from seqrl.models.transformer import Transformer
from seqrl.training.checkpoint import load_weights


@pytest.fixture(scope="module")
def exported(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "model"
    assert main([str(tiny_run), "--output", str(folder)]) == 0
    return folder


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "copy"))


def described(folder: Path) -> dict[str, dict[str, object]]:
    values = yaml.safe_load((folder / "model.yaml").read_text())
    assert isinstance(values, dict)
    return values


def changed(folder: Path, part: str, **values: object) -> None:
    """Change a part of the description."""
    description = described(folder)
    description[part].update(values)
    (folder / "model.yaml").write_text(yaml.safe_dump(description))


def test_the_same_hypotheses_as_the_runs_own(
    exported: Path, tiny_run: Path, tiny_data: Path
) -> None:
    model = load_exported(exported)
    sources = (tiny_data / "test.de").read_text().splitlines()
    expected = (tiny_run / "test.hyp.txt").read_text().splitlines()
    assert model.generate(sources) == expected
    assert model.generate(["", sources[3]]) == ["", expected[3]]
    assert not model.policy.training


def test_the_folder_says_what_is_in_it(exported: Path, tiny_run: Path) -> None:
    assert sorted(path.name for path in exported.iterdir()) == [
        "model.safetensors",
        "model.yaml",
        "tokenizers",
    ]
    description = described(exported)
    assert description["model"]["class"] == "seqrl.models.lstm.LSTM"
    assert description["model"]["arguments"]["hidden"] == 16  # type: ignore[index]
    assert "reads" not in description["model"]["arguments"]  # type: ignore[operator]
    assert description["decoding"] == {
        "class": "seqrl.decoding.decoder.Greedy",
        "arguments": {"max_length": 8, "min_length": 0, "no_repeat_ngram": 0, "no_unk": False},
    }
    assert description["origin"] == {
        "run": str(tiny_run),
        "algorithm": "erac",
        "stage": "joint",
        "label": "ERAC",
        "seed": 1,
    }


@pytest.mark.parametrize("tied", [None, "target"])
def test_tied_tables_are_exported_once(tied: str | None, exported: Path, tmp_path: Path) -> None:
    task = load_exported(exported).task
    arguments = {"hidden": 8, "inner": 8, "heads": 2, "layers": 1, "tied": tied}
    policy = Transformer(
        source_size=len(task.source_tokenizer),
        target_size=len(task.target_tokenizer),
        specials=task.target_tokenizer.specials,
        **arguments,  # type: ignore[arg-type]
    )
    save_exported(
        tmp_path / "tied",
        policy=policy,
        model={"class": "seqrl.models.transformer.Transformer", "arguments": arguments},
        decoding=described(exported)["decoding"],
        task=task,
        detokenize="none",
        longest_source=None,
        origin={},
    )
    stored = load_weights(tmp_path / "tied" / "model.safetensors")
    assert sum(tensor.numel() for tensor in stored.values()) == sum(
        parameter.numel() for parameter in policy.parameters()
    )
    loaded = load_exported(tmp_path / "tied").policy
    assert all(map(torch.equal, loaded.parameters(), policy.parameters()))
    assert loaded.state_dict().keys() == policy.state_dict().keys()


def test_loading_needs_no_hydra(exported: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from seqrl.evaluation.export import load_exported\n"
        f"load_exported({str(exported)!r}).generate(['a b'])\n"
        "print('hydra' in sys.modules, 'omegaconf' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.stdout == "False False\n"


def test_a_stage_and_a_way_of_decoding_can_be_chosen(
    tiny_run: Path, tiny_data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "model"
    overrides = ["stage=actor", "decoding=beam5", "decoding.size=1", "decoding.max_length=8"]
    assert main([str(tiny_run), *overrides, "--output", str(output)]) == 0
    model = load_exported(output)
    sources = (tiny_data / "test.de").read_text().splitlines()
    hypotheses = (tiny_run / "checkpoints" / "actor" / "test.greedy.hyp.txt").read_text()
    assert model.generate(sources) == hypotheses.splitlines()


def test_nothing_is_overwritten(
    exported: Path, tiny_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (exported / "model.yaml").read_bytes()
    assert main([str(tiny_run), "--output", str(exported)]) == 2
    assert f"{exported} exists already" in capsys.readouterr().err
    assert (exported / "model.yaml").read_bytes() == before


def test_sources_are_cut_as_in_training(copy: Path) -> None:
    description = described(copy)
    (copy / "model.yaml").write_text(yaml.safe_dump({**description, "longest_source": 2}))
    cut, whole = load_exported(copy), load_exported(copy.parent / "copy")
    assert cut.generate(["a b c d e"]) == whole.generate(["a b"])


def test_natural_text_is_made_as_the_task_makes_it(copy: Path) -> None:
    changed(copy, "task", detokenize="seqrl.data.phrases.naturalize")
    model = load_exported(copy)
    (tokens,) = model.generate(["a b"])
    assert tokens[0].islower()
    assert model.generate(["a b"], natural=True) == [tokens[0].upper() + tokens[1:]]
    assert load_exported(copy).generate(["a b"]) == [tokens]


def test_a_detokenizer_is_exported_by_name() -> None:
    node = {"_target_": "seqrl.data.phrases.naturalize", "_partial_": True}
    assert detokenizer(node) == "seqrl.data.phrases.naturalize"
    assert detokenizer("moses") == "moses"
    with pytest.raises(RunError, match="cannot be exported with its settings language"):
        detokenizer({**node, "language": "en"})


@pytest.mark.parametrize("name", ["os.system", "seqrl.data.files.shutil", "seqrl.no.such", "x"])
def test_only_functions_of_seqrl_are_called(copy: Path, name: str) -> None:
    changed(copy, "task", detokenize=name)
    with pytest.raises(ExportError, match=f"{name} is no function of seqrl"):
        load_exported(copy)


def test_only_classes_of_seqrl_are_made(copy: Path) -> None:
    name = {"class": "subprocess.Popen"}
    changed(copy, "decoding", **name)
    with pytest.raises(ExportError, match=r"subprocess\.Popen is no Decoder of seqrl"):
        load_exported(copy)
    changed(copy, "decoding", **{"class": "seqrl.models.lstm.LSTM"})
    with pytest.raises(ExportError, match=r"seqrl\.models\.lstm\.LSTM is no Decoder of seqrl"):
        load_exported(copy)


def test_a_folder_that_is_not_whole(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"is no exported model: .* is missing"):
        load_exported(tmp_path)
    (copy / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(ExportError, match="holds no whole exported model"):
        load_exported(copy)
    changed(copy, "sizes", target_size=3)
    with pytest.raises(ExportError):
        load_exported(copy)


def test_another_format_is_refused(copy: Path) -> None:
    (copy / "model.yaml").write_text(yaml.safe_dump({**described(copy), "format": 99}))
    with pytest.raises(ExportError, match="has the format 99, this seqrl reads 1"):
        load_exported(copy)
