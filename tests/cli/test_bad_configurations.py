"""Wrong configurations: all that is wrong is told at once, with what is allowed; exit code 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from seqrl.cli import train

TEXT = "task=text task.source=de task.target=en task.data_dir=/no/such/folder"

NAMES = [
    ("sed=3", "sed=3: no such setting; did you mean seed?"),
    ("trainer.max_step=3", "did you mean trainer.max_steps or"),
    ("trainer.guards.min_entrpy=1", "did you mean trainer.guards.min_entropy"),
    (
        "algorithm=erac algorithm.stages.joint.algorithm.proposal.sampls=3",
        "proposal.sampls=3: no such setting; did you mean algorithm.stages.joint.algorithm."
        "proposal.samples?",
    ),
    ("algorithm.tau=0.1", "algorithm.tau=0.1: no such setting; algorithm has stages, name"),
    ("algorithm=eracc", "algorithm=eracc: there is no such algorithm; did you mean erac?"),
    ("experiment=[smoke,tabel1]", "experiment=tabel1: there is no such experiment; did you mean"),
    ("task=null", "task=null: one must be chosen; there are aeslc, "),
    (
        "budget@task.budget=smal",
        "budget@task.budget=smal: there is no such budget; did you mean sm",
    ),
    (
        "+schedule@task.budget.actor.lr_schedule=linar",
        "schedule@task.budget.actor.lr_schedule=linar: there is no such schedule; did you mean lin",
    ),
    (
        "algorithm=reinforce baseline@algorithm.baseline=gredy",
        "baseline@algorithm.baseline=gredy: there is no such baseline; did you mean greedy?",
    ),
    ("+foo=1", "+foo=1: no such setting"),
    ("+trainer.max_step=1", "+trainer.max_step=1: no such setting; did you mean trainer.max_steps"),
    ("+tracker.api_key=1", "+tracker.api_key=1: no such setting; tracker has mode, project, group"),
    ("~foo", "~foo: no such setting"),
    ("~trainer.max_steps", "~trainer.max_steps: cannot be removed: every run needs it"),
    ("~seed", "~seed: cannot be removed: every run needs it"),
    ("~decoding", "~decoding: cannot be removed: every run needs it; there are beam5, "),
    ("~algorithm.stages.actor", "algorithm.stages: must hold a stage"),
    ("~algorithm.stages.actor.label", "algorithm.stages.actor.label: is missing"),
    ("task.name=${nothing}", "task.name=${nothing}: Interpolation key 'nothing' not found"),
    ("--foo=3", "--foo=3: there is no such option; did you mean --info?"),
    (
        "--config-name=x",
        "--config-name=x: not possible here; groups of your own are in --config-dir",
    ),
    ("hydra.run.dir=x", "hydra.run.dir=x: has no meaning here"),
]
TYPES = [
    ("seed=abc", "seed=abc: must be a whole number, such as 1"),
    ("seed=", "seed=: must be a whole number, such as 1"),
    ("seed=???", "seed=???: must be a whole number, such as 1"),
    ("seed=null", "seed=null: must be a whole number, such as 1"),
    ("seed=1,2", "seed=1,2: several values need a sweep: add -m"),
    ("trainer.log_every=[1,2]", "trainer.log_every=[1,2]: must be a whole number, such as 50"),
    ("trainer.log_every='50'", "trainer.log_every='50': must be a whole number, such as 50"),
    ("trainer.log_every=true", "trainer.log_every=true: must be a whole number, such as 50"),
    ("trainer.max_steps=1.5", "trainer.max_steps=1.5: must be a whole number or null"),
    ("threads=many", "threads=many: must be a whole number or null"),
    ("task.scores=bleu", "task.scores=bleu: must be a list, such as ["),
    ("reuse=3", "reuse=3: must be true or false, such as true"),
    ("algorithm.stages.actor=null", "algorithm.stages.actor=None: must be a mapping"),
    ("algorithm.stages.actor.label=null", "algorithm.stages.actor.label=None: must be text"),
    ("task.budget=small", "task.budget=small: must be a mapping, or set by the settings below it"),
    ("trainer.max_steps=[1", "trainer.max_steps=[1: no viable alternative at input '[1'; perhaps"),
    ("trainer.max_steps= x", "trainer.max_steps= x: must be a whole number or null"),
    ("=3", "=3: settings are written KEY=VALUE"),
    ("seed", "seed: settings are written KEY=VALUE"),
]
RANGES = {
    "": [
        ("seed=-1", "seed must be a whole number from 0 to 2^63 - 1, not -1"),
        ("threads=0", "threads must be at least 1 or null, not 0"),
        ("outputs=/dev/null", "outputs=/dev/null: /dev/null is no folder that can be written to"),
        ("device=foo", "device=foo: must be auto, cpu, cuda or cuda:NUMBER"),
        ("tracker.mode=maybe", "mode must be one of offline, online, disabled, not maybe"),
        ("trainer.log_every=0", "log_every must be at least 1, not 0 (trainer.log_every=0)"),
        ("trainer.precision=fp8", "must be one of fp32, bf16, not 'fp8' (trainer.precision=fp8)"),
        ("trainer.guards.min_dev_share=2", "guards: min_dev_share must lie in (0, 1) or be null"),
        (
            "task.budget.actor.optimizers.policy.lr=-1",
            "lr must be at least 0, not -1 (task.budget.actor.optimizers.policy.lr=-1)",
        ),
        ("task.budget.actor.epochs=0", "must be at least 1, not 0 (task.budget.actor.epochs=0)"),
        ("reward.order=0", "reward: order must be at least 1, not 0 (reward.order=0)"),
        ("model.policy.dropout=1.5", "model.policy: dropout must lie in [0, 1), not 1.5"),
        ("decoding.size=0", "decoding: size must be at least 1, not 0 (decoding.size=0)"),
        ("task.name=../x", "task.name=../x: must be the name of a folder"),
        ("task.metric=blue", "task: no metric blue; there are bleu, sacrebleu"),
        ("init_from=/no/run", "init_from=/no/run: neither a finished run's folder nor a file"),
    ],
    "algorithm=erac": [
        ("outputs=", "outputs must be a folder; it may be new"),
        ("algorithm.tau=-1", "tau must not be negative, not -1 (algorithm.tau=-1)"),
        ("algorithm.beta=nan", "algorithm.stages.joint.algorithm.beta=nan: must be a finite"),
        ("algorithm.form=papr", "must be one of paper, released, not 'papr' (algorithm.form=papr)"),
        ("init_from=/dev/null", "init_from=/dev/null: "),
        (
            "trainer.log_every=null",
            "algorithm.stages.joint: log_every must be at least 1, not None",
        ),
        (
            "algorithm.stages.critic.from.policy=actr",
            "algorithm.stages.critic.from.policy=actr: neither a stage of this algorithm nor a "
            "run's folder; earlier stages are actor",
        ),
        (
            "algorithm.stages.joint.from.policy=joint",
            "from.policy=joint: joint is no earlier stage; earlier stages are actor, critic",
        ),
    ],
    "algorithm=ac task=text": [
        (f"outputs={'x' * 300}", ": File name too long"),
        ("reward=chrf", "needs a reward for every token (bleu, rouge, edit), not ChrfReward"),
        ("task.data_dir=null", "task.data_dir=null: must be the folder of the corpus"),
        ("+decoding._partial_=true", "decoding: must describe a way of decoding, not a "),
    ],
    "algorithm=raml model=transformer": [
        ("algorithm.proposal.samples=0", "at least 1, not 0 (algorithm.proposal.samples=0)"),
        ("model.heads=7", "heads must divide hidden, 256, without remainder, not 7"),
        ("task.budget.actor.optimizers.policy.lr=inf", "policy.lr=inf: must be a finite number"),
    ],
    "algorithm=mle": [
        (
            "+task.budget.actor.optimizers.policy.momentun=1",
            "algorithm.stages.actor.optimizers.policy.momentun=1: Adam takes no momentun; it takes",
        ),
        (
            "+task.corpus.trian=3",
            "task.corpus.trian=3: phrases takes no trian; it takes train, dev",
        ),
        ("+task.corpus._args_=[3]", "task.corpus._args_=[3]: phrases takes no _args_"),
        ("+model.policy.dropot=1", "model.policy.dropot=1: LSTM takes no dropot; it takes "),
    ],
    "-m algorithm=erac": [
        ("algorithm.tau=0.1,-2", "tau must not be negative, not -2 (algorithm.tau=-2)"),
    ],
    "launcher=local": [
        ("launcher.jobs=1.5", "launcher: jobs must be at least 1 or null, not 1.5"),
    ],
}
"""By what is chosen, settings that are all typed at once."""

_told: dict[str, str] = {}


def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *typed: str) -> str:
    """What `seqrl-train` complains of, which must end with exit code 2 and no traceback."""
    monkeypatch.setattr(sys, "argv", ["seqrl-train", "dry_run=true", *typed])
    with pytest.raises(SystemExit) as end:
        train.main()
    assert end.value.code == 2
    output, errors = capsys.readouterr()
    assert not output
    assert "Traceback" not in errors
    return errors


def arguments(typed: str) -> list[str]:
    """The words, of which one that begins with a blank was none by itself."""
    return typed.replace("= ", "=\0").replace(" ", "\n").replace("\0", " ").split("\n")


@pytest.mark.parametrize(("typed", "message"), [*NAMES, *TYPES])
def test_a_wrong_configuration_is_told(
    typed: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in told(monkeypatch, capsys, *arguments(typed))


@pytest.mark.parametrize(
    ("chosen", "typed", "message"),
    [(chosen, *case) for chosen, cases in RANGES.items() for case in cases],
)
def test_a_value_out_of_its_range_is_told_beside_all_others(
    chosen: str,
    typed: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if chosen not in _told:
        settings = [setting for setting, _ in RANGES[chosen]]
        _told[chosen] = told(monkeypatch, capsys, *chosen.split(), *settings)
    assert any(message in line for line in _told[chosen].splitlines()), _told[chosen]


def test_names_types_choices_and_references_are_told_together(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = ["sed=1", "trainer.log_every=x", "model=lstn", "+schedule@task.budget.actor.lr=linar"]
    wrong += ["task.name=${foo}", "~outputs", "+tracker.key=1", "seed=[", "--foo", "threads=x"]
    lines = told(monkeypatch, capsys, *wrong).splitlines()
    starts = {line.partition(":")[0] for line in lines}
    assert starts == {
        *(text.lstrip("+") if "@" in text else text for text in wrong if text != "threads=x"),
        "threads=x",
    }
    assert len(lines) == len(wrong)


def test_ranges_of_all_kinds_are_told_together_and_before_data_are_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("seqrl.data.task.Task.split", None)  # which reads them
    wrong = ["seed=-1", "trainer.log_every=0", "model.hidden=3", "reward.order=0", "threads=0"]
    wrong += ["decoding.size=0", "device=foo", "algorithm=erac", "algorithm.tau=-1"]
    errors = told(monkeypatch, capsys, *TEXT.split(), *wrong)
    for typed in wrong:
        key, _, value = typed.partition("=")
        if key != "algorithm":
            (line,) = [line for line in errors.splitlines() if key.rpartition(".")[2] in line]
            assert value in line
    assert "task.data_dir=/no/such/folder: must be the folder of the corpus" in errors


def test_a_file_with_unknown_settings_is_told_like_a_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ntrainer: {log_evry: 3}\ntracker: {api_key: not-for-files}\n"
        "decoding: {size: 5.5}\n"
    )
    errors = told(monkeypatch, capsys, f"--config-dir={tmp_path}", "experiment=mine")
    assert "trainer.log_evry: no such setting" in errors
    assert "tracker.api_key: no such setting; there are mode, project, group. A key" in errors
    assert "decoding.size=5.5: must be a whole number" in errors
    assert "not-for-files" not in errors


COLD = """
import resource, sys
from seqrl.cli.train import main
sys.argv = ["seqrl-train", "algorithm=eracc", "sed=1", "trainer.log_every=x", "task.name=${no}"]
try:
    main()
except SystemExit as end:
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(end.code, "torch" in sys.modules, used.ru_utime + used.ru_stime)
"""


def test_names_and_types_are_told_in_a_second_and_without_pytorch() -> None:
    """Processor time from the start of the process; the machine may have others to serve."""
    done = subprocess.run([sys.executable, "-c", COLD], capture_output=True, text=True, check=True)
    code, imported, seconds = done.stdout.split()
    assert (code, imported) == ("2", "False")
    assert len(done.stderr.splitlines()) == 4
    assert float(seconds) < 2
