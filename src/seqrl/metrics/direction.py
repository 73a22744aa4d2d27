"""Which way a score is better; known without PyTorch, so that tables are printed at once."""

LOWER_IS_BETTER = ("per", "wer", "oracle_nll")
"""Corpus scores that are error rates or costs; of all others more is better."""

DESCRIPTIVE = ("novelty",)
"""Corpus scores that tell what outputs are like, and not how good they are."""
