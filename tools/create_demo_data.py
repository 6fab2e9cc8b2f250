"""Generate demo driving scenes in the layout of a public data set."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nclr_plugin.demo.generate import main  # noqa: E402

if __name__ == '__main__':
    main()
