"""Train language-model agents on containerised code repositories by Supervised Reinforcement Learning (arXiv 2510.25992)."""

__version__ = "0.1.0"
