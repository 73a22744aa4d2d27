"""The benchmark: what ours is timed against computes the same, and the command prints figures."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from seqrl.algorithms.actor_critic import (
    ActorCritic,
    CriticTraining,
    features_along,
    propose,
)
from seqrl.algorithms.critics import chosen
from seqrl.algorithms.likelihood import MLE
from seqrl.models.lstm import LSTM
from seqrl.models.recorded import Said
from seqrl.proposals.sampling import Sampling
from seqrl.rewards.bleu import BleuReward
from seqrl.types import Batch, Clock, Specials

ROOT = Path(__file__).parents[1]
SPECIALS = Specials(0, 1, 2, 3)
SIZE = 12


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The modules of the benchmark."""
    monkeypatch.syspath_prepend(ROOT / "scripts" / "bench")
    return importlib.import_module("updates")


def some_batch() -> Batch:
    source = torch.tensor([[4, 5, 6, 7], [8, 9, 4, 0], [5, 0, 0, 0]])
    target = torch.tensor([[4, 5, 4, 5, 3], [6, 7, 3, 0, 0], [8, 3, 0, 0, 0]])
    return Batch(source, target, target.unsqueeze(1), 0, SPECIALS)


def network(**settings: Any) -> LSTM:
    return LSTM(
        source_size=SIZE, target_size=SIZE, specials=SPECIALS, embedding=6, hidden=8, dropout=0.0,
        init=0.7, bar_specials=False, **settings,
    )  # fmt: skip


def plain_of(bench: Any, policy: LSTM, critic: LSTM, **settings: Any) -> Any:
    torch.manual_seed(1)
    plain = bench.PlainUpdates(SIZE, SIZE, embedding=6, hidden=8, **settings)
    plain.actor.dropout.p = 0.0
    bench.adopt(plain.actor, policy)
    for one in (plain.critic, plain.target):
        bench.adopt(one, critic)
    return plain


@pytest.mark.parametrize("input_feeding", [False, True])
def test_the_plain_likelihood_is_ours(bench: Any, input_feeding: bool) -> None:
    torch.manual_seed(0)
    policy = network(input_feeding=input_feeding)
    plain = plain_of(
        bench, policy, network(attention="mlp", attention_bias=True), input_feeding=input_feeding
    )
    found = plain._likelihood(some_batch())
    expected = MLE(policy=policy).losses(some_batch(), Clock())["policy"]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_the_plain_critics_loss_and_the_plain_actors_are_ours(bench: Any) -> None:
    torch.manual_seed(0)
    policy, critic = network(), network(attention="mlp", attention_bias=True)
    policy.output.bias.data[[SPECIALS.pad, SPECIALS.bos]] = -1e4  # both must never write them
    settings = {"tau": 0.1, "beta": 0.5, "lambda_var": 0.2}
    plain = plain_of(bench, policy, critic, lambda_mle=0.0, **settings)
    batch = some_batch()
    reward = BleuReward(scale="reference_length")
    for samples in (1, 2):
        proposal = Sampling(samples=samples, extra_length=3)
        common = {"policy": policy, "critic": critic, "reward": reward, "proposal": proposal}
        ours = CriticTraining(**common, **settings, form="released")
        trajectories, memory = propose(policy, proposal, batch, Clock(seed=4))
        features = features_along(trajectories, policy, proposal, memory)
        said = Said.of(policy.project(features))
        judged = ours.judge(batch, trajectories, said)
        log_p = trajectories.padded(said.log_pi)
        loss, values = plain._judge(
            batch, trajectories.targets, trajectories.mask, log_p.detach(), samples
        )
        torch.testing.assert_close(loss, judged.loss, rtol=1e-5, atol=1e-6)
        taken = chosen(trajectories.flat(values), trajectories)
        torch.testing.assert_close(taken, trajectories.flat(judged.taken))
        rewards = importlib.import_module("plain").increments(
            trajectories.targets, batch.target.repeat_interleave(samples, 0), batch
        )
        torch.testing.assert_close(rewards, judged.rewards, rtol=0, atol=1e-5)
    joint = ActorCritic(**common, **settings, lambda_mle=0.0)
    signal = joint.signal(joint.values(judged, batch), said.log_pi)
    plain_signal = (values - plain.tau * log_p).detach()
    torch.testing.assert_close(trajectories.flat(plain_signal), signal)


def test_seconds_are_charged_to_the_innermost_phase(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([0.0, 1.0, 3.0, 6.0, 10.0, 15.0])
    watch = bench.Stopwatch(torch.device("cpu"))
    monkeypatch.setattr(watch, "now", lambda: next(now))
    watch.on = True
    with watch.phase("outer"):  # enters at 0
        with watch.phase("inner"):  # from 1 to 3
            pass
        with watch.phase("inner"):  # from 6 to 10
            pass
    assert watch.seconds == {"outer": 1 + 3 + 5, "inner": 2 + 4}


def measured(folder: Path, *parts: str) -> tuple[dict[str, Any], list[str]]:
    """What the command found of small networks, and the lines that it printed."""
    command = [
        *(sys.executable, ROOT / "scripts" / "bench", "experiment=g2p_small", "device=cpu"),
        *("task.corpus.words=400", "--rows", "mle", "erac.critic", "erac", "--repeats", "1"),
        *("--warm-up", "2", "--json", folder / "new" / "found", "--parts", *parts),
    ]
    environment = {"PYTHONPATH": str(ROOT / "src"), **os.environ}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "new" / "found").read_text()), done.stdout.splitlines()


