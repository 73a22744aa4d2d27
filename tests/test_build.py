"""The configuration as it is shipped: it composes, builds, and says what is wrong with it."""

from __future__ import annotations

import inspect
import json
import re
import shutil
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.utils import get_object

from seqrl.build import (
    asked_for,
    build_guards,
    build_lr_schedule,
    build_settings,
    build_task,
    build_with,
    check,
    network_node,
    run_network,
    stage_description,
    stage_networks,
)
from seqrl.cli.configuration import conf_folder
from seqrl.data.corpus import Example
from seqrl.data.tokenizers import PretrainedTokenizer
from seqrl.identity import (
    ConfigError,
    files_hash,
    identity,
    needed_stages,
    plain,
    run_folder,
    starts_of,
)
from seqrl.metrics.corpus import METRICS
from seqrl.schedules import InverseSqrt, Linear
from seqrl.training.guards import Guards
from seqrl.training.store import Start

CONF = conf_folder()
DATA = ["task.data_dir=.", "task.source=de", "task.target=en"]


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def composed(*overrides: str) -> dict[str, Any]:
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return plain(compose(config_name="train", overrides=list(overrides)))


def data_of(task: str) -> list[str]:
    """What a task needs beside its name: data, or a reward of tokens where it has none."""
    if task == "oracle":
        return ["reward=bleu"]
    return DATA if task in ("text", "jsonl", "tatoeba") else []


def with_every_algorithm(group: str) -> list[Any]:
    """Pairs of a choice and an algorithm; of six, in rotation, five are among the full tests."""
    return [
        pytest.param(name, algorithm, marks=pytest.mark.full if (i + j) % 6 else [])
        for i, name in enumerate(names(group))
        for j, algorithm in enumerate(names("algorithm"))
    ]


@pytest.mark.parametrize(("task", "algorithm"), with_every_algorithm("task"))
def test_every_task_builds_with_every_algorithm(task: str, algorithm: str) -> None:
    check(composed(f"task={task}", f"algorithm={algorithm}", "device=cpu", *data_of(task)))


@pytest.mark.parametrize(("model", "algorithm"), with_every_algorithm("model"))
def test_every_model_builds_with_every_algorithm(model: str, algorithm: str, request: Any) -> None:
    own = []
    if model == "pretrained":
        folder = request.getfixturevalue("tiny_checkpoint")
        own = [f"model.checkpoint={folder}", "decoding.max_length=64"]
    check(composed(f"model={model}", f"algorithm={algorithm}", "device=cpu", *own))


def test_a_checkpoint_must_be_named_and_long_enough(tiny_checkpoint: Path) -> None:
    with pytest.raises(ConfigError, match="a name on the hub or a folder: model"):
        check(composed("model=pretrained", "device=cpu"))
    with pytest.raises(
        ConfigError, match=r"max_length=100: model\.policy writes at most 64 tokens"
    ):
        check(composed("model=pretrained", "device=cpu", f"model.checkpoint={tiny_checkpoint}"))


def test_a_model_with_tokenizers_of_its_own_replaces_the_tasks(tiny_checkpoint: Path) -> None:
    chosen = ["model=pretrained", f"model.checkpoint={tiny_checkpoint}", "model.prefix='a b '"]
    task = build_task(composed(*chosen, "task.source_eos=true"))
    alone = PretrainedTokenizer(checkpoint=str(tiny_checkpoint), side="source")
    assert task.source_tokenizer.encode("c d") == alone.encode("a b c d")
    assert not task.source_eos  # the checkpoint's tokenizer sees to that
    assert task.target_tokenizer.specials.bos == task.target_tokenizer.specials.pad


def test_the_contents_of_a_checkpoint_count_and_not_its_place(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    def keys(folder: Path) -> tuple[str, Any]:
        config = composed("model=pretrained", f"model.checkpoint={folder}")
        (stage,) = needed_stages(config).values()
        return identity(config), stage_description(config, stage, "data")

    copy = Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))
    assert keys(copy) == keys(tiny_checkpoint)
    (copy / "README.md").write_text("It is nobody's business.")
    assert keys(copy) == keys(tiny_checkpoint)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"dropout": 0.5}))
    found, before = keys(copy), keys(tiny_checkpoint)
    assert found[0] != before[0]
    assert found[1] != before[1]


def test_settings_of_the_transformer_reach_its_networks() -> None:
    sizes = {"hidden": 64, "inner": 96, "heads": 2, "layers": 5}
    overrides = [f"model.{name}={value}" for name, value in sizes.items()]
    config = composed("algorithm=vaml", "model=transformer", "model.tied=all", *overrides)
    policy, critic = (config["model"][name] for name in ("policy", "critic"))
    assert {name: policy[name] for name in sizes} == {name: critic[name] for name in sizes} == sizes
    assert (policy["tied"], critic["tied"]) == ("all", None)
    assert (policy.get("bar_specials", True), critic["bar_specials"]) == (True, False)


