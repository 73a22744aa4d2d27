"""Which way a score is better; known without PyTorch, so that tables are printed at once."""

LOWER_IS_BETTER = ("per", "wer", "oracle_nll")
"""Corpus scores that are error rates or costs; of all others more is better."""

UNITS = {"oracle_nll": "nats a word"} | dict.fromkeys(
    ("melody_reward", "autocorrelation1", "autocorrelation2", "autocorrelation3"), ""
)
"""Of the scores that are no percentages."""

MELODIES = (
    *("excess_repeats", "out_of_key", "starts_tonic", "leaps_resolved", "unique_max", "unique_min"),
    *("in_motif", "in_repeated_motif", "autocorrelation1", "autocorrelation2", "autocorrelation3"),
)
"""What table 1 of Jaques et al. (2017) tells of melodies."""

DESCRIPTIVE = ("novelty", "distinct", *MELODIES)
"""Corpus scores that tell what outputs are like, and not how good they are."""
