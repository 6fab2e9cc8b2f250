"""Write backbones for mmdet3d and OpenPCDet, and weights to publish, with a model card."""
from __future__ import annotations

import json
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from ..errors import PretrainedWeightsError, reading
from ..version import __version__
from .kernels import (STEM, fold_biases, looks_like_spconv1, second_stem_layer, to_spconv2,
                      widen_input)
from .loading import LoadReport, read_state_dict
from .names import (LAYOUTS, TO_OPENPCDET, TO_OPENPCDET_RESIDUAL, bev_name, blocks_per_stage,
                    find_prefix_and_layout, is_point_backbone, is_sparse_encoder, kernel_library,
                    looks_like, names_of_complete, rename)
from .reading import find_state_dict, is_counter
from .voxels import config_of_checkpoint, voxels_of_checkpoint

# OpenPCDet's encoders: layers or residual blocks in each stage, as mmdet3d would count them.
_OPENPCDET = {'VoxelBackBone8x': [1, 3, 3, 3], 'VoxelResBackBone8x': [3, 3, 3, 2]}
WEIGHTS, CARD = 'weights.pth', 'README.md'
MEGABYTE = 1e6


def export_backbone(checkpoint: str, to: str, out: str, min_match: float = 1.0) -> LoadReport:
    """Write the point backbone of a checkpoint with the names of mmdet3d or OpenPCDet.

    The bird's-eye-view network of a detector is included if the checkpoint has one.

    Args:
        checkpoint: Any checkpoint that :func:`~nclr_plugin.checkpoints.load_pretrained` supports.
        to: ``'mmdet3d'``: for ``load_from``, names ``backbone.*`` for a segmentor and
            ``middle_encoder.*`` (``backbone.*``, ``neck.*``) for a detector. ``'openpcdet'``: for
            ``--pretrained_model``, names ``backbone_3d.*`` (``backbone_2d.*``).
        out: File to write; its folder is created.
        min_match: Smallest share of a complete backbone's tensors that the file must have.

    Returns:
        Report; ``missing`` are names that a complete backbone would have.

    Raises:
        FileNotFoundError: If the file is absent.
        BrokenCheckpointError: If torch cannot read the file.
        PretrainedWeightsError: If the file has no point backbone, less than ``min_match`` of it, or
            one that the framework does not have; nothing is written then.
    """
    source = read_state_dict(checkpoint)
    report = LoadReport(str(checkpoint))
    points = _extract(source, report)
    if not points or report.match_ratio < min_match:
        raise PretrainedWeightsError(
            f'{report.summary()}\nexpected a point backbone with at least {min_match:.0%} of its '
            f'tensors; the checkpoint looks like {looks_like(source)}, its first names are '
            f'{list(source)[:3]}; give a checkpoint of a MinkUNet, SPVCNN or SparseEncoder')
    detector = is_sparse_encoder(points)
    bev = _extract_bev(source) if detector else {}
    if to == 'openpcdet' and not detector:
        raise PretrainedWeightsError(
            f"checkpoint '{checkpoint}': expected a SparseEncoder, found {looks_like(points)}, "
            'which OpenPCDet does not have; export it --to mmdet3d')
    if to == 'openpcdet':
        content = _for_openpcdet(points, bev, checkpoint)
        voxels = voxels_of_checkpoint(checkpoint)
        content['model_state'].update(voxels.tensors() if voxels else {})
    else:
        content = _for_mmdet3d(points, bev)
        text = config_of_checkpoint(checkpoint)
        if text is not None:  # contains the voxel size that the encoder was trained on
            content['meta']['cfg'] = text
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, out)
    return report


def _extract(source: dict[str, Tensor], report: LoadReport) -> 'OrderedDict[str, Tensor]':
    """Return the point backbone with mmdet3d's names and spconv 2's kernel layout."""
    report.prefix, report.layout, _ = find_prefix_and_layout(source, is_point_backbone)
    inside = {name[len(report.prefix):]: tensor for name, tensor in source.items()
              if name.startswith(report.prefix)}
    library = kernel_library(inside)
    kernels = [tensor for tensor in inside.values() if tensor.dim() == 5]
    spconv1 = bool(kernels) and all(map(looks_like_spconv1, kernels))
    backbone = OrderedDict()
    for name, tensor in inside.items():
        new_name = rename(name, LAYOUTS[report.layout])
        if not is_point_backbone(new_name):
            report.unexpected += [] if is_counter(name) else [name]
            continue
        if name.endswith('.kernel') or (spconv1 and tensor.dim() == 5):
            tensor = to_spconv2(tensor, library)
            report.reshaped.append(new_name)
        backbone[new_name] = tensor.contiguous()
    fold_biases(backbone)
    report.matched = [name for name in backbone if not is_counter(name)]
    if STEM in backbone:  # sparse U-Nets of mmdet3d have x, y, z and intensity as input
        wide, words = widen_input(backbone[STEM], (*backbone[STEM].shape[:-1], 4), library)
        if wide is not None:
            backbone[STEM] = wide
            report.matched.remove(STEM)
            report.reshaped = [name for name in report.reshaped if name != STEM]
            report.completed.append(words)
    completed = {} if is_sparse_encoder(backbone) else second_stem_layer(backbone)
    report.completed += [name for name in completed if not is_counter(name)]
    backbone.update(completed)
    report.missing = [name for name in names_of_complete(backbone) if name not in backbone]
    return backbone