@pytest.mark.parametrize("model", ["lstm", "transformer"])
def test_the_critic_of_vaml_is_barred_like_a_policy_whatever_the_model(model: str) -> None:
    config = composed("algorithm=vaml", f"model={model}", "algorithm.critic.dropout=0.25")
    for stage in config["algorithm"]["stages"].values():
        critic = network_node(config, "critic", stage)
        assert (critic["bar_specials"], critic["dropout"]) == (True, 0.25)


WHOLE = {
    "chrf": "reward",
    "corpus_bleu": "reward",
    "seqgan": "experiment",
    "oracle_small": "experiment",
}
"""Choices whose reward is of whole sequences, by name."""


@pytest.mark.parametrize(
    "override",
    [
        f"{group}={name}"
        for group in ("model", "reward", "decoding", "trainer", "tracker", "experiment")
        for name in names(group)
        if name not in ("mix", "music", "pretrained", *WHOLE)
    ],
)
def test_every_other_choice_builds(override: str) -> None:
    check(composed("algorithm=erac", "device=cpu", override))


@pytest.mark.parametrize("override", [f"{group}={name}" for name, group in WHOLE.items()])
def test_a_reward_of_whole_sequences_builds_where_no_more_is_asked_for(override: str) -> None:
    check(composed("algorithm=reinforce", "device=cpu", override))
    with pytest.raises(ConfigError, match="needs a reward for every token"):
        check(composed("algorithm=erac", "device=cpu", override))


def test_music_rewards_melodies_alone() -> None:
    check(composed("algorithm=erac", "device=cpu", "task=melody", "reward.repeats=0.5"))
    for task in ("phrases", "oracle"):
        with pytest.raises(ConfigError, match="need a task whose target words are the symbols"):
            check(composed("device=cpu", f"task={task}", "reward=music"))


@pytest.mark.parametrize("override", ["task.metric=oracle_nll", "task.scores=[melody_reward]"])
def test_scores_of_another_task_are_refused(override: str) -> None:
    with pytest.raises(ConfigError, match="is of another task: it needs"):
        check(composed("device=cpu", override))


def test_a_play_has_a_word_before_its_end() -> None:
    with pytest.raises(ConfigError, match="max_length must be at least 2, not 1"):
        check(composed("device=cpu", "algorithm=sequence_tutor", "algorithm.max_length=1"))


def test_a_task_may_have_the_likelihood_select_its_own_stages() -> None:
    stages = composed("algorithm=scst", "task=melody")["algorithm"]["stages"]
    assert [stage["select"] for stage in stages.values()] == ["nll", "melody_reward"]
    usual = composed("algorithm=scst", "task=g2p")["algorithm"]["stages"]
    assert {stage["select"] for stage in usual.values()} == {"per"}


def test_a_melodys_length_reaches_its_model_and_its_reward() -> None:
    config = composed("task=melody", "task.corpus.length=16")
    parts = config["reward"]["parts"]
    lengths = {config["model"]["policy"]["length"], parts["tonic"]["steps"]}
    assert lengths | {parts["extremes"]["steps"]} == {16}


def test_a_mix_builds_with_a_weight() -> None:
    mixed = ["algorithm=erac", "device=cpu", "reward=mix"]
    check(composed(*mixed, "reward.bleu=1", "reward.repetition=0.2"))
    check(composed("algorithm=reinforce", *mixed[1:], "reward.bleu=1", "reward.chrf=0.5"))
    with pytest.raises(ConfigError, match="a mix needs a weight"):
        check(composed(*mixed))
    with pytest.raises(ConfigError, match="needs a reward for every token"):
        check(composed(*mixed, "reward.chrf=1"))


@pytest.mark.parametrize("schedule", names("schedule"))
def test_every_schedule_builds(schedule: str) -> None:
    choice = f"schedule@algorithm.truth={schedule}"
    check(composed("algorithm=scheduled_sampling", choice, "device=cpu"))


@pytest.mark.parametrize("schedule", names("schedule"))
def test_every_schedule_lowers_a_learning_rate(schedule: str) -> None:
    config = composed("algorithm=erac", f"+schedule@task.budget.joint.lr_schedule={schedule}")
    check(config)
    made = [build_lr_schedule(stage) for stage in config["algorithm"]["stages"].values()]
    assert made[:2] == [None, None]
    assert type(made[2]).__name__.lower() == schedule.removesuffix("_percent").replace("_", "")


BUDGETS = {
    "lstm": {"paper": "paper", "small": "small"},
    "note_rnn": {"paper": "language_model", "small": "language_model"},
    "transformer": {"paper": "transformer", "small": "transformer_small"},
    "pretrained": {"paper": "pretrained", "small": "pretrained"},
    "language_model": {"paper": "language_model", "small": "language_model"},
}
"""Of an LSTM, and what takes their places for others."""

SCHEDULED = dict.fromkeys(["paper", "small", "language_model"], 0)
SCHEDULED |= {"transformer": 2, "transformer_small": 2, "pretrained": 3}
"""Of ERAC's three stages, how many have a schedule of learning rates in a budget."""


