"""Report what works in this Python environment, and what to install for the rest.

    python -m nclr_plugin.doctor
"""
from __future__ import annotations

import importlib
import platform
from importlib import metadata
from typing import Callable, NamedTuple

import torch

import nclr_plugin

PACKAGES = ('torch', 'torchvision', 'numpy', 'mmengine', 'mmcv', 'mmcv-lite', 'mmdet', 'mmdet3d',
            'spconv', 'pcdet', 'opencv', 'scipy', 'matplotlib')
SPCONV_CAPABILITY = (9, 0)  # largest compute capability of spconv's kernels, Hopper


class Finding(NamedTuple):
    """Result of a check, and a remark."""

    works: bool
    remark: str


def versions() -> list[tuple[str, str]]:
    """Return names and versions of Python and of relevant installed packages."""
    installed = {}
    for distribution in metadata.distributions():
        name = (distribution.metadata['Name'] or '').lower()
        if name in PACKAGES or name.startswith(('spconv-', 'opencv-')):
            installed[name] = distribution.version
    order = sorted(installed, reverse=True, key=lambda name: [
        name == package or name.startswith(f'{package}-') for package in PACKAGES])
    return [('nclr_plugin', nclr_plugin.__version__), ('Python', platform.python_version()),
            *((name, installed[name]) for name in order)]


def imports(remedy: str, *modules: str) -> Finding:
    """Check that all modules import; the remark names the missing one and the remedy."""
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # a broken package may raise anything
            return Finding(False, f'{module}: {error or type(error).__name__}. {remedy}')
    return Finding(True, '')


def device() -> Finding:
    """Return the device that torch computes on."""
    if torch.cuda.is_available():
        return Finding(True, torch.cuda.get_device_name())
    build = f'a CUDA {torch.version.cuda} build' if torch.version.cuda else 'a CPU build'
    return Finding(True, f'the CPU: {build} of torch, no usable GPU')


def sparse_convolution() -> Finding:
    """Check that spconv imports and supports the GPU."""
    finding = imports('pip install spconv-cu126', 'spconv.pytorch')
    if finding.works and torch.cuda.is_available():
        if torch.cuda.get_device_capability() > SPCONV_CAPABILITY:
            return Finding(False, 'this GPU is newer than the kernels of spconv, which end at '
                           'Hopper; spconv-triton has newer ones')
    return finding


def operators() -> Finding:
    """Check that mmcv's operators support the device."""
    finding = imports('pip install mmcv-lite, or mim install mmcv', 'mmcv.ops')
    if not finding.works:
        return finding
    extension = importlib.import_module('mmcv._ext')
    if extension.__file__ != nclr_plugin.compat.REPLACEMENT:
        return Finding(True, 'compiled')
    if torch.cuda.is_available():
        return Finding(False, 'bash tools/setup_env.sh --ops; the replacement has none for a GPU')
    return Finding(True, 'in plain torch, for SECOND; others: bash tools/setup_env.sh --ops')


CHECKS: tuple[tuple[str, Callable[[], Finding]], ...] = (
    ('computing on', device),
    ('sparse backbones, pretraining', sparse_convolution),
    ('calibration of a pair', lambda: imports(
        'pip install opencv-python-headless scipy', 'cv2', 'scipy')),
    ('mmdet3d: image branch, segmentation', lambda: imports(
        "pip install 'nclr_plugin[light]'", 'mmdet.models', 'mmdet3d.models')),
    ('mmdet3d: detection operators', operators),
    ('OpenPCDet', lambda: imports(
        'Set OPENPCDET_ROOT or install it; see configs/pcdet/README.md', 'pcdet')),
    ('recordings of ROS', lambda: imports("pip install 'nclr_plugin[bags]'", 'rosbags.highlevel')),
    ('weights named torchvision://', lambda: imports('pip install torchvision', 'torchvision')),
    ('pictures', lambda: imports('pip install matplotlib', 'matplotlib')),
    ('tests', lambda: imports("pip install 'nclr_plugin[tests]'", 'pytest', 'hypothesis',
                              'nbclient')),
)


def report() -> str:
    """Return the versions, and a line for each feature of this package."""
    lines = [f'{name:<24}{version}' for name, version in versions()] + ['']
    for feature, check in CHECKS:
        works, remark = check()
        lines.append(f'{"yes" if works else "no":<5}{feature}{": " if remark else ""}{remark}')
    return '\n'.join(lines)


if __name__ == '__main__':
    print(report())
