"""Write info files of labelled scans and of label fractions; see ``--help``."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nclr_plugin.datasets.segmentation.command import main  # noqa: E402

if __name__ == '__main__':
    main()
