"""What a user typed wrong is told at once, all of it, and before torch is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from seqrl.cli.configuration import Groups, OverrideError, check_overrides, linked, overridden

BASE = ["task=text", "algorithm=erac"]


def only(problems: list[str]) -> str:
    (problem,) = problems
    return problem


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        BASE,
        [*BASE, "algorithm.tau=0.05", "seed=3", "decoding=greedy", "decoding.max_length=7"],
        [*BASE, "algorithm.tau=1", "init_from=/a/b-c/run", "task.data_dir=${oc.env:HOME}"],
        [*BASE, "task.filters.max_source_tokens=null", "task.source_tokenizer.max_size=10"],
        [*BASE, "task.budget.actor.optimizers.policy.lr=3", "task.scores=[bleu]"],
        [*BASE, "task.budget.actor.decay_patience=2"],
        [*BASE, "+schedule@task.budget.joint.lr_schedule=linear"],
        ["task=phrases", "task.detokenize=none"],
        ["-m", *BASE, "algorithm.tau=0.02,0.04", "seed=range(1,10)", "decoding=beam5,greedy"],
        ["-m", "task=text", "algorithm=erac,ac", "algorithm.stages.actor.epochs=3"],
        ["--cfg", "job", *BASE],
        ["-sc", "install=bash"],
        ["--help", "algorithm=nonsense"],
    ],
)
def test_nothing_is_wrong_with_a_right_command_line(arguments: list[str]) -> None:
    assert check_overrides(arguments) == []


def test_all_problems_are_told_together() -> None:
    problems = check_overrides(
        [
            *("task=text", "algorithm=eracc", "algorithm.taau=0.04", "decoding=beam"),
            *("sed=3", "trainer.log_every=often", "foo", "reuse=1"),
        ]
    )
    assert [problem.partition(":")[0] for problem in problems] == [
        "foo",
        "algorithm=eracc",
        "decoding=beam",
        "sed=3",
        "trainer.log_every=often",
        "reuse=1",
    ]
    text = "\n".join(problems)
    assert "did you mean erac?" in text
    assert "did you mean beam5? (there are beam5, " in text
    assert "did you mean seed?" in text
    assert "must be a whole number, such as 50" in text
    assert "must be true or false, such as true" in text


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("task.data_dirr=x", "no such setting; did you mean task.data_dir?"),
        ("tau=0.1", "no such setting; did you mean algorithm.tau?"),
        ("task.scores=bleu", "must be a list, such as [bleu,sacrebleu]"),
        ("seed=1.5", "must be a whole number, such as 1"),
        ("seed=true", "must be a whole number, such as 1"),
        ("algorithm.tau=hot", "must be a number, such as 0.01"),
        ("algorithm.form=[paper]", "must be text, such as paper"),
        ("algorithm.stages=3", "must be a mapping, or set by the settings below it"),
        ("algorithm.tau.x=3", "no such setting"),
        ("seed", "settings are written KEY=VALUE"),
        ("task.source=ä", """perhaps quote it: 'task.source="ä"'"""),
        ("seed=1,2", "several values need a sweep: add -m"),
        ("seed=null", "must be a whole number, such as 1"),
        ("outputs=null", "must be text, such as outputs"),
        ("algoritm=mle", "no such setting; did you mean algorithm?"),
        (
            "task.target_tokenizer={_target_:a.B,size:9}",
            "task.target_tokenizer has no size; to put something else in its place: "
            "'~task.target_tokenizer' '+task.target_tokenizer={_target_:a.B,size:9}'",
        ),
        (
            "algorithm.stages.joint.optimizers.policy.lr=1",
            "algorithm.stages.joint.optimizers is taken from task.budget.joint.optimizers; "
            "set task.budget.joint.optimizers.policy.lr",
        ),
    ],
)
def test_a_problem_says_what_is_allowed(override: str, told: str) -> None:
    problem = only(check_overrides([*BASE, override]))
    assert problem.startswith(f"{override}: ")
    assert told in problem


@pytest.mark.parametrize("question", ["--hydra-help", "--shell-completion", "--help", "--info"])
@pytest.mark.parametrize("option", ["--experimental-rerun", "--config-path", "--config-name"])
def test_no_question_has_another_configuration_read(question: str, option: str) -> None:
    (problem,) = check_overrides([question, f"{option}=x"])
    assert problem.startswith(f"{option}=x: not possible here")


def test_a_choice_below_a_setting_is_written_as_a_choice() -> None:
    problem = only(check_overrides(["algorithm=raml", "algorithm.proposal=hamming"]))
    assert problem.endswith("choose it with proposal@algorithm.proposal=hamming")
    assert check_overrides(["algorithm=raml", "proposal@algorithm.proposal=hamming"]) == []
    assert check_overrides(["algorithm=raml", "algorithm.proposal={samples:3}"]) == []


def test_a_folder_that_is_no_setting_may_be_a_second_run(tmp_path: Path) -> None:
    with pytest.raises(OverrideError, match="one run at a time"):
        overridden(composed(), [str(tmp_path)], Groups())


def test_a_folder_of_groups_must_be_there(tmp_path: Path) -> None:
    problem = only(check_overrides([f"--config-dir={tmp_path / 'none'}", *BASE]))
    assert problem == f"--config-dir={tmp_path / 'none'}: there is no such folder"


def test_a_sweep_over_groups_needs_a_setting_in_each_of_them() -> None:
    problem = only(check_overrides(["-m", "task=text", "algorithm=erac,mle", "algorithm.tau=0.1"]))
    assert problem.startswith("algorithm.tau=0.1: no such setting with algorithm=mle")


def test_every_value_of_a_sweep_is_checked() -> None:
    assert "a number" in only(check_overrides(["-m", *BASE, "algorithm.tau=0.1,warm"]))
    assert "a whole number" in only(check_overrides(["-m", *BASE, "seed=range(0.5,3)"]))


def test_groups_of_a_users_own_folder_are_known(tmp_path: Path) -> None:
    (tmp_path / "decoding").mkdir()
    (tmp_path / "decoding" / "mine.yaml").write_text("width: 3\n")
    option = f"--config-dir={tmp_path}"
    assert check_overrides([option, *BASE, "decoding=mine", "decoding.width=4"]) == []
    problem = only(check_overrides([option, *BASE, "decoding=mine", "decoding.size=4"]))
    assert "decoding has width" in problem
    told = only(check_overrides([option, "decoding=his"]))
    assert "beam5" in told
    assert "mine" in told


@pytest.mark.parametrize("wrong", ["algorithm=eracc", "algorithm.tauu=1", "seed=x"])
def test_mistakes_are_told_before_torch_is_imported(wrong: str) -> None:
    code = (
        "import sys\n"
        "from seqrl.cli.train import main\n"
        f"sys.argv = ['seqrl-train', 'task=text', 'algorithm=erac', {wrong!r}]\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    print(end.code, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "2 False\n"
    assert done.stderr.startswith(f"{wrong}: ")


def composed(*overrides: str) -> dict[str, object]:
    """A resolved configuration, as `config.yaml` holds it."""
    config = OmegaConf.to_container(Groups().compose([*BASE, *overrides]), resolve=True)
    text = OmegaConf.to_yaml(OmegaConf.create(config))
    values = yaml.safe_load(text)
    assert isinstance(values, dict)
    return values


def test_links_that_are_put_back_change_no_value() -> None:
    values = composed("model=lstm_small", "model.hidden=32", "task.name=my", "algorithm.tau=0.1")
    config = linked(values, Groups())
    assert OmegaConf.to_container(config, resolve=True) == values
    unresolved = OmegaConf.to_container(config)
    assert isinstance(unresolved, dict)
    assert unresolved["task"]["corpus"]["data_dir"] == "${task.data_dir}"


def test_links_that_are_put_back_are_followed() -> None:
    values = composed("task.data_dir=/old")
    config = overridden(
        values,
        [
            *("algorithm.tau=0.07", "seed=5", "task.data_dir=/new", "model.hidden=32"),
            "task.budget.joint.optimizers.policy.lr=9",
        ],
        Groups(),
    )
    stages = config.algorithm.stages
    assert stages.critic.algorithm.tau == stages.joint.algorithm.tau == 0.07
    assert stages.actor.seed == stages.joint.seed == 5
    assert config.task.corpus.data_dir == "/new"
    assert config.model.policy.hidden == config.model.critic.hidden == 32
    assert stages.joint.optimizers.policy.lr == 9


def test_a_setting_that_was_set_apart_stays_apart() -> None:
    values = composed("algorithm.stages.critic.algorithm.tau=0.5")
    stages = overridden(values, ["algorithm.tau=0.07"], Groups()).algorithm.stages
    assert stages.critic.algorithm.tau == 0.5
    assert stages.joint.algorithm.tau == 0.07


def test_a_choice_of_a_group_replaces_it_before_its_values_are_set() -> None:
    values = composed("decoding=beam5", "decoding.length_penalty=1")
    config = overridden(values, ["decoding.max_length=9", "decoding=greedy"], Groups())
    assert dict(config.decoding) == {
        "_target_": "seqrl.decoding.decoder.Greedy",
        "max_length": 9,
        "min_length": 0,
        "no_repeat_ngram": 0,
        "no_unk": False,
    }


def test_another_algorithm_takes_its_budget_from_the_runs_task() -> None:
    values = composed("task.budget.actor.epochs=7", "seed=4")
    config = overridden(values, ["algorithm=raml", "algorithm.tau=0.9"], Groups())
    assert list(config.algorithm.stages) == ["actor"]
    assert config.algorithm.stages.actor.epochs == 7
    assert config.algorithm.stages.actor.seed == 4
    assert config.algorithm.stages.actor.algorithm.tau == 0.9


def test_overrides_of_a_run_are_checked_together() -> None:
    with pytest.raises(OverrideError) as error:
        overridden(
            composed(),
            ["seed=1", "decoding=beem", "decoding.size=x", "device=cpu", "task.nme=x", "+a=1"],
            Groups(),
            allowed=("decoding", "task"),
        )
    names = ", ".join(Groups().names("decoding"))
    assert str(error.value).splitlines() == [
        "seed=1: cannot be changed here; there are decoding, task",
        "device=cpu: cannot be changed here; there are decoding, task",
        "+a=1: only changes, KEY=VALUE, are possible here",
        f"decoding=beem: there is no such decoding; did you mean beam5? (there are {names})",
        "task.nme=x: no such setting; did you mean task.name?",
    ]
