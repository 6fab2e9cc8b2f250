"""Build pretraining networks for probes, without their training data."""
from __future__ import annotations

from typing import Any

from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import set_random_seed
from mmengine.runner.checkpoint import CheckpointLoader
from mmengine.utils import import_modules_from_strings

from ..checkpoints.loading import check_state_dict


def build_pretrainer(config: str, checkpoint: str | None = None, seed: int = 0,
                     options: dict | None = None) -> Any:
    """Build the network of a pretraining config.

    Args:
        config: Config file.
        checkpoint: Checkpoint of this network. ``None`` initialises the point backbone at random,
            but not the image branch, whose weights might be downloaded.
        seed: Seed of the initialisation.
        options: Overrides of the config, by dotted key.

    Returns:
        The network in evaluation mode.

    Raises:
        FileNotFoundError: If a file does not exist.
        CheckpointMismatchError: If the checkpoint belongs to another network.
    """
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(options or {})
    import_modules_from_strings(**cfg.get('custom_imports', dict(imports=[])))
    set_random_seed(seed)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        model = MODELS.build(cfg.model)
    if checkpoint is None:
        model.point_backbone.init_weights()
    else:
        content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu', logger='silent')
        state = content.get('state_dict', content)
        check_state_dict(model, state)
        model.load_state_dict(state, strict=False)
    return model.eval()

