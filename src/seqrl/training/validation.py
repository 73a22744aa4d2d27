"""What is measured on the dev split while a stage trains."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqrl.algorithms.base import Algorithm
from seqrl.data.batching import Split, collate, sequential
from seqrl.data.task import Task
from seqrl.decoding.decoder import Decoder, Greedy
from seqrl.evaluation.decode import evaluate
from seqrl.losses import entropy, kl
from seqrl.memory import in_parts
from seqrl.metrics.corpus import METRICS
from seqrl.metrics.direction import LOWER_IS_BETTER
from seqrl.models.base import Policy
from seqrl.proposals.sampling import Sampling
from seqrl.rewards.base import Reward
from seqrl.terminal import printable
from seqrl.tracking.files import write_text_atomic
from seqrl.types import Batch, Clock

EVALUATION_BATCH = 100
HEADING = "=== update "
TOKENS_AT_ONCE = 1000  # whose distributions are compared


class DevValidation:
    """Decodes dev where the stage learns a policy, and averages the algorithm's dev losses.

    The noise of samples is the same at every validation, so that its scores differ by the
    weights alone.

    reward       of which `dev/reward` is the mean, over one sample of each sentence; the
                 policy's entropy along these samples, nats per token, is `dev/entropy`
    start        the policy as the stage began; with it `dev/kl` is measured along them
    examples     so many dev sentences are shown at every validation
    samples_path where they are appended, with greedy and `decoder`'s output and one sample
    """

    def __init__(
        self,
        *,
        task: Task,
        decoder: Decoder,
        device: torch.device,
        seed: int,
        reward: Reward | None = None,
        start: Policy[Any, Any] | None = None,
        samples_path: Path | None = None,
        examples: int = 4,
    ) -> None:
        self.task = task
        self.decoder = decoder
        self.device = device
        self.seed = seed
        self.reward = reward
        self.start = start
        self.sampling = Sampling(samples=1, extra_length=10, max_length=decoder.max_length)
        self.samples_path = samples_path
        self.examples = examples

    def higher_is_better(self, name: str) -> bool:
        """Whether it is, of a metric; all else that is measured are losses of the algorithm."""
        return name in METRICS and name not in LOWER_IS_BETTER

    def __call__(self, algorithm: Algorithm, update: int) -> dict[str, float]:
        """Scores by name, `dev/...`; the learners are left in eval mode."""
        learners = algorithm.learners()
        for learner in learners.values():
            learner.eval()
        split = self.task.split("dev")
        scores: dict[str, float] = {}
        policy = learners.get("policy")
        if isinstance(policy, Policy):
            names = dict.fromkeys([self.task.metric, *self.task.scores])
            result = evaluate(policy, self.task, split, self.decoder, self.device, list(names))
            scores |= {f"dev/{score.name}": score.value for score in result.scores}
            scores["dev/length_ratio"] = result.length_ratio
            if self.samples_path is not None:
                text = self._samples(algorithm, policy, split, update)
                write_text_atomic(self.samples_path, self._earlier_samples(update) + text)
        return scores | self._losses(algorithm, split)

    def _losses(self, algorithm: Algorithm, split: Split) -> dict[str, float]:
        sums: dict[str, list[float]] = {}
        for number, (_, batch) in enumerate(sequential(split, EVALUATION_BATCH)):
            clock = Clock(update=number, seed=self.seed)
            measure = partial(self._measured, algorithm, clock)
            for found in in_parts(measure, batch.to(self.device)):
                for name, (total, count) in found.items():
                    entry = sums.setdefault(name, [0.0, 0.0])
                    entry[0] += float(total)
                    entry[1] += float(count)
        return {f"dev/{name}": total / count for name, (total, count) in sums.items()}

    def _measured(
        self, algorithm: Algorithm, clock: Clock, batch: Batch
    ) -> dict[str, tuple[Tensor, Tensor]]:
        return self._sampled(algorithm, batch, clock) | algorithm.evaluate(batch, clock)

    @torch.no_grad()
    def _sampled(
        self, algorithm: Algorithm, batch: Batch, clock: Clock
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Entropy, reward, and KL(policy || start) along one sample of each sentence."""
        policy = algorithm.learners().get("policy")
        if not isinstance(policy, Policy):
            return {}
        memory = policy.encode(batch.source, batch.source_mask)
        drawn = self.sampling(policy, memory, batch, None, clock)
        tokens = drawn.mask.sum()
        start = self.start or policy
        features = policy.features(memory, drawn.inputs, drawn.mask)
        before = features
        if self.start is not None:
            memory = start.encode(batch.source, batch.source_mask)
            before = start.features(memory, drawn.inputs, drawn.mask)
        disorder, divergence = torch.zeros(2, dtype=torch.float64, device=features.device)
        parts = (torch.split(rows, TOKENS_AT_ONCE) for rows in (features, before))
        for now, then in zip(*parts, strict=True):
            log_pi = torch.log_softmax(policy.project(now), dim=-1)
            disorder += entropy(log_pi).sum()
            if self.start is not None:
                divergence += kl(log_pi, torch.log_softmax(start.project(then), dim=-1)).sum()
        found = {"entropy": (disorder, tokens)}
        if self.start is not None:
            found["kl"] = (divergence, tokens)
        if self.reward is not None:
            rewards = self.reward.score(drawn, batch)
            found["reward"] = (rewards.double().sum(), tokens.new_tensor(len(rewards)))
        return found

    def _earlier_samples(self, update: int) -> str:
        """What was written before this update: a killed process may have been further."""
        assert self.samples_path is not None
        try:
            text = self.samples_path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        headings = re.finditer(f"^{HEADING}([0-9]+)$", text, flags=re.MULTILINE)
        later = (found.start() for found in headings if int(found[1]) >= update)
        return text[: next(later, None)]

    @torch.no_grad()
    def _samples(
        self, algorithm: Algorithm, policy: Policy[Any, Any], split: Split, update: int
    ) -> str:
        """Fixed dev sentences with what the policy makes of them."""
        indices = list(range(min(self.examples, len(split))))
        batch = collate(split, indices).to(self.device)
        decode = self.task.target_tokenizer.decode
        greedy = Greedy(max_length=self.decoder.max_length)(policy, batch).tolist()
        chosen = self.decoder(policy, batch).tolist()
        sampled, explained = self._explained_sample(algorithm, policy, batch)
        lines = [f"{HEADING}{update}"]
        for row, index in enumerate(indices):
            example = split.examples[index]
            lines += [
                f"source     {example.source}",
                *(f"reference  {reference}" for reference in example.references),
                f"greedy     {decode(greedy[row])}",
                f"decoded    {decode(chosen[row])}",
                f"sample     {decode(sampled[row])}",
                *(f"  {name:<8} {numbers[row]}" for name, numbers in explained.items()),
                "",
            ]
        return "\n".join(map(printable, lines)) + "\n"

    def _explained_sample(
        self, algorithm: Algorithm, policy: Policy[Any, Any], batch: Batch
    ) -> tuple[list[list[int]], dict[str, list[str]]]:
        """One sample per sentence, and the algorithm's numbers for each of its tokens."""
        memory = policy.encode(batch.source, batch.source_mask)
        drawn = self.sampling(policy, memory, batch, None, Clock(seed=self.seed))
        lengths = drawn.length.tolist()
        explained = {
            name: [
                " ".join(f"{value:+.2f}" for value in row[:length])
                for row, length in zip(values.tolist(), lengths, strict=True)
            ]
            for name, values in algorithm.explain(drawn, batch).items()
        }
        return drawn.targets.tolist(), explained