def _extract_bev(source: dict[str, Tensor]) -> 'OrderedDict[str, Tensor]':
    """Return SECOND's 2D network with mmdet3d's names: blocks.*, deblocks.*."""
    network = OrderedDict((bev_name(name), tensor) for name, tensor in source.items()
                          if bev_name(name))
    # OpenPCDet's first layer is padding, without weights
    padded = 'blocks.0.0.weight' not in network
    return OrderedDict((rename(name, LAYOUTS['OpenPCDet']) if padded else name, tensor)
                       for name, tensor in network.items())


def _for_mmdet3d(points: dict[str, Tensor], bev: dict[str, Tensor]) -> dict:
    head = 'middle_encoder' if is_sparse_encoder(points) else 'backbone'
    state = OrderedDict((f'{head}.{name}', tensor) for name, tensor in points.items())
    for name, tensor in bev.items():
        state[f"{'neck' if name.startswith('deblocks') else 'backbone'}.{name}"] = tensor
    # Without the version, mmdet3d permutes kernels as if they were of spconv 1.
    state._metadata = OrderedDict((name.rpartition('.')[0], dict(version=2)) for name in state)
    return dict(meta=dict(), state_dict=state)


def _for_openpcdet(points: dict[str, Tensor], bev: dict[str, Tensor], checkpoint: str) -> dict:
    residual = any('.conv1.' in name for name in points)
    encoder, rules = (('VoxelResBackBone8x', TO_OPENPCDET_RESIDUAL) if residual else
                      ('VoxelBackBone8x', TO_OPENPCDET))
    blocks = blocks_per_stage(points)
    if blocks != _OPENPCDET[encoder]:
        raise PretrainedWeightsError(
            f"checkpoint '{checkpoint}': expected an encoder with {_OPENPCDET[encoder]} blocks in "
            f"its stages, those of OpenPCDet's {encoder}, found {blocks}; export it --to mmdet3d")
    points = dict(points)
    if residual:  # has biases before its norms by default (USE_BIAS)
        points.update({name[:-len('weight')] + 'bias': kernel.new_zeros(len(kernel))
                       for name, kernel in points.items() if re.search(r'\.conv\d\.weight$', name)})
    state = {f'backbone_3d.{rename(name, rules)}': t for name, t in points.items()}
    state.update({f'backbone_2d.{rename(name, TO_OPENPCDET)}': t for name, t in bev.items()})
    return dict(model_state=state)


def publish(checkpoint: str, out: str, name: str, data: str, license_id: str, terms: str,
            figures: str | None = None, max_megabytes: float = 30.) -> Path:
    """Write the weights of a training without its optimizer, and their model card.

    Args:
        checkpoint: Checkpoint of a training.
        out: Folder for ``weights.pth`` and ``README.md``; created if it does not exist.
        name: Title of the card.
        data: Description of the training data.
        license_id: Id of the licence in the header of the card, such as ``'cc-by-nc-sa-3.0'``.
        terms: Terms of use.
        figures: JSON file of metrics that ``tools/test.py`` has written; ``None``: no figures.
        max_megabytes: Largest size of the file.

    Returns:
        Path of the weights.

    Raises:
        FileNotFoundError: If a file is absent.
        PretrainedWeightsError: If the checkpoint lacks its config, or the file is too large.
    """
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu', logger='silent')
    meta = content.get('meta', {})
    if not meta.get('cfg'):
        raise PretrainedWeightsError(
            f"checkpoint '{checkpoint}': expected the config of its training in it, which the "
            'weights need, found none; give a checkpoint of tools/train.py')
    kept = {key: meta[key] for key in ('cfg', 'iter', 'seed', 'dataset_meta', 'mmengine_version')
            if key in meta}
    measured = {}
    if figures:
        with reading(figures, 'JSON'):
            measured = json.loads(Path(figures).read_text(encoding='utf-8'))
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / WEIGHTS
    torch.save(dict(meta=dict(kept, nclr_plugin_version=__version__),
                    state_dict=find_state_dict(content)), path)
    size = path.stat().st_size / MEGABYTE
    if size > max_megabytes:
        path.unlink()
        raise PretrainedWeightsError(
            f"checkpoint '{checkpoint}': expected weights of at most {max_megabytes:g} MB, found "
            f'{size:.1f}; allow more (max_megabytes), or publish its backbone alone '
            '(tools/export_backbone.py)')
    card = _card(name, data, license_id, terms, measured, kept, size)
    (folder / CARD).write_text(card, encoding='utf-8')
    return path


def _card(name: str, data: str, license_id: str, terms: str, figures: dict[str, Any],
          meta: dict[str, Any], size: float) -> str:
    steps = f" {meta['iter']} steps" if 'iter' in meta else ''
    seed = f", seed {meta['seed']}" if meta.get('seed') is not None else ''
    numbers = {key: value for key, value in figures.items() if isinstance(value, (int, float))}
    table = '\n'.join(['| figure | value |', '| --- | --- |', *(
        f'| {key} | {value:.4g} |' for key, value in numbers.items())])
    return f"""---
license: {license_id}
library_name: nclr_plugin
tags: [lidar, point-cloud, self-supervised, calibration]
---
# {name}

Weights of self-supervised LiDAR pretraining by 2D-3D neural calibration (NCLR, arXiv 2401.12452),
trained by nclr_plugin {__version__}:{steps}{seed}. The file holds the config, {size:.1f} MB.

## Data

{data}

## Terms

{terms}

## Figures

{table if numbers else 'None were measured.'}

## Use

```python
from nclr_plugin.apis import Calibrator
calibrator = Calibrator('{WEIGHTS}')  # or https://..., hf://OWNER/NAME/{WEIGHTS}
```

```bash
python tools/train.py configs/semseg/CONFIG.py --checkpoint {WEIGHTS}   # or https://..., hf://...
python tools/export_backbone.py {WEIGHTS} --to mmdet3d --out backbone.pth
```
"""