def usual(task: str) -> str:
    """The budget of a task for an LSTM."""
    return (
        "small" if task in ("bible", "g2p", "melody", "oracle", "phrases", "reports") else "paper"
    )


@pytest.mark.parametrize("task", ["cnn_dailymail", "phrases"])
@pytest.mark.parametrize("model", names("model"))
def test_the_model_chooses_the_kind_of_budget_and_the_task_its_size(model: str, task: str) -> None:
    choices = ["algorithm=erac", f"task={task}", f"model={model}", *data_of(task)]
    budget = BUDGETS[model.removesuffix("_small")][usual(task)]
    config = composed(*choices)
    assert config == composed(*choices, f"budget@task.budget={budget}")
    found = [build_lr_schedule(stage) for stage in config["algorithm"]["stages"].values()]
    assert [schedule is not None for schedule in found].count(True) == SCHEDULED[budget]


@pytest.mark.parametrize("task", names("task"))
def test_a_transformer_starts_with_adam_and_a_warm_up(task: str) -> None:
    """Whatever a task changes of its budget."""
    config = composed("algorithm=erac", f"task={task}", "model=transformer", *data_of(task))
    check(config | {"device": "cpu"})
    actor, critic, _ = config["algorithm"]["stages"].values()
    assert actor["optimizers"]["policy"]["_target_"] == "torch.optim.Adam"
    assert actor["optimizers"]["policy"]["lr"] <= 0.004
    assert actor["batch_size"] >= (1000 if actor["batch_unit"] == "tokens" else 50)
    small = usual(task) == "small"
    for stage in (actor, critic):
        assert isinstance(build_lr_schedule(stage), InverseSqrt)
        expected = {"warmup": 10, "unit": "percent"} if small else {"warmup": 4000}
        assert {name: stage["lr_schedule"][name] for name in expected} == expected


@pytest.mark.parametrize("task", ["multi30k", "phrases"])
@pytest.mark.parametrize("budget", names("budget"))
def test_a_budget_that_is_chosen_is_taken(budget: str, task: str) -> None:
    choices = ["algorithm=erac", f"task={task}", f"budget@task.budget={budget}"]
    chosen = {model: composed(*choices, f"model={model}") for model in ("lstm", "transformer")}
    assert chosen["transformer"]["task"] == chosen["lstm"]["task"]
    scheduled = chosen["transformer"]["task"]["budget"]["actor"]["lr_schedule"] is not None
    assert scheduled == (SCHEDULED[budget] > 0)


def whole_for_floats(node: Any, place: str = "") -> list[str]:
    """Where a whole number stands for what a constructor takes as any: 0.5 is then refused."""
    if not isinstance(node, dict):
        return []
    found = [p for key, value in node.items() for p in whole_for_floats(value, f"{place}.{key}")]
    if "_target_" in node:
        target = get_object(node["_target_"])
        parameters = inspect.signature(target).parameters.values()
        kinds = {p.name: str(p.annotation) for p in parameters}
        rest = next((str(p.annotation) for p in parameters if p.kind is p.VAR_KEYWORD), "")
        found += [
            f"{place}.{key}={value}"
            for key, value in node.items()
            if type(value) is int and "float" in kinds.get(key, rest)
        ]
    return found


@pytest.mark.parametrize("group", ["algorithm", "reward", "model", "task", "decoding", "budget"])
def test_what_may_be_any_number_is_written_as_one(group: str) -> None:
    for name in names(group):
        key = "budget@task.budget" if group == "budget" else group
        config = composed(f"{key}={name}", *(data_of(name) if group == "task" else []))
        assert whole_for_floats(config) == [], name


@pytest.mark.parametrize("schedule", names("schedule"))
def test_what_may_be_any_number_of_a_schedule_is_written_as_one(schedule: str) -> None:
    config = composed(f"+schedule@task.budget.actor.lr_schedule={schedule}")
    assert whole_for_floats(config) == []


def test_text_in_place_of_a_number_is_told_with_its_setting() -> None:
    """Also where null stands, which may become anything."""
    wrong = ("task.filters.truncate_source=many", "model.policy.dropout=half")
    with pytest.raises(ConfigError) as told:
        check(composed("task=aeslc", *wrong))
    assert str(told.value).splitlines() == [
        "task.filters.truncate_source=many: must be a whole number or null",
        "model.policy.dropout=half: must be a number",
    ]


def test_a_tokenizer_that_cannot_be_is_told_before_data_are_read(tiny_checkpoint: Path) -> None:
    chosen = ("model=pretrained", f"model.checkpoint={tiny_checkpoint}", "decoding.max_length=30")
    with pytest.raises(ConfigError, match="has no choice of languages"):
        check(composed("task=multi30k", *chosen, "model.source_language=de"))
    with pytest.raises(ConfigError) as told:
        check(composed("task=multi30k", "model=pretrained"))
    message = "checkpoint must be a name on the hub or a folder: model.checkpoint=NAME"
    assert str(told.value) == f"task, model.policy: {message}"


