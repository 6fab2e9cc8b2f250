"""Export a backbone: ``python tools/export_backbone.py CKPT --to mmdet3d --out FILE [--help]``.

The file needs no plugin: it is for ``load_from`` of mmdet3d or ``--pretrained_model`` of OpenPCDet.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nclr_plugin.checkpoints.export import main  # noqa: E402

if __name__ == '__main__':
    main()
