"""Checkpoints that do not fit."""


class PretrainedWeightsError(ValueError):
    """A checkpoint that does not hold the weights which a model needs."""
