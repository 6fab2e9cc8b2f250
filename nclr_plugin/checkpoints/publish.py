"""Publish weights: a small file with a model card."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from mmengine.runner.checkpoint import CheckpointLoader

from ..errors import PretrainedWeightsError
from ..version import __version__
from .reading import find_state_dict

WEIGHTS, CARD = 'weights.pth', 'README.md'
MEGABYTE = 1e6


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
    measured = json.loads(Path(figures).read_text(encoding='utf-8')) if figures else {}
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
