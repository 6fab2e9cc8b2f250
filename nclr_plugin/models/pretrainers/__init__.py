"""The pretraining networks: NCLR and CrossI2P."""
from .crossi2p import CrossI2P
from .nclr import NCLR

__all__ = ['CrossI2P', 'NCLR']
