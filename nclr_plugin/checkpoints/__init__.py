"""Pretrained weights: conversion between frameworks, loading and verification."""
from ..errors import BrokenCheckpointError, PretrainedWeightsError
from .export import export_backbone
from .loading import LoadReport, NCLRPretrained, load_pretrained, read_state_dict

__all__ = ['BrokenCheckpointError', 'LoadReport', 'NCLRPretrained', 'PretrainedWeightsError',
           'export_backbone', 'load_pretrained', 'read_state_dict']
