"""How well a critic ranks words: its action values against rollouts of the policy.

    python scripts/critic_alignment.py RUN [--critic critic] [--sentences 60] [--words 10]

For each of the first positions of samples on dev, the run's actor completes every one of the
`words` most probable continuations `rollouts` times; their mean rewards are the truth up to
noise. Printed per position: the deviation over words of the true and of the critic's advantage
A = Q - sum_w pi Q, their correlation, and their alignment under the policy,

    sum_w pi A_true A_critic / sqrt(sum_w pi A_true^2  sum_w pi A_critic^2),

which is what the actor's gradient sees: 1 is a perfect critic, 0 a useless one.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from seqrl.algorithms.actor_critic import ActorCritic, propose
from seqrl.build import build_algorithm, build_network, build_task, vocabularies
from seqrl.data.batching import collate
from seqrl.decoding.rollout import rollout, sampler
from seqrl.models.base import Policy, repeat
from seqrl.training.pipeline import delivered, load_start
from seqrl.types import Batch, Clock, Trajectories, shift_right

LONGEST = 60


def load(folder: Path, critic_stage: str) -> tuple[Any, ActorCritic]:
    """The run's task, and its joint algorithm with the actor's and a critic's weights."""
    config = yaml.safe_load((folder / "config.yaml").read_text())
    task = build_task(config)
    sizes = vocabularies(task)
    networks = {name: build_network(config, name, sizes, 1) for name in ("policy", "critic")}
    for name, stage in (("policy", "actor"), ("critic", critic_stage)):
        load_start(networks[name], delivered(folder / "checkpoints" / stage, name), name)
        networks[name].eval()
    algorithm = build_algorithm(config, config["algorithm"]["stages"]["joint"], networks)
    return task, algorithm


def completed_reward(
    algorithm: ActorCritic, batch: Batch, memory: Any, prefix: Tensor, rollouts: int
) -> Tensor:
    """[B], the mean reward of `rollouts` completions of each prefix [B, t]."""
    policy: Policy[Any, Any] = algorithm.policy
    forced = prefix.repeat_interleave(rollouts, dim=0)
    draw = sampler(torch.rand(LONGEST, len(batch) * rollouts))

    def choose(t: int, logits: Tensor, so_far: Tensor, rows: Tensor) -> Tensor:
        return forced[rows, t] if t < forced.shape[1] else draw(t, logits, so_far, rows)

    tokens, mask = rollout(
        policy,
        repeat(memory, len(batch), rollouts),
        rows=len(batch) * rollouts,
        max_length=LONGEST,
        choose=choose,
    )
    inputs = shift_right(tokens, batch.specials.bos)
    done = Trajectories(inputs, tokens, mask, torch.zeros_like(mask), rollouts)
    return algorithm.reward.score(done, batch).view(len(batch), rollouts).mean(1)


def correlation(x: Tensor, y: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([x, y]))[0, 1])


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--critic", default="critic", help="stage whose critic is measured")
    parser.add_argument("--sentences", type=int, default=60)
    parser.add_argument("--words", type=int, default=10)
    parser.add_argument("--rollouts", type=int, default=24)
    parser.add_argument("--positions", type=int, default=6)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    task, algorithm = load(arguments.run, arguments.critic)
    split = task.split("dev")
    batch = collate(split, list(range(min(arguments.sentences, len(split)))))
    trajectories, logits = propose(algorithm.policy, algorithm.proposal, batch, Clock(seed=0))
    judged = algorithm.judge(batch, trajectories, logits)
    log_pi, values = map(trajectories.padded, (judged.log_pi, judged.values))
    memory = algorithm.policy.encode(batch.source, batch.source_mask)
    group = trajectories.group
    assert group == 1, "the joint stage draws one sample per source"
    print("position  sentences  true deviation  critic deviation  correlation  alignment")
    for t in range(min(arguments.positions, trajectories.targets.shape[1] - 1)):
        running = trajectories.mask[:, t + 1]
        probability, words = log_pi[:, t].exp().topk(arguments.words, dim=-1)
        probability = probability / probability.sum(1, keepdim=True)
        prefix = trajectories.targets[:, :t]
        true = torch.stack(
            [
                completed_reward(
                    algorithm,
                    batch,
                    memory,
                    torch.cat([prefix, words[:, i : i + 1]], dim=1),
                    arguments.rollouts,
                )
                for i in range(words.shape[1])
            ],
            dim=1,
        )
        found = values[:, t].gather(1, words)
        true, found = ((q - (probability * q).sum(1, keepdim=True))[running] for q in (true, found))
        weight = probability[running]
        product = (weight * true * found).sum()
        norms = (weight * true.square()).sum() * (weight * found.square()).sum()
        print(
            f"{t + 1:8}  {int(running.sum()):9}  {float(true.std()):14.3f}  "
            f"{float(found.std()):16.3f}  {correlation(true.flatten(), found.flatten()):11.3f}  "
            f"{float(product / norms.sqrt()):9.3f}"
        )


if __name__ == "__main__":
    main()
