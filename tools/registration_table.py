"""Methods x data sets: ``python tools/registration_table.py NAME=RESULTS.CSV... --protocol P``."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nclr_plugin.experiments.registration_table import main  # noqa: E402

if __name__ == '__main__':
    main()
