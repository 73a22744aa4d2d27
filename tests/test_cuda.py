"""What a CUDA device computes is what the CPU does; skipped where there is none."""

from __future__ import annotations

from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir

from interruptions import After, Never
from networks import NETWORKS, Make, lstm, transformer
from seqrl.cli import running
from seqrl.cli.configuration import conf_folder
from seqrl.cli.running import run_training
from seqrl.decoding.decoder import Beam, Greedy
from seqrl.decoding.rollout import CHECK_EVERY, rollout, sampler
from seqrl.identity import plain, run_folder
from seqrl.models.base import Policy
from seqrl.types import Batch, Specials

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
SPECIALS = Specials(0, 1, 2, 3)
ALGORITHMS = sorted(path.stem for path in (conf_folder() / "algorithm").glob("*.yaml"))


SHAPES = [
    *(
        partial(lstm, attention=attention, input_feeding=fed, embedding=12, init=0.5)
        for attention, fed in product(["dot", "mlp"], [False, True])
    ),
    partial(transformer, tied="target"),
]
kinds = pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)


def network(make: Make) -> Policy[Any, Any]:
    return make(source_size=30, target_size=40, hidden=16, dropout=0.0).double()


def some_batch() -> Batch:
    generator = torch.Generator().manual_seed(1)
    source = torch.randint(4, 30, (6, 9), generator=generator)
    target = torch.randint(4, 40, (6, 7), generator=generator)
    for row in range(6):
        source[row, 9 - row :] = 0
        target[row, 6 - row] = SPECIALS.eos
        target[row, 7 - row :] = SPECIALS.pad
    return Batch(source, target, target.unsqueeze(1), 0, SPECIALS)


@pytest.mark.parametrize("make", SHAPES, ids=[f"{m.func.__name__} {m.keywords}" for m in SHAPES])
def test_likelihoods_and_their_gradients_are_the_cpus(make: Make) -> None:
    found = []
    for device in ("cpu", "cuda"):
        policy = network(make).to(device)
        batch = some_batch().to(device)
        references = batch.reference_trajectories()
        memory = policy.encode(batch.source, batch.source_mask)
        features = policy.features(memory, references.inputs, references.mask)
        log_probs, entropies = policy.log_probs(
            features, references.flat(references.targets), entropies=True
        )
        assert entropies is not None
        log_probs.sum().backward()
        gradients = [p.grad.cpu() for p in policy.parameters() if p.grad is not None]
        found.append([log_probs.detach().cpu(), entropies.cpu(), *gradients])
    torch.testing.assert_close(found[0], found[1], rtol=1e-9, atol=1e-9)


@kinds
@pytest.mark.parametrize("decoder", [Greedy(max_length=20), Beam(size=3, max_length=20)])
def test_outputs_are_the_cpus(decoder: Greedy | Beam, make: Make) -> None:
    policy, batch = network(make), some_batch()
    here = decoder(policy, batch)
    there = decoder(policy.to("cuda"), batch.to("cuda"))
    assert there.cpu().tolist() == here.tolist()


@kinds
def test_between_looks_at_what_has_ended_a_rollout_waits_for_nothing(make: Make) -> None:
    policy, batch = network(make).to("cuda"), some_batch().to("cuda")
    steps = CHECK_EVERY["cuda"] - 1
    noise = torch.rand(steps, len(batch), device="cuda")
    memory = policy.encode(batch.source, batch.source_mask)
    torch.cuda.set_sync_debug_mode("error")
    try:
        rollout(policy, memory, rows=len(batch), max_length=steps, choose=sampler(noise))
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("model", ["lstm_small", "transformer_small"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_trains(algorithm: str, precision: str, model: str, tmp_path: Path) -> None:
    overrides = [
        *(f"algorithm={algorithm}", "trainer=smoke", f"trainer.precision={precision}"),
        f"model={model}",
        *("task.corpus.train=300", "task.corpus.dev=20", "task.corpus.test=20", "device=cuda"),
        *("decoding=greedy", "tracker=none", f"outputs={tmp_path}"),
    ]
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
        config = plain(compose("train", overrides=overrides))
    assert run_training(config) == 0


@pytest.mark.parametrize("model", ["lstm_small", "transformer_small"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_stopped_run_continues_bit_for_bit(
    algorithm: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout on, stopped after three updates; with PyTorch's deterministic kernels."""
    found = []
    for name, stops in (("whole", []), ("stopped", [3])):
        overrides = [
            *(f"algorithm={algorithm}", f"model={model}", "trainer=smoke", "trainer.max_steps=6"),
            *("task.corpus.train=300", "task.corpus.dev=20", "task.corpus.test=20"),
            *("device=cuda", "deterministic=true", "decoding=greedy", "tracker=none"),
            f"outputs={tmp_path / name}",
        ]
        with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
            config = plain(compose("train", overrides=overrides))
        for updates in stops:
            monkeypatch.setattr(running, "Interruption", lambda updates=updates: After(updates))
            assert run_training(config) == 75
        monkeypatch.setattr(running, "Interruption", Never)
        assert run_training(config) == 0
        weights = sorted(run_folder(config).glob("checkpoints/*/best.safetensors"))
        files = [run_folder(config) / "metrics.jsonl", *weights]
        found.append([path.read_bytes() for path in files])
    torch.use_deterministic_algorithms(False)
    assert found[0] == found[1]
