"""What tests of several folders share: one tiny language, runs on it, and what they measure."""

from __future__ import annotations

from collections.abc import Callable

WORDS = dict(zip("abcdef", "uvwxyz", strict=True))
"""The language of `tiny_data`: what each source word is in the target."""

TINY = [
    *("task=text", "task.source=de", "task.target=en"),
    *("model.hidden=16", "model.embedding=16"),
    *("trainer=smoke", "trainer.max_steps=18", "trainer.validate_every=18"),
    *("task.budget.actor.optimizers.policy._target_=torch.optim.Adam",),
    *("task.budget.actor.optimizers.policy.lr=0.05", "task.budget.actor.batch_size=20"),
    *("decoding=greedy", "decoding.max_length=8", "tracker=none", "device=cpu", "threads=1"),
]
"""Overrides for a run of seconds on `tiny_data`."""

Figures = Callable[[str, str, float], None]
"""Adds to a figure of a table; those that begin with "most" keep the largest."""