def test_the_command_measures_what_it_is_asked_for(tmp_path: Path) -> None:
    found, lines = measured(tmp_path, "updates")
    assert list(found["updates"]) == [
        *("mle", "erac.critic", "erac", "plain.mle", "plain.critic", "plain.joint")
    ]
    critic = found["updates"]["erac.critic"]
    assert set(critic["phases_ms"]) == {
        *("sample", "reward", "score", "critic", "backward", "optimizer", "rest")
    }
    assert 0 < sum(critic["phases_ms"].values()) < 1000 * 60
    assert critic["seconds"][0] * 1000 == critic["ms"]
    speed_ups = [line.split()[3] for line in lines if line.startswith("erac")]
    assert len(speed_ups) == 2
    assert all(float(ratio) > 0 for ratio in speed_ups)


@pytest.mark.full
def test_the_command_measures_floors_rewards_and_data(tmp_path: Path) -> None:
    found, lines = measured(tmp_path, "updates", "floors", "rewards", "data")
    for what in ("bleu, every prefix, 20", "rouge-score, whole texts, 60", "batches"):
        assert any(what in line for line in lines)
    floors, machine = found["floors"], found["machine"]
    assert list(floors) == list(found["updates"])
    for one in floors.values():  # no product of matrices is faster than the largest one
        assert one["matrix_seconds"] == one["operations"] / machine["matrix_rate"] < one["seconds"]


@pytest.mark.full
def test_growth_measures_every_size_and_draws_it(
    bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    growth = importlib.import_module("growth")
    sizes = {"length": (3, 6), "batch": (2, 4), "vocabulary": (20, 40), "samples": (1, 2)}
    monkeypatch.setattr(growth, "SIZES", sizes)
    monkeypatch.setattr(growth, "START", {what: own[0] for what, own in sizes.items()})
    drawn = []

    class Noted(growth.Ours):
        def __init__(self, config: Any, stage: str | None, *others: Any) -> None:
            if stage:
                own = config["algorithm"]["stages"][stage]["algorithm"]["proposal"]
                drawn.append((own["samples"], own["max_length"]))
            super().__init__(config, stage, *others)

    monkeypatch.setattr(growth, "Ours", Noted)
    files = ["--plot", str(tmp_path / "plot.png"), "--json", str(tmp_path / "found.json")]
    monkeypatch.setattr(sys, "argv", ["growth", "--repeats", "1", *files, "device=cpu"])
    growth.main()
    found = json.loads((tmp_path / "found.json").read_text())
    assert {(p["what"], p["size"]) for p in found if p["row"] == "erac"} == {
        (what, size) for what, own in sizes.items() for size in own
    }
    assert all(p["seconds"][0] > 0 for p in found)
    once = [(1, 13), (1, 16), *[(1, 13)] * 4, (1, 13), (2, 13)]
    assert drawn == once * 2  # for memory, then for time
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_the_exponent_of_a_power_is_its_exponent(bench: Any) -> None:
    growth = importlib.import_module("growth")
    assert growth.exponent([1, 2, 4, 8], [3, 12, 48, 192]) == pytest.approx(2)
    assert growth.exponent([10, 20], [5, 5]) == pytest.approx(0)


def test_the_work_of_an_update_is_counted(bench: Any) -> None:
    floors = importlib.import_module("floors")
    n, i, h, v = 5, 3, 4, 7
    layer, values = torch.nn.LSTM(i, h), torch.rand(n, 2, i, requires_grad=True)
    with torch.no_grad():
        found = floors.work_of(lambda: layer(values))
    assert found.operations == 2 * (2 * n) * 4 * h * (i + h)
    both = floors.work_of(lambda: layer(values)[0].sum().backward())
    assert both.operations == 3 * found.operations
    features, matrix = torch.rand(n, h), torch.rand(h, v)
    found = floors.work_of(lambda: (features @ matrix).view(-1)[:2].add_(1.0))
    assert found.operations == 2 * n * h * v
    assert found.bytes == 4 * (n * h + h * v + n * v + 2 * 2)  # the sum reads and writes two
    found = floors.work_of(lambda: torch.zeros(1).expand(100) + features[0, 0])
    assert found.bytes == 4 * (1 + 1 + 1 + 100)  # zeros; what is expanded, one number, sums


@pytest.mark.full
def test_runs_at_once_are_measured(tmp_path: Path) -> None:
    command = [
        *(sys.executable, ROOT / "scripts" / "bench" / "replicas.py", "experiment=g2p_small"),
        *("device=cpu", "task.corpus.words=400", "--rows", "mle", "--replicas", "2"),
        *("--seconds", "0.5", "--warm-up", "1"),
    ]
    environment = {"PYTHONPATH": str(ROOT / "src"), **os.environ}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    name, runs, processes, bound, ratio = done.stdout.splitlines()[-1].split()
    assert (name, runs) == ("mle", "2")
    assert float(ratio) == pytest.approx(float(bound) / float(processes), abs=0.02)
