"""Checkpoints that do not fit."""
from ..errors import PretrainedWeightsError

__all__ = ['PretrainedWeightsError']
