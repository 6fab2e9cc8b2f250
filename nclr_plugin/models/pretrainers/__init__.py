"""Pretraining tasks, assembled from the parts beside this package."""
from .nclr import NCLR

__all__ = ['NCLR']
