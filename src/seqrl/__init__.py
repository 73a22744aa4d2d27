"""seqrl: sequence models trained between maximum likelihood and reinforcement learning."""

__version__ = "0.1.0"
