"""Experiments over configs, seeds and label fractions, and their tables."""
