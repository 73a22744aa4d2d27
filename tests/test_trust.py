"""What configurations of others may have called: seqrl's parts and optimizers, and nothing else.

`hostile` is a package that leaves a file behind where it is only imported.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from seqrl.build import build
from seqrl.cli import evaluate, export, generate, rerun, train
from seqrl.cli.launchers import Training
from seqrl.cli.planning import Planned
from seqrl.identity import ConfigError
from seqrl.models.tilted import Tilted
from seqrl.rewards.edit import EditReward
from seqrl.trust import UntrustedError, located, refused, trust
from seqrl.types import Specials

HOSTILE = """
import os
from pathlib import Path
from seqrl.decoding.decoder import Greedy

Path({marker!r}).touch()

class Mine(Greedy):
    pass

def kept(**arguments):
    return arguments
"""
MINE = "hostile.Mine"
ACTOR = "algorithm.stages.actor.algorithm"


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that appears when the package is imported, which Python finds."""
    place = tmp_path / "was-executed"
    (tmp_path / "hostile.py").write_text(HOSTILE.format(marker=str(place)))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("seqrl.trust._trusted", set())
    monkeypatch.delitem(sys.modules, "hostile", raising=False)
    return place


def trained(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of `seqrl-train`, which has nothing to train."""
    monkeypatch.setattr(sys, "argv", ["seqrl-train", "dry_run=true", *arguments])
    with pytest.raises(SystemExit) as end:
        train.main()
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.mark.parametrize(
    "name",
    [
        *("os.system", "builtins.eval", "subprocess.Popen", "torch.load", "torch.hub.load"),
        *("hydra.utils.call", "hydra.utils.instantiate", "torch.optim", "torch.optim.adam.torch"),
        *("torch.optim.Adam.step", "torch.optim.lr_scheduler.os.system", "torch.nn.Linear"),
        *("seqrl", "seqrl.cli.train.os.system", "seqrl.cli.train.sys.exit", "seqrl.build.build"),
        *("seqrl.tracking.files.write_bytes_atomic", "seqrl.training.store.shutil.rmtree"),
        *("seqrl.rewards.bleu.BleuReward.__init__", "seqrlx.Mine", "hostile.Mine", ""),
    ],
)
def test_what_is_no_part_is_not_even_imported(name: str, marker: Path) -> None:
    (problem,) = refused({"algorithm": {"_target_": name}})
    assert problem.startswith(f"algorithm._target_={name}: ")
    with pytest.raises(UntrustedError):
        located(name)
    with pytest.raises(UntrustedError):
        build({"_target_": name})
    assert not marker.exists()


@pytest.mark.parametrize("name", [["os.system"], None, 3, {"_target_": "os.system"}])
def test_a_target_is_one_name(name: Any) -> None:
    assert refused({"_target_": name})[0].endswith("must be one name of a class or function")


@pytest.mark.parametrize(
    "hidden",
    [
        {"deep": {"deeper": {"_target_": MINE}}},
        {"several": [1, [{"_target_": MINE}]]},
        {"optimizers": {"_target_": MINE, "_partial_": True}},
        {"size": {"_target_": MINE, "_args_": ["touch"], "_recursive_": False}},
        {"reference": "${oc.create:'{_target_: hostile.Mine}'}"},
        {"x_target_": "${oc.create:'{_target_: hostile.Mine}'}"},
    ],
)
def test_nothing_is_hidden_deep_inside(hidden: dict[str, Any], marker: Path) -> None:
    node = {"_target_": "seqrl.decoding.decoder.Greedy", "max_length": 3, **hidden}
    assert len(refused(node)) == 1
    with pytest.raises(UntrustedError):
        build(node)
    assert not marker.exists()


def test_a_network_that_makes_another_one_makes_no_other(marker: Path) -> None:
    sizes = {"source_size": 8, "target_size": 8, "specials": Specials(0, 1, 2, 3)}
    with pytest.raises(UntrustedError, match="--trust PACKAGE"):
        Tilted(network={"_target_": MINE}, **sizes)
    assert not marker.exists()


def test_objects_are_made_as_described(marker: Path) -> None:
    """Inside mappings and lists; later where it is partial; not inside where not recursive."""
    trust(["hostile"])
    edit = {"_target_": "seqrl.rewards.edit.EditReward", "distance": "edit"}
    inner = {"many": [1, {"edit": edit}], "text": "a", "none": None}
    made = build(inner)
    assert isinstance(made["many"][1].pop("edit"), EditReward)
    assert made == {"many": [1, {}], "text": "a", "none": None}
    later = build(
        {"_target_": "hostile.kept", "_partial_": True, "_convert_": "all", "inner": edit}
    )
    assert later.args == ()
    assert isinstance(later(other=3)["inner"], EditReward)
    assert later(other=3)["other"] == 3
    (kept,) = build({"_target_": "hostile.kept", "_recursive_": False, "inner": edit}).values()
    assert kept is edit


def test_a_misspelled_part_is_told_with_the_nearest() -> None:
    (problem,) = refused({"_target_": "seqrl.rewards.bleu.BleuRewrd"})
    assert "no part of seqrl for configurations; did you mean seqrl.rewards.bleu.Bleu" in problem
    assert refused({"_target_": "torch.optim.Adamm"}) == []
    with pytest.raises(UntrustedError, match=r"torch\.optim\.Adamm: there is no such class"):
        located("torch.optim.Adamm")


def test_a_trusted_package_is_called_and_what_it_imports_is_not(marker: Path) -> None:
    trust(["hostile"])
    assert build({"_target_": MINE, "max_length": 3}).max_length == 3
    assert marker.exists()
    with pytest.raises(UntrustedError, match=r"hostile\.os is another package's module"):
        located("hostile.os.system")
    for call in (located, lambda name: build({"_target_": name, "x": 1})):
        with pytest.raises(UntrustedError, match="of another package, pathlib"):
            call("hostile.Path")
    assert len(refused({"_target_": "hostiles.Mine"})) == 1
    for wrong in ("", "a b", "a/b", "a.", "-"):
        with pytest.raises(ValueError, match="must be the name of a package"):
            trust([wrong])


def test_a_process_elsewhere_trusts_what_the_command_does(
    marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is handed to processes of a sweep and to jobs of Slurm."""
    trust(["hostile"])
    run = Planned((), {}, Path(), {}, {})
    handed = json.loads(json.dumps(vars(Training.of(run))))
    monkeypatch.setattr("seqrl.trust._trusted", set())
    monkeypatch.setattr("seqrl.cli.running.run_training", lambda config: located(MINE) and 0)
    assert Training(**handed)() == 0


@pytest.mark.parametrize(
    "settings",
    [
        [f"{ACTOR}._target_={MINE}"],
        [f"{ACTOR}._target_=${{task.name}}", f"task.name={MINE}"],
        ["+decoding.inner._target_=hostile.Mine"],
        [f"launcher._target_={MINE}", "launcher=local"],
        [f"-m {ACTOR}._target_={MINE},os.system"],
    ],
)
def test_a_command_line_is_refused_and_trusted(
    settings: Sequence[str],
    marker: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert trained(monkeypatch, *" ".join(settings).split()) == 2
    assert "--trust PACKAGE" in capsys.readouterr().err
    assert not marker.exists()


FILES = {
    "decoding": {"_target_": MINE, "max_length": 9},
    "experiment": {"decoding": {"_target_": MINE}, "trust": ["hostile"], "hydra": {}},
}


@pytest.mark.parametrize("group", FILES)
def test_no_file_trusts_what_it_names(
    group: str,
    marker: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / group).mkdir()
    text = "# @package _global_\n" if group == "experiment" else ""
    (tmp_path / group / "his.yaml").write_text(text + yaml.safe_dump(FILES[group]))
    chosen = ["decoding=greedy"] if group == "experiment" else []
    arguments = [f"--config-dir={tmp_path}", *chosen, f"{group}=his", "decoding.max_length=9"]
    assert trained(monkeypatch, *arguments) == 2
    assert f"decoding._target_={MINE}: neither a part of seqrl" in capsys.readouterr().err
    assert not marker.exists()
    assert trained(monkeypatch, *arguments, f"outputs={tmp_path}", "--trust", "hostile") == 0
    assert marker.exists()


def test_what_a_file_tells_hydra_to_make_is_not_made(
    marker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hydra's own command makes callbacks and loggers before anybody looks at them."""
    (tmp_path / "experiment").mkdir()
    hydra = {
        "callbacks": {"his": {"_target_": MINE}},
        "job_logging": {"version": 1, "root": {}, "handlers": {"his": {"()": MINE}}},
        "sweeper": {"_target_": MINE},
        "launcher": {"_target_": MINE},
    }
    text = "# @package _global_\n" + yaml.safe_dump({"hydra": hydra})
    (tmp_path / "experiment" / "his.yaml").write_text(text)
    monkeypatch.setattr("seqrl.cli.running.run_training", lambda config: 0)
    for typed in (["dry_run=false"], ["-m"], ["--cfg=job"]):
        arguments = [f"--config-dir={tmp_path}", "experiment=his", f"outputs={tmp_path}", *typed]
        monkeypatch.setattr(sys, "argv", ["seqrl-train", "dry_run=true", *arguments])
        with suppress(SystemExit):
            train.main()
    assert not marker.exists()


READERS: dict[str, tuple[Callable[[list[str]], int], list[str]]] = {
    "evaluate": (evaluate.main, []),
    "generate": (generate.main, []),
    "export": (export.main, ["--output", "OUT"]),
    "rerun": (rerun.main, ["outputs=OUT"]),
}


@pytest.mark.parametrize(
    ("command", "where"),
    [
        (command, where)
        for command in READERS
        for where in ("config.yaml", "interpolated", "policy.json")
        if (command, where) != ("rerun", "policy.json")  # which it does not read
    ],
)
def test_a_run_of_others_is_refused_by_every_command(
    command: str,
    where: str,
    marker: Path,
    tiny_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "text/erac/01234567/seed1"))
    main, more = READERS[command]
    config = yaml.safe_load((run / "config.yaml").read_text())
    if where == "policy.json":
        hostile = config["model"]["policy"] | {"_target_": MINE}
        (run / "checkpoints/joint/policy.json").write_text(json.dumps(hostile))
    else:
        config["decoding"] |= {"_target_": MINE}
        if where == "interpolated":
            config["decoding"] = "${oc.create:'{_target_: hostile.Mine}'}"
        (run / "config.yaml").write_text(yaml.safe_dump(config))
    arguments = [str(run), *(text.replace("OUT", str(tmp_path / "out")) for text in more)]
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert ("no reference may be left" if where == "interpolated" else "--trust PACKAGE") in told
    assert not marker.exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("setting", ["from", "teacher"])
def test_a_run_that_a_network_comes_from_is_refused(
    setting: str, marker: Path, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    config = yaml.safe_load((run / "config.yaml").read_text())
    hostile = config["model"]["policy"] | {"_target_": MINE}
    (run / "checkpoints/joint/policy.json").write_text(json.dumps(hostile))
    chosen = {
        "from": ["algorithm=gold", f"algorithm.stages.finetune.from.policy={run}"],
        "teacher": ["algorithm=distillation", f"algorithm.teacher={run}"],
    }[setting]
    assert trained(monkeypatch, *chosen, f"outputs={tmp_path}") == 2
    assert "policy.json: _target_=hostile.Mine" in capsys.readouterr().err
    assert not marker.exists()


def test_an_export_of_others_makes_only_parts_of_seqrl(marker: Path, tmp_path: Path) -> None:
    from seqrl.evaluation.export import ExportError, _class, _detokenizer
    from seqrl.models.base import Policy

    for name in (MINE, "seqrl.cli.train.os.system", "seqrl.tracking.files.write_bytes_atomic"):
        with pytest.raises(ExportError):
            _class(name, Policy)
        with pytest.raises(ExportError):
            _detokenizer(name)
    assert not marker.exists()


def test_the_configuration_of_a_command_is_checked_as_a_whole() -> None:
    from omegaconf import OmegaConf

    from seqrl.identity import plain

    wrong = {"a": {"_target_": "os.system"}, "b": [{"_target_": "builtins.eval"}]}
    with pytest.raises(ConfigError) as error:
        plain(OmegaConf.create(wrong))
    assert [line.partition("=")[0] for line in str(error.value).splitlines()] == [
        "a._target_",
        "b[0]._target_",
    ]
