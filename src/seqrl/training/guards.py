"""Limits at which a stage has gone wrong; they look only at numbers that are recorded anyway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from seqrl.ranges import require

ENTROPY, LENGTHS = "train/entropy", ("train/length_ratio", "dev/length_ratio")


@dataclass(frozen=True)
class Limit:
    """What a metric must stay at or below (or above: `least`), and what to try otherwise.

    guard   the setting that it comes from
    reason  why the limit is where it is
    """

    guard: str
    metric: str
    value: float
    reason: str
    advice: str
    least: bool = False

    def broken(self, value: float) -> bool:
        return value < self.value if self.least else value > self.value


@dataclass(frozen=True, kw_only=True)
class Guards:
    """A stage's guards; none of them is set: null switches one off.

    min_entropy       least entropy of trajectories, nats per token, in a stage that began above
    max_entropy_rise  most nats per token above the stage's first record
    max_length_ratio  most length of samples and of dev outputs, in lengths of the references, or
                      of what the stage began with if that was longer
    min_dev_share     least share of the dev score that the stage began with; of a score that is
                      better when lower, the start's share of it
    """

    min_entropy: float | None = None
    max_entropy_rise: float | None = None
    max_length_ratio: float | None = None
    min_dev_share: float | None = None

    def __post_init__(self) -> None:
        for name in ("min_entropy", "max_entropy_rise"):
            value = getattr(self, name)
            require(value is None or value > 0, f"{name} must be positive or null, not {value}")
        length, share = self.max_length_ratio, self.min_dev_share
        require(
            length is None or length > 1,
            f"max_length_ratio must be above 1 or null, not {length}",
        )
        require(
            share is None or 0 < share < 1,
            f"min_dev_share must lie in (0, 1) or be null, not {share}",
        )

    def suited(self, *, learns: bool, trained: bool) -> Guards:
        """Those that make sense in a stage.

        learns   whether it learns a policy; samples of another's say nothing about it
        trained  whether that comes from an earlier stage: a fresh one has any length and score
        """
        if not learns:
            return Guards()
        return self if trained else replace(self, max_length_ratio=None, min_dev_share=None)

    def problem(
        self,
        values: Mapping[str, float],
        first: Mapping[str, float],
        *,
        score: str,
        higher_is_better: bool,
    ) -> str | None:
        """What is wrong with one record's values, in a sentence; none if nothing is.

        first  the stage's first value of each metric
        score  the metric that selects the weights
        """
        for limit in self.limits(first, score=score, higher_is_better=higher_is_better):
            value = values.get(limit.metric)
            if value is not None and limit.broken(value):
                side = "below" if limit.least else "above"
                return (
                    f"{limit.metric} is {value:.4g}, {side} {limit.value:.4g} ({limit.reason}; "
                    f"trainer.guards.{limit.guard}=null switches this guard off); {limit.advice}"
                )
        return None

    def limits(
        self, first: Mapping[str, float], *, score: str, higher_is_better: bool
    ) -> Iterator[Limit]:
        """The limits that the stage's first values leave."""
        entropy = first.get(ENTROPY)
        least = self.min_entropy
        if least is not None and entropy is not None and entropy >= least:
            yield Limit(
                "min_entropy", ENTROPY, least,
                f"the policy is certain of every token, at the start {entropy:.4g}",
                "try a lower learning rate, or a larger tau or lambda_mle where there is one",
                least=True,
            )  # fmt: skip
        if self.max_entropy_rise is not None and entropy is not None:
            yield Limit(
                "max_entropy_rise", ENTROPY, entropy + self.max_entropy_rise,
                f"samples turn into noise, at the start {entropy:.4g}",
                "try a lower tau or learning rate, or a larger lambda_mle",
            )  # fmt: skip
        if self.max_length_ratio is not None:
            for metric in LENGTHS:
                start = first.get(metric, 1.0)
                yield Limit(
                    "max_length_ratio", metric, self.max_length_ratio * max(1.0, start),
                    f"outputs grow without end, at the start {start:.4g}",
                    "try a larger lambda_mle, or a lower learning rate or tau",
                )  # fmt: skip
        share, start = self.min_dev_share, first.get(score, 0.0)
        if share is not None and start > 0:
            yield Limit(
                "min_dev_share", score, start * share if higher_is_better else start / share,
                f"the policy unlearns, at the start {start:.4g}",
                "try a lower learning rate of the policy, a larger lambda_mle or a longer critic "
                "stage",
                least=higher_is_better,
            )  # fmt: skip
