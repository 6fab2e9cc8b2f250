"""Training losses in one plot: ``python tools/plot_losses.py NAME=WORK_DIR ... --out FILE``.

``--key "weight_*"`` and ``--key "ratio_*"`` draw those of GradNorm.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nclr_plugin.experiments.loss_curves import main  # noqa: E402

if __name__ == '__main__':
    main()
