"""Pretrained weights: conversion between frameworks, loading and verification.

- ``loading``: ``NCLRPretrained``, for a backbone's ``init_cfg``; all tensors must match.
- ``reading``, ``unpickling``: reading files, local or by URL, without running code in them.
- ``names``, ``kernels``, ``voxels``: what differs between frameworks: names of tensors, layout of
  sparse kernels, size of voxels.
- ``export``: files for mmdet3d and OpenPCDet, and for publication.
"""
from ..errors import BrokenCheckpointError, PretrainedWeightsError
from .export import export_backbone
from .loading import LoadReport, NCLRPretrained, load_pretrained, read_state_dict

__all__ = ['BrokenCheckpointError', 'LoadReport', 'NCLRPretrained', 'PretrainedWeightsError',
           'export_backbone', 'load_pretrained', 'read_state_dict']
