"""A run that is stopped and continued is the run that was not: weights and metrics, bit for bit."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from safetensors.torch import save_file

from checkpoints import bart
from interruptions import After, Never
from seqrl.build import build_network, build_task, check, vocabularies
from seqrl.cli import running
from seqrl.cli.configuration import conf_folder
from seqrl.identity import ConfigError, plain, run_folder
from seqrl.tracking.metrics_log import read_metrics
from seqrl.training.checkpoint import load_weights
from seqrl.training.pipeline import Pipeline
from tiny import Figures

WORDS = ("haus", "hund", "katze", "baum", "rot", "blau", "alt", "neu")
TRANSLATIONS = ("house", "dog", "cat", "tree", "red", "blue", "old", "new")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Forty training pairs and a few for dev and test, of a language with eight words."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    rng = random.Random(1)
    for split, size in (("train", 40), ("dev", 6), ("test", 6)):
        rows = [[rng.randrange(8) for _ in range(rng.randint(2, 6))] for _ in range(size)]
        for side, words in (("de", WORDS), ("en", TRANSLATIONS)):
            text = "".join(" ".join(words[i] for i in row) + "\n" for row in rows)
            (folder / f"{split}.{side}").write_text(text)
    return folder


SMALL = {
    "lstm": ["model.hidden=8", "model.embedding=8"],
    "transformer": ["model.hidden=8"],
    "pretrained": ["model.critic.hidden=16"],
}


def configured(corpus: Path, outputs: Path, *overrides: str) -> dict[str, Any]:
    """The configuration of a tiny run: ten updates an epoch, dropout on."""
    model = next((o.removeprefix("model=") for o in overrides if o.startswith("model=")), "lstm")
    settings = [
        "task=text",
        f"task.data_dir={corpus}",
        "task.source=de",
        "task.target=en",
        "task.max_unknown=1",
        f"outputs={outputs}",
        "device=cpu",
        "tracker=none",
        "decoding=greedy",
        "decoding.max_length=12",
        *SMALL[model],
        "trainer.max_epochs=2",
        "trainer.log_every=3",
        "trainer.save_every=4",
        *(f"task.budget.{role}.batch_size=4" for role in ("actor", "critic", "joint")),
        *overrides,
    ]
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
        config = plain(compose(config_name="train", overrides=settings))
    check(config)
    return config


def train(config: dict[str, Any]) -> tuple[int, Path]:
    return running.run_training(config), run_folder(config)


def train_in_pieces(
    config: dict[str, Any], pieces: list[int], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Stop after each of `pieces` updates, then run to the end."""
    for updates in pieces:
        monkeypatch.setattr(running, "Interruption", lambda updates=updates: After(updates))
        code, _ = train(config)
        assert code == 75
    monkeypatch.setattr(running, "Interruption", Never)
    code, folder = train(config)
    assert code == 0
    return folder


def same_weights(first: Path, second: Path) -> None:
    names = sorted(path.parent.name for path in first.glob("checkpoints/*/best.safetensors"))
    assert names
    for name in names:
        ours = load_weights(first / "checkpoints" / name / "best.safetensors")
        theirs = load_weights(second / "checkpoints" / name / "best.safetensors")
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert torch.equal(ours[key], theirs[key]), f"{name}: {key}"


JUDGED = (
    "algorithm.completions=2 algorithm.discriminator_steps=2 algorithm.discriminator.filters=[4] "
    "algorithm.discriminator.windows=[2]"
)
"""A discriminator of no size, between two updates of which the policy has one."""


