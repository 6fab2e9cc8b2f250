"""Label fractions for detection: ``python tools/split_detection_infos.py ROOT [--help]``."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nclr_plugin.datasets.detection_infos import main  # noqa: E402

if __name__ == '__main__':
    main()
