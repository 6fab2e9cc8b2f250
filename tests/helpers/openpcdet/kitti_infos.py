"""Program: OpenPCDet's own infos and object database of a folder in KITTI's layout."""
import preload  # noqa: F401, isort: skip
import json
import sys
from pathlib import Path

import yaml

from nclr_plugin.pcdet import find_openpcdet, register

register()
from easydict import EasyDict  # noqa: E402
from pcdet.datasets.kitti import kitti_dataset  # noqa: E402

ROOT = Path(sys.argv[1])
YAML = find_openpcdet() / 'tools' / 'cfgs' / 'dataset_configs' / 'kitti_dataset.yaml'
kitti_dataset.Path = Path  # which OpenPCDet imports only where it is the program
kitti_dataset.create_kitti_infos(
    EasyDict(yaml.safe_load(YAML.read_text())), ['Car', 'Pedestrian', 'Cyclist'], ROOT, ROOT,
    workers=1)
print(json.dumps(sorted(path.name for path in ROOT.glob('*.pkl'))))