@pytest.mark.parametrize("experiment", ["g2p_small", "aeslc_small"])
def test_an_experiment_that_sets_schedules_keeps_its_budget(experiment: str) -> None:
    own, other = (
        composed(f"experiment={experiment}", f"model={model}")["task"]
        for model in ("lstm_small", "transformer_small")
    )
    assert own == other


def test_a_schedule_takes_the_place_of_a_warm_up() -> None:
    linear = "schedule@task.budget.actor.lr_schedule=linear"
    config = composed("algorithm=mle", "model=transformer", linear)
    check(config)
    assert isinstance(build_lr_schedule(config["algorithm"]["stages"]["actor"]), Linear)


def test_a_schedule_out_of_range_is_told_with_its_place() -> None:
    config = composed(
        "algorithm=mle",
        "+schedule@task.budget.actor.lr_schedule=linear",
        "task.budget.actor.lr_schedule.slope=-1",
    )
    with pytest.raises(ConfigError, match=r"actor\.lr_schedule: slope must not"):
        check(config)


def test_a_schedule_makes_another_stage_and_none_leaves_it_what_it_was() -> None:
    """Stages of a store from before there were schedules are still found."""
    config = composed("algorithm=mle")
    stage = config["algorithm"]["stages"]["actor"]
    earlier = {k: v for k, v in stage.items() if k not in ("lr_schedule", "decay_patience")}
    assert stage_description(config, stage, "d") == stage_description(config, earlier, "d")
    linear = {"_target_": "seqrl.schedules.Linear", "slope": 0.01}
    scheduled = stage_description(config, stage | {"lr_schedule": linear}, "d")
    assert scheduled != stage_description(config, stage, "d")


@pytest.mark.parametrize("proposal", names("proposal"))
def test_every_proposal_builds(proposal: str) -> None:
    check(composed("algorithm=raml", f"proposal@algorithm.proposal={proposal}", "device=cpu"))


@pytest.mark.parametrize("baseline", names("baseline"))
@pytest.mark.parametrize("algorithm", ["reinforce", "mixer"])
def test_every_baseline_builds(algorithm: str, baseline: str) -> None:
    """With an optimizer where it learns, and none where it does not."""
    check(composed(f"algorithm={algorithm}", f"baseline@algorithm.baseline={baseline}"))


def test_a_baseline_of_other_samples_needs_some() -> None:
    with pytest.raises(ConfigError, match="LeaveOneOut needs at least 2 samples"):
        check(composed("algorithm=reinforce", "algorithm.samples=1"))


def test_every_target_of_the_configuration_exists() -> None:
    def targets(node: Any) -> list[str]:
        if isinstance(node, list):
            return [t for item in node for t in targets(item)]
        if not isinstance(node, dict):
            return []
        own = [node["_target_"]] if "_target_" in node else []
        return own + [t for value in node.values() for t in targets(value)]

    found = {t for path in CONF.rglob("*.yaml") for t in targets(yaml.safe_load(path.read_text()))}
    assert len(found) > 15
    for target in found:
        get_object(target)


def test_every_setting_has_its_comment_beside_it() -> None:
    """A number that a user may set, in the files that are read first, is explained there."""
    for path in [CONF / "train.yaml", *(CONF / "trainer").glob("default.yaml")]:
        for line in path.read_text().splitlines():
            if line and not line.startswith((" ", "#", "defaults", "hydra")):
                assert "#" in line, f"{path.name}: {line}"


def test_a_task_selects_its_reward_and_the_command_line_overrules_it() -> None:
    assert composed("task=g2p")["reward"]["_target_"].endswith("EditReward")
    assert composed("task=phrases")["reward"]["_target_"].endswith("BleuReward")
    assert composed("task=g2p", "reward=bleu")["reward"]["_target_"].endswith("BleuReward")
    assert composed("reward=hamming", "task=g2p")["reward"]["distance"] == "hamming"
    small = composed("experiment=g2p_small", "algorithm=erac")
    assert small["reward"]["distance"] == "edit"
    assert small["model"]["policy"]["hidden"] == 64


@pytest.mark.parametrize(
    ("reward", "scale"), [("bleu", "reference_length"), ("edit", "none"), ("hamming", "none")]
)
def test_rewards_are_scaled_for_tokens_by_their_own_rule(reward: str, scale: str) -> None:
    config = composed("algorithm=erac", f"reward={reward}")
    for stage in ("critic", "joint"):
        assert config["algorithm"]["stages"][stage]["reward"]["scale"] == scale
    raml = composed("algorithm=raml", f"reward={reward}")
    assert raml["algorithm"]["stages"]["actor"]["reward"]["scale"] == "none"


