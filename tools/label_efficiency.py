"""Fine-tune on few labels: ``python tools/label_efficiency.py CONFIG --checkpoint X --out DIR``.

From scratch and from X, over fractions and seeds; writes ``results.csv``, ``.md`` and ``.png``.
"""
import os
import sys
from pathlib import Path

# Two OpenMP threads beside another busy process slow each other down many times over.
os.environ.setdefault('OMP_NUM_THREADS', '1')
TOOLS = Path(__file__).resolve().parent
sys.path.insert(0, str(TOOLS.parent))

from nclr_plugin.experiments.label_efficiency import main  # noqa: E402

if __name__ == '__main__':
    main(TOOLS)