@pytest.mark.parametrize(
    ("algorithm", "pieces"),
    [
        pytest.param("mle", [7], id="mle-mid-epoch", marks=pytest.mark.faults),
        pytest.param("mle", [10], id="mle-epoch-end", marks=pytest.mark.faults),
        pytest.param("raml", [3, 9], id="raml-twice", marks=pytest.mark.faults),
        pytest.param("spg", [7], id="spg-mid-epoch", marks=pytest.mark.faults),
        pytest.param("erpo", [9, 4], id="erpo-before-and-after-its-jump", marks=pytest.mark.faults),
        pytest.param("interpolation", [13], id="interpolation-mid-epoch", marks=pytest.mark.faults),
        pytest.param("erac", [13], id="erac-in-actor", marks=pytest.mark.faults),
        pytest.param("erac", [27], id="erac-in-critic", marks=pytest.mark.faults),
        pytest.param(
            "erac", [19], id="erac-before-the-actors-last-update", marks=pytest.mark.faults
        ),
        pytest.param(
            "erac", [21], id="erac-after-the-critics-first-update", marks=pytest.mark.faults
        ),
        pytest.param("erac", [5, 18, 22, 4], id="erac-four-times"),
        pytest.param("ac", [47], id="ac-in-joint", marks=pytest.mark.faults),
        pytest.param("data_noising", [7], id="data-noising", marks=pytest.mark.faults),
        pytest.param("scheduled_sampling", [13], id="scheduled-sampling", marks=pytest.mark.faults),
        pytest.param("label_smoothing", [11], id="label-smoothing", marks=pytest.mark.faults),
        pytest.param("distillation", [33], id="distillation-in-student", marks=pytest.mark.faults),
        pytest.param("vaml", [8, 21], id="vaml-in-both", marks=pytest.mark.faults),
        pytest.param("reinforce", [27], id="reinforce", marks=pytest.mark.faults),
        pytest.param("reinforce baseline@algorithm.baseline=running_mean", [31], id="running-mean"),
        pytest.param("scst", [24], id="scst", marks=pytest.mark.faults),
        pytest.param("mixer", [26, 9], id="mixer-twice"),
        pytest.param("mrt trainer.guards=null", [33], id="mrt", marks=pytest.mark.faults),
        pytest.param("gold algorithm.renew_every=4", [26], id="gold-between-copies"),
        pytest.param(
            f"seqgan {JUDGED} trainer.guards=null algorithm.completion_speed=0.5",
            [27, 16],
            id="seqgan-twice",
        ),
        pytest.param("sequence_tutor algorithm.memory=60", [33, 3], id="tutor-twice"),
        pytest.param(
            "sequence_tutor algorithm.play_every=3 trainer.guards=null",
            [25],
            id="tutor-between-plays",
            marks=pytest.mark.faults,
        ),
        pytest.param("kl_control", [28], id="kl-control", marks=pytest.mark.faults),
        pytest.param(
            "erac model=transformer", [5, 19], id="tied-transformer", marks=pytest.mark.faults
        ),
        *(
            pytest.param(algorithm, [updates], id=f"{algorithm}-{updates}", marks=pytest.mark.full)
            for algorithm, total in (("mle", 19), ("raml", 19), ("ac", 59), ("erac", 59))
            for updates in range(1, total + 1)
            if updates % 20  # a stage's last: nothing is left to stop
        ),
    ],
)
def test_a_stopped_run_continues_bit_for_bit(
    algorithm: str,
    pieces: list[int],
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    overrides = f"algorithm={algorithm}".split()
    monkeypatch.setattr(running, "Interruption", Never)
    code, whole = train(configured(corpus, tmp_path / "whole", *overrides))
    assert code == 0
    config = configured(corpus, tmp_path / "pieces", *overrides)
    stopped = train_in_pieces(config, pieces, monkeypatch)
    same_weights(whole, stopped)
    assert (whole / "metrics.jsonl").read_bytes() == (stopped / "metrics.jsonl").read_bytes()
    assert (whole / "test.hyp.txt").read_bytes() == (stopped / "test.hyp.txt").read_bytes()


ALGORITHMS = sorted(path.stem for path in (conf_folder() / "algorithm").glob("*.yaml"))
OF_A_TASK_OF_THEIR_OWN = {"pg_bleu", "rl_tuner"}
NEEDS = {
    "seqgan": JUDGED.split(),
    "seqgan_released": JUDGED.split(),
    "sequence_tutor": ["algorithm.memory=60"],
}
"""Of the algorithms that are large or long otherwise."""


STAGE = 20  # updates


def moments(run: Path) -> list[int]:
    """Of all the updates of a run: in an epoch, at its end, in the last stage, at the first decay.

    Where no rate decays in the first stage there is none; a schedule's changes at every update.
    """
    records = [r for r in read_metrics(run / "metrics.jsonl") if "train/lr/policy" in r]
    first = [r for r in records if r["stage"] == records[0]["stage"]]
    rates = [float(r["train/lr/policy"]) for r in first]  # type: ignore[arg-type]
    falls = [k for k in range(1, len(rates)) if rates[k] < 0.6 * rates[k - 1]]
    stages = json.loads((run / "result.json").read_text())["stages"].values()
    before_last = sum(stage["updates"] for stage in list(stages)[:-1])
    return sorted({3, 10, *falls[:1], before_last + 7})


class Killed(BaseException):
    """In the place of SIGKILL."""


@pytest.mark.faults
@pytest.mark.parametrize("model", ["lstm", "transformer"])
@pytest.mark.parametrize("algorithm", sorted({*ALGORITHMS} - OF_A_TASK_OF_THEIR_OWN))
def test_every_algorithm_continues_bit_for_bit_from_every_kind_of_moment(
    algorithm: str,
    model: str,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    figures: Figures,
) -> None:
    """Dropout on; killed between the first two stages too, and every stage has twenty updates."""
    overrides = [
        *(f"algorithm={algorithm}", f"model={model}", "trainer.guards=null"),
        *NEEDS.get(algorithm, []),
        *("trainer.log_every=1", "trainer.validate_every=2", "task.metric=chrf"),
        *("task.scores=[chrf]", "task.budget.actor.decay_factor=0.5"),
        *("task.budget.actor.decay_times=100", "task.budget.actor.batch_unit=sentences"),
    ]
    monkeypatch.setattr(running, "Interruption", Never)
    code, whole = train(configured(corpus, tmp_path / "whole", *overrides))
    assert code == 0
    config = configured(corpus, tmp_path / "pieces", *overrides)
    stops = moments(whole)
    keep = Pipeline._keep

    def kill(pipeline: Pipeline, result: Any) -> None:
        keep(pipeline, result)
        raise Killed

    done = 0
    for stop in stops:
        if done < STAGE < stop:
            monkeypatch.setattr(running, "Interruption", Never)
            monkeypatch.setattr(Pipeline, "_keep", kill)
            with pytest.raises(Killed):
                train(config)
            monkeypatch.setattr(Pipeline, "_keep", keep)
            done = STAGE
        monkeypatch.setattr(running, "Interruption", lambda left=stop - done: After(left))
        assert train(config)[0] == 75
        done = stop
        figures("exact continuations", "stops", 1)
    monkeypatch.setattr(running, "Interruption", Never)
    code, stopped = train(config)
    assert code == 0
    same_weights(whole, stopped)
    for name in ("metrics.jsonl", "test.hyp.txt", "samples.txt"):
        assert (whole / name).read_bytes() == (stopped / name).read_bytes(), name
    figures("exact continuations", "runs", 1)


@pytest.mark.full
def test_a_stopped_run_of_a_checkpoint_continues_bit_for_bit(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its dropout included, some of which is the library's."""
    pytest.importorskip("transformers")
    texts = [(corpus / f"train.{side}").read_text().splitlines() for side in ("de", "en")]
    checkpoint = bart(tmp_path / "bart", *texts)
    model = ["model=pretrained", f"model.checkpoint={checkpoint}", "model.policy.dropout=0.3"]
    overrides = ["algorithm=erac", *model, "trainer.guards=null"]
    monkeypatch.setattr(running, "Interruption", Never)
    code, whole = train(configured(corpus, tmp_path / "whole", *overrides))
    assert code == 0
    config = configured(corpus, tmp_path / "pieces", *overrides)
    stopped = train_in_pieces(config, [5, 29, 7], monkeypatch)
    same_weights(whole, stopped)
    assert (whole / "metrics.jsonl").read_bytes() == (stopped / "metrics.jsonl").read_bytes()
    assert (whole / "test.hyp.txt").read_bytes() == (stopped / "test.hyp.txt").read_bytes()


def test_a_killed_run_without_a_new_checkpoint_continues_bit_for_bit(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception between checkpoints, as a kill, leaves records behind that must be redone."""
    monkeypatch.setattr(running, "Interruption", Never)
    _, whole = train(configured(corpus, tmp_path / "whole", "algorithm=erac"))
    config = configured(corpus, tmp_path / "killed", "algorithm=erac")

    class Kill(Never):
        def __init__(self) -> None:
            super().__init__()
            self.left = 27

        def __call__(self) -> bool:
            self.left -= 1
            if not self.left:
                raise Killed
            return False

    monkeypatch.setattr(running, "Interruption", Kill)
    with pytest.raises(Killed):
        train(config)
    monkeypatch.setattr(running, "Interruption", Never)
    _, killed = train(config)
    same_weights(whole, killed)
    assert (whole / "metrics.jsonl").read_bytes() == (killed / "metrics.jsonl").read_bytes()


def test_stages_are_shared_between_runs(
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(running, "Interruption", Never)
    outputs = tmp_path / "outputs"
    train(configured(corpus, outputs, "algorithm=mle"))
    before = sorted(p.name for p in (outputs / ".stages").iterdir() if p.name != ".locks")
    capsys.readouterr()
    _, low = train(configured(corpus, outputs, "algorithm=erac", "algorithm.tau=0.02"))
    assert "actor: reused, trained before (20 updates" in capsys.readouterr().out
    _, high = train(configured(corpus, outputs, "algorithm=erac", "algorithm.tau=0.05"))
    after = sorted(p.name for p in (outputs / ".stages").iterdir() if p.name != ".locks")
    assert len(before) == 1
    assert len(after) == 5  # one actor, two critics, two joint stages
    assert low != high
    first = load_weights(low / "checkpoints/actor/best.safetensors")
    second = load_weights(high / "checkpoints/actor/best.safetensors")
    assert all(torch.equal(first[k], second[k]) for k in first)


def test_a_stage_that_differs_in_anything_that_matters_is_not_reused(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "Interruption", Never)
    outputs = tmp_path / "outputs"
    variants = [
        [],
        ["seed=2"],
        ["model.policy.dropout=0.1"],
        ["task.budget.actor.clip=1.0"],
        ["task.budget.actor.optimizers.policy.lr=0.3"],
        ["trainer.max_epochs=1"],
        ["decoding.max_length=11"],
        ["task.filters.max_target_tokens=4"],
    ]
    for overrides in variants:
        train(configured(corpus, outputs, "algorithm=mle", *overrides))
    folders = [p for p in (outputs / ".stages").iterdir() if p.name != ".locks"]
    assert len(folders) == len(variants)
    # and what does not matter: how often it is logged and saved, and names
    for overrides in (["trainer.log_every=7"], ["trainer.save_every=9"], ["threads=1"]):
        train(configured(corpus, outputs, "algorithm=mle", *overrides))
    assert len([p for p in (outputs / ".stages").iterdir() if p.name != ".locks"]) == len(variants)


def test_a_finished_run_answers_at_once(
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(running, "Interruption", Never)
    config = configured(corpus, tmp_path / "outputs", "algorithm=mle")
    train(config)
    table = capsys.readouterr().out.split("\n\n", 1)[1]
    monkeypatch.setattr(running, "train", lambda *_: pytest.fail("it was trained again"))
    code, _ = train(config)
    assert code == 0
    assert table in capsys.readouterr().out


def test_init_from_starts_with_the_weights_of_another_run(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "Interruption", Never)
    _, first = train(configured(corpus, tmp_path / "outputs", "algorithm=mle"))
    config = configured(
        corpus,
        tmp_path / "outputs",
        "algorithm=mle",
        f"init_from={first}",
        "task.budget.actor.optimizers.policy.lr=1e-30",
    )
    _, second = train(config)
    same_weights(first, second)  # nothing can have changed
    sizes = vocabularies(build_task(config))
    fresh = build_network(config, "policy", sizes, config["seed"]).state_dict()
    loaded = load_weights(second / "checkpoints/actor/best.safetensors")
    assert not torch.equal(fresh["output.weight"], loaded["policy.output.weight"])
    start = read_metrics(second / "metrics.jsonl")[0]
    assert (start["step"], start["dev/kl"]) == (0, 0)


def test_tied_tables_are_stored_once_and_start_from_files_with_all_their_names(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "Interruption", Never)
    tied = ["algorithm=mle", "model=transformer", "trainer.max_steps=2"]
    _, first = train(configured(corpus, tmp_path / "outputs", *tied))
    weights = load_weights(first / "checkpoints/actor/best.safetensors")
    assert "policy.output.weight" not in weights
    both = weights | {"policy.output.weight": weights["policy.target_embedding.weight"].clone()}
    save_file(both, tmp_path / "earlier.safetensors")
    frozen = "task.budget.actor.optimizers.policy.lr=1e-30"
    starts = [first, tmp_path / "earlier.safetensors"]
    for start in starts:
        code, second = train(
            configured(corpus, tmp_path / "outputs", *tied, frozen, f"init_from={start}")
        )
        assert code == 0
        same_weights(first, second)


def test_init_from_starts_every_stage_that_has_its_networks(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of VAML's two stages, neither of which starts from the other, it is the policy's."""
    monkeypatch.setattr(running, "Interruption", Never)
    _, first = train(configured(corpus, tmp_path / "outputs", "algorithm=mle"))
    frozen = "task.budget.actor.optimizers.policy.lr=1e-30"
    still = ["algorithm=vaml", "trainer.max_steps=2", frozen]
    code, second = train(configured(corpus, tmp_path / "outputs", *still, f"init_from={first}"))
    assert code == 0
    weights = load_weights(first / "checkpoints/actor/best.safetensors")
    found = load_weights(second / "checkpoints/actor/best.safetensors")
    for name, value in weights.items():
        assert torch.equal(value, found[name]), name
    others = configured(corpus, tmp_path / "outputs", *still)
    _, third = train(others)
    stages = [json.loads((run / "stages.json").read_text()) for run in (second, third)]
    assert stages[0]["values"] == stages[1]["values"], "the critic does not know of it"
    assert stages[0]["actor"] != stages[1]["actor"]


def test_init_from_without_weights_for_any_stage_is_told_before_anything_starts(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"critic.weight": torch.zeros(1)}, path)
    with pytest.raises(ConfigError, match=f"init_from={path}: no weights of a network"):
        configured(corpus, tmp_path / "outputs", "algorithm=mle", f"init_from={path}")
    path.write_bytes(b"no such format")
    with pytest.raises(ConfigError, match=f"init_from={path}: "):
        configured(corpus, tmp_path / "outputs", "algorithm=mle", f"init_from={path}")


def test_a_changed_corpus_is_another_run(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "Interruption", Never)
    _, before = train(configured(corpus, tmp_path / "outputs", "algorithm=mle"))
    path = corpus / "train.en"
    path.write_text(path.read_text().replace("dog", "hound"))
    _, after = train(configured(corpus, tmp_path / "outputs", "algorithm=mle"))
    assert before != after
    assert json.loads((before / "stages.json").read_text()) != json.loads(
        (after / "stages.json").read_text()
    )


def test_weights_of_another_vocabulary_are_refused(
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of the same size, so that only the words tell."""
    monkeypatch.setattr(running, "Interruption", Never)
    _, first = train(configured(corpus, tmp_path / "outputs", "algorithm=mle"))
    path = corpus / "train.en"
    path.write_text(path.read_text().replace("dog", "hound"))
    config = configured(corpus, tmp_path / "outputs", "algorithm=mle", f"init_from={first}")
    capsys.readouterr()
    code, _ = train(config)
    assert code == 2
    assert "its target vocabulary is not this task's" in capsys.readouterr().err


def test_edited_code_of_ones_own_is_another_run(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "my_algorithm.py"
    body = "from seqrl.algorithms.likelihood import MLE\n\n\nclass Mine(MLE):\n    factor = {}\n"
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("seqrl.trust._trusted", {"my_algorithm"})
    monkeypatch.setattr(running, "Interruption", Never)
    folders, keys = [], []
    for factor in (1, 2):
        module.write_text(body.format(factor))
        config = configured(
            corpus,
            tmp_path / "outputs",
            "algorithm=mle",
            "algorithm.stages.actor.algorithm._target_=my_algorithm.Mine",
        )
        _, folder = train(config)
        folders.append(folder)
        keys.append(json.loads((folder / "stages.json").read_text())["actor"])
    assert folders[0] != folders[1]
    assert keys[0] != keys[1]


def test_a_damaged_result_is_written_anew(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "Interruption", Never)
    config = configured(corpus, tmp_path / "outputs", "algorithm=mle")
    _, folder = train(config)
    scores = json.loads((folder / "result.json").read_text())["scores"]
    (folder / "result.json").write_text("{")
    code, _ = train(config)
    assert code == 0
    assert json.loads((folder / "result.json").read_text())["scores"] == scores


def test_divergence_is_noticed_at_its_step_and_spares_the_checkpoint(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "Interruption", Never)
    config = configured(
        corpus,
        tmp_path / "outputs",
        "algorithm=mle",
        "task.budget.actor.clip=null",
        "task.budget.actor.optimizers.policy.lr=3e38",
    )
    code, folder = train(config)
    assert code == 3
    status = json.loads((folder / "status.json").read_text())
    assert status["status"] == "diverged"
    # of which the gradient is finite still
    assert status["reason"] == ("stage actor: loss/policy is inf, nll_per_token is inf at update 1")


def test_bf16_learns_what_fp32_learns_up_to_rounding(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "Interruption", Never)
    common = ["algorithm=erac", "trainer.max_steps=3"]
    _, fp32 = train(configured(corpus, tmp_path, *common))
    _, bf16 = train(configured(corpus, tmp_path, *common, "trainer.precision=bf16"))
    for stage in ("actor", "critic"):
        ours = load_weights(fp32 / "checkpoints" / stage / "best.safetensors")
        theirs = load_weights(bf16 / "checkpoints" / stage / "best.safetensors")
        assert all(theirs[k].dtype == torch.float32 for k in theirs)
        largest = max(float((ours[k] - theirs[k]).abs().max()) for k in ours)
        assert 0 < largest < 0.02