def test_numbers_at_the_top_reach_the_stages() -> None:
    config = composed("algorithm=erac", "algorithm.tau=0.3", "algorithm.beta=0.5", "seed=7")
    stages = config["algorithm"]["stages"]
    assert stages["critic"]["algorithm"]["tau"] == 0.3
    assert stages["joint"]["algorithm"]["tau"] == 0.3
    assert stages["joint"]["algorithm"]["beta"] == 0.5
    assert {stage["seed"] for stage in stages.values()} == {7}
    assert composed("algorithm=ac")["algorithm"]["stages"]["joint"]["algorithm"]["tau"] == 0.0


def test_values_and_the_policy_that_they_teach_have_one_critic_and_rewards_of_their_own() -> None:
    for algorithm in ("vaml", "vaml_released"):
        stages = composed(f"algorithm={algorithm}")["algorithm"]["stages"]
        values, actor = stages["values"], stages["actor"]
        assert values["networks"] == actor["networks"]
        assert values["networks"]["critic"]["bar_specials"]
        assert values["reward"]["scale"] == "reference_length"
        assert actor["reward"]["scale"] == "none"
        assert values["algorithm"]["tau"] == actor["algorithm"]["value_tau"] == 0.4
        assert actor["from"] == {"critic": "values"}
    assert actor["algorithm"]["tau"] == 1.0
    assert values["algorithm"]["proposal"]["_target_"].endswith("TokenCorruption")
    assert actor["algorithm"]["proposal"]["_target_"].endswith("NGramReplacement")
    colder = composed("algorithm=vaml", "algorithm.tau=0.1")["algorithm"]["stages"]
    assert {colder["values"]["algorithm"]["tau"], colder["actor"]["algorithm"]["tau"]} == {0.1}


