"""Pretraining tasks, assembled from the parts beside this package."""
from .crossi2p import CrossI2P
from .nclr import NCLR

__all__ = ['CrossI2P', 'NCLR']