@pytest.mark.parametrize(
    ("algorithm", "setting", "choices"),
    [
        ("distillation", "level", "word, sequence"),
        ("seqgan", "pretraining", "both, policy, none"),
        ("sequence_tutor", "values", "shared, separate"),
    ],
)
def test_a_choice_that_is_none_is_told_with_those_there_are(
    algorithm: str, setting: str, choices: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        composed(f"algorithm={algorithm}", f"algorithm.{setting}=paragraph")
    assert str(caught.value) == f"algorithm.{setting} must be one of {choices}, not 'paragraph'"


@pytest.mark.parametrize("level", ["word", "sequence"])
def test_a_teacher_is_a_stage_of_the_run_or_a_finished_run(level: str, tmp_path: Path) -> None:
    config = composed("algorithm=distillation", f"algorithm.level={level}")
    stages = config["algorithm"]["stages"]
    check(config)
    assert list(needed_stages(config)) == ["actor", "student"]
    assert stage_networks(config, stages["student"]) == ["policy", "teacher"]
    found = []
    for place in ("here", "there"):
        run = tmp_path / place
        (run / "checkpoints" / "joint").mkdir(parents=True)
        (run / "stages.json").write_text('{"actor": "a", "joint": "b"}')
        (run / "checkpoints" / "joint" / "best.safetensors").write_bytes(b"weights")
        teachers = composed("algorithm=erac", "model.hidden=64")
        (run / "config.yaml").write_text(yaml.safe_dump(teachers))
        config = composed(
            "algorithm=distillation", f"algorithm.level={level}", f"algorithm.teacher={run}"
        )
        check(config)
        assert list(needed_stages(config)) == ["student"]
        stage = config["algorithm"]["stages"]["student"]
        assert network_node(config, "teacher", stage)["hidden"] == 64
        assert network_node(config, "policy", stage)["hidden"] == 128
        description = stage_description(config, stage, "data")
        assert str(run) not in str(description)
        found.append((identity(config), description))
    assert found[0] == found[1]
    (run / "checkpoints" / "joint" / "best.safetensors").write_bytes(b"others")
    assert identity(config) != found[0][0]
    assert stage_description(config, stage, "data") != found[0][1]


def test_a_stage_can_have_a_budget_and_a_seed_of_its_own() -> None:
    config = composed(
        "algorithm=erac",
        "algorithm.stages.critic.epochs=3",
        "algorithm.stages.actor.seed=5",
        "trainer.max_epochs=4",
    )
    stages = config["algorithm"]["stages"]
    assert build_settings(config, stages["critic"]).epochs == 3
    assert build_settings(config, stages["joint"]).epochs <= 4
    assert (stages["actor"]["seed"], stages["joint"]["seed"]) == (5, 1)


def test_all_problems_are_told_together() -> None:
    config = composed(
        "algorithm=erac",
        "algorithm.tau=-1",
        "algorithm.beta=2",
        "algorithm.stages.joint.algorithm.proposal.samples=0",
        "model.hidden=0",
        "model.policy.dropout=1.5",
        "model.critic.attention=none",
        "reward.order=0",
        "reward.smooth=-1",
        "decoding.size=0",
        "decoding.max_length=0",
        "task.metric=blue",
        "task.budget.critic.clip=-1",
        "task.budget.critic.optimizers.critic.lr=-1",
        "trainer.precision=fp8",
        "trainer.log_every=0",
        "tracker.mode=onlin",
        "outputs=",
        "seed=-1",
        "threads=0",
        "device=gpu",
    )
    with pytest.raises(ConfigError) as caught:
        check(config)
    stages = [f"algorithm.stages.{name}" for name in ("actor", "critic", "joint")]
    every, critics = ", ".join(stages), ", ".join(stages[1:])
    assert sorted(str(caught.value).splitlines()) == sorted(
        [
            f"{critics}: tau must not be negative, not -1",
            f"{critics}: beta must lie in (0, 1], not 2",
            f"{stages[2]}: samples must be at least 1, not 0",
            "model.policy, model.critic: "
            "hidden must be positive and even (half for each direction), not 0",
            "model.policy: dropout must lie in [0, 1), not 1.5",
            "model.critic: attention must be one of dot, mlp, not 'none'",
            f"reward, {critics}: order must be at least 1, not 0",
            f"reward, {critics}: smooth must not be negative, not -1",
            "decoding: size must be at least 1, not 0",
            "decoding: max_length must be at least 1, not 0",
            f"task: no metric blue; there are {', '.join(METRICS)}",
            f"{stages[1]}: clip must be positive or null, not -1",
            f"{stages[1]}.optimizers.critic: lr must be at least 0, not -1",
            f"{every}: precision must be one of fp32, bf16, not 'fp8'",
            f"{every}: log_every must be at least 1, not 0",
            "tracker: mode must be one of offline, online, disabled, not onlin",
            "outputs must be a folder; it may be new",
            "seed must be a whole number from 0 to 2^63 - 1, not -1",
            "threads must be at least 1 or null, not 0",
            "device=gpu: must be auto, cpu, cuda or cuda:NUMBER",
        ]
    )


def test_what_follows_from_a_problem_is_no_problem() -> None:
    """PyTorch refuses such a network in its own words, and no algorithm can be built with it."""
    with pytest.raises(ConfigError) as caught:
        check(composed("algorithm=erac", "model.critic.layers=-1"))
    assert str(caught.value) == "model.critic: layers must be at least 1, not -1"
    with pytest.raises(ConfigError) as caught:
        check(composed("algorithm=erac", "+model.critic.depth=2"))
    (told,) = str(caught.value).splitlines()
    assert told.startswith("model.critic.depth=2: LSTM takes no depth; it takes source_size, ")


@pytest.mark.parametrize("task", ["text", "jsonl"])
def test_a_corpus_needs_its_folder_and_the_names_of_its_sides(task: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(composed(f"task={task}", "decoding.size=0"))
    assert str(caught.value).splitlines() == [
        "task.data_dir=null: must be the folder of the corpus",
        "task.source=null: must be the language or field of the sources, such as de",
        "task.target=null: must be the language or field of the targets, such as en",
        "decoding: size must be at least 1, not 0",
    ]


@pytest.mark.parametrize("task", ["text", "jsonl", "multi30k"])
def test_a_corpus_has_two_sides(task: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"task\.target=de: must differ from task\.source"):
        check(
            composed(
                f"task={task}", f"task.data_dir={tmp_path}", "task.source=de", "task.target=de"
            )
        )


@pytest.mark.parametrize(
    "task",
    [
        *("text", "jsonl", "multi30k", "iwslt14", "phrases", "reports"),
        *("aeslc", "gigaword", "cnn_dailymail"),
    ],
)
def test_a_folder_of_data_must_exist(task: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for folder in (tmp_path / "none", file):
        with pytest.raises(ConfigError) as caught:
            check(composed(f"task={task}", *DATA, f"task.data_dir={folder}"))
        assert str(caught.value) == (
            f"task.data_dir={folder}: must be the folder of the corpus; there is no such folder"
        )


@pytest.mark.parametrize("task", ["jsonl", "text"])
def test_one_vocabulary_of_pieces_in_the_place_of_two_of_words(task: str) -> None:
    pieces = "{_target_: seqrl.data.tokenizers.SentencePieceTokenizer, vocabulary_size: 18}"
    config = composed(
        f"task={task}",
        *DATA,
        "task.source_tokenizer=null",
        "~task.target_tokenizer",
        f"+task.target_tokenizer={pieces}",
    )
    check(config)
    made = build_task(config)
    train = [Example("a document of words", ("words", "a word"))]
    made.corpus = {"train": train, "dev": train}
    assert made.source_tokenizer is made.target_tokenizer
    assert made.split("dev").references[0][0] == [
        *made.target_tokenizer.encode("words"),
        made.target_tokenizer.specials.eos,
    ]


def test_a_task_of_long_summaries_lets_outputs_be_long() -> None:
    assert composed("task=cnn_dailymail")["decoding"]["max_length"] == 200
    assert composed("task=cnn_dailymail", "decoding=beam5")["decoding"]["max_length"] == 100


def test_identity_ignores_the_seed_and_the_place_but_nothing_that_matters() -> None:
    base = composed("algorithm=erac")
    same_run = ("seed=9", "outputs=elsewhere", "device=cpu", "threads=1", "tracker=none")
    guards = ("trainer.guards=null", "trainer.guards.max_entropy_rise=9")
    sweeps = ("launcher=local", "retry_failed=true", "algorithm.stages.actor.seed=3")
    for same in (*same_run, *guards, *sweeps, "trainer.log_every=7", "trainer.save_every=7"):
        assert identity(composed("algorithm=erac", same)) == identity(base), same
    for other in (
        "algorithm.tau=0.02",
        "model.hidden=64",
        "decoding=greedy",
        "reward=edit",
        "task.corpus.seed=1",
        "trainer.max_steps=5",
    ):
        assert identity(composed("algorithm=erac", other)) != identity(base), other
    assert run_folder(composed("algorithm=erac", "seed=4", "outputs=o")) == Path(
        f"o/phrases/erac/{identity(base)}/seed4"
    )
    critic = composed("algorithm=erac", "seed=4", "outputs=o", "algorithm.stages.critic.seed=2")
    assert run_folder(critic).name == "seed4-critic2"


def test_identity_is_of_the_data_wherever_they_are(tmp_path: Path) -> None:
    def made(folder: str, text: str) -> str:
        path = tmp_path / folder
        path.mkdir()
        (path / "train.de").write_text(text)
        return identity(composed("task=text", *DATA, f"task.data_dir={path}"))

    here = made("here", "a")
    assert made("there", "a") == here
    assert made("other", "b") != here


def test_stages_are_described_by_what_they_use() -> None:
    """The actor of every algorithm that begins with one is the same stage."""

    def described(stage: str, *overrides: str) -> dict[str, Any]:
        config = composed(*overrides)
        return stage_description(config, config["algorithm"]["stages"][stage], "data")

    actor = described("actor", "algorithm=mle")
    assert described("actor", "algorithm=erac") == actor
    assert described("actor", "algorithm=erac", "algorithm.tau=0.5", "reward=edit") == actor
    assert described("actor", "algorithm=mle", "model.critic.attention=dot") == actor
    assert described("actor", "algorithm=mle", "trainer.guards.min_dev_share=0.1") == actor
    assert described("actor", "algorithm=mle", "trainer.guards=null") == actor
    assert described("actor", "algorithm=mle", "model.policy.dropout=0.1") != actor
    assert described("critic", "algorithm=ac") != described("critic", "algorithm=erac")


def test_a_stage_is_guarded_as_what_it_learns_and_starts_from() -> None:
    config = composed("algorithm=erac", "trainer.guards.max_length_ratio=3")
    stages = config["algorithm"]["stages"]
    actor, critic, joint = (
        build_guards(config, stage, stage["from"] or {}) for stage in stages.values()
    )
    assert critic == Guards()
    assert None not in astuple(joint)
    assert joint.max_length_ratio == 3
    assert actor == replace(joint, max_length_ratio=None, min_dev_share=None)
    smoke = composed("algorithm=erac", "trainer=smoke")
    assert build_guards(smoke, stages["joint"], {"policy"}) == Guards()
    config["trainer"].pop("guards")  # of a run before there were any
    assert build_guards(config, stages["joint"], {"policy"}) == Guards()
    with pytest.raises(ConfigError, match=r"trainer\.guards: min_dev_share must lie in"):
        check(composed("algorithm=erac", "trainer.guards.min_dev_share=2"))


def test_an_algorithm_is_given_the_networks_that_it_names() -> None:
    config = composed("algorithm=erac")
    stages = config["algorithm"]["stages"]
    assert stage_networks(config, stages["actor"]) == ["policy"]
    assert stage_networks(config, stages["critic"]) == ["policy", "critic"]


class Inner:
    def __init__(self, *, policy: str, share: float, counts: str = "none") -> None:
        self.given = (policy, share, counts)


class Outer:
    def __init__(self, *, inner: Inner, critic: str, policy: str = "own") -> None:
        self.inner = inner
        self.given = (critic, policy)


def node_of(kind: type, **values: Any) -> dict[str, Any]:
    return {"_target_": f"{kind.__module__}.{kind.__qualname__}", **values}


def test_objects_inside_an_algorithm_are_given_what_they_ask_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By name, at every depth, unless the configuration says something else."""
    monkeypatch.setattr("seqrl.trust._trusted", {__name__})
    node = node_of(Outer, inner=node_of(Inner, share=0.5), policy="configured")
    assert asked_for(node) == {"critic", "policy", "counts"}
    made = build_with(node, {"policy": "p", "critic": "c", "counts": "n", "reward": "r"})
    assert made.given == ("c", "configured")
    assert made.inner.given == ("p", 0.5, "n")


def test_a_stage_may_have_networks_of_its_own_and_change_those_of_the_model() -> None:
    config = composed("algorithm=erac")
    critic = config["algorithm"]["stages"]["critic"]
    critic["networks"] = {"critic": {"dropout": 0.25}, "teacher": config["model"]["policy"]}
    assert network_node(config, "critic", critic)["dropout"] == 0.25
    assert network_node(config, "critic", critic)["attention"] == "mlp"
    assert network_node(config, "teacher", critic) == config["model"]["policy"]
    assert network_node(config, "critic", {})["dropout"] == 0.0
    assert stage_networks(config, critic) == ["policy", "critic"], "nobody asks for a teacher"
    before = stage_description(composed("algorithm=erac"), {**critic, "networks": {}}, "data")
    assert stage_description(config, critic, "data") != before
    critic["networks"] = {"policy": {"dropout": 0.1}}
    with pytest.raises(ConfigError, match="policy is model's"):
        check(config)


def test_networks_come_from_stages_by_their_own_name_or_another() -> None:
    config = composed("algorithm=erac")
    joint = config["algorithm"]["stages"]["joint"]
    assert starts_of(config, joint) == {
        "policy": Start("actor", "policy"),
        "critic": Start("critic", "critic"),
    }
    joint["from"] = {"policy": "actor", "critic": "actor.policy"}
    assert starts_of(config, joint)["critic"] == Start("actor", "policy")
    assert list(needed_stages(config)) == ["actor", "joint"], "nothing starts from the critic"
    joint["from"] = {}
    assert list(needed_stages(config)) == ["joint"]


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ("null", "teacher must come from a stage or a finished run, not from null; EARLIER"),
        ("actor", "teacher=actor: the stage learns no teacher; actor.policy"),
        ("actor.critic", "teacher=actor.critic: the stage learns no critic; actor.policy"),
        ("student.policy", "teacher=student.policy: student is no earlier stage; EARLIER"),
    ],
)
def test_networks_come_from_what_an_earlier_stage_learns(teacher: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(composed("algorithm=distillation", f"algorithm.teacher={teacher}"))
    told = message.replace("EARLIER", "earlier stages are actor")
    assert str(caught.value) == f"algorithm.stages.student.from.{told}"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.max_steps=ten", "max_steps must be positive or null, not ten"),
        ("trainer.max_epochs=many", "max_epochs must be a number or null, not many"),
        ("trainer.log_every=x", "log_every must be at least 1, not x"),
        ("trainer.validate_every=x", "validate_every must be positive or null, not x"),
    ],
)
def test_words_in_the_place_of_numbers_are_told(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(composed("algorithm=mle", override))
    assert str(caught.value) == f"algorithm.stages.actor: {message}"


def test_a_seed_is_a_number() -> None:
    with pytest.raises(ConfigError, match=r"seed must be a whole number .*, not one"):
        check(composed("algorithm=mle", "seed=one"))


def test_a_risk_needs_two_candidates() -> None:
    check(composed("algorithm=mrt", "algorithm.samples=1"))
    with pytest.raises(ConfigError, match="a risk needs at least two candidates"):
        check(composed("algorithm=mrt", "algorithm.samples=1", "algorithm.reference=false"))


def test_what_is_neither_a_stage_nor_a_run_is_told(tmp_path: Path) -> None:
    config = composed("algorithm=erac", f"outputs={tmp_path}")
    config["algorithm"]["stages"]["joint"]["from"]["policy"] = f"{tmp_path}/nothing"
    with pytest.raises(ConfigError, match="neither a stage of this algorithm nor a run's folder"):
        check(config)


def test_what_a_task_prepares_in_its_folder_is_not_part_of_the_corpus(tmp_path: Path) -> None:
    (tmp_path / "de-en.tgz").write_bytes(b"archive")
    before = files_hash(tmp_path)
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared" / "train.de-en.de").write_text("ein haus\n")
    assert files_hash(tmp_path) == before
    (tmp_path / "de-en.tgz").write_bytes(b"another")
    assert files_hash(tmp_path) != before
    (tmp_path / "de-en.tgz").unlink()
    alone = files_hash(tmp_path)
    (tmp_path / "prepared" / "train.de-en.de").write_text("eine stadt\n")
    assert files_hash(tmp_path) != alone


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a: [1", "config.yaml is damaged: "),
        (b"\xff\xfe", "config.yaml is damaged: "),
        (b"model: {policy: [1, 2]}", "config.yaml is damaged: no description of a network"),
        (b"model: text", "config.yaml is damaged: "),
        (b"model: {}", "neither a stage of this algorithm nor a run's folder"),
        (None, "neither a stage of this algorithm nor a run's folder"),
    ],
)
def test_a_network_of_a_damaged_run_is_told(
    content: bytes | None, told: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "config.yaml").write_bytes(content)
    (tmp_path / "stages.json").write_text("{}")
    (tmp_path / "best.safetensors").touch()
    with pytest.raises(ConfigError, match=f"critic={re.escape(str(tmp_path))}: {told}"):
        run_network(str(tmp_path), "critic", "actor")
