"""Generate demo driving scenes in the layout of a public data set."""
from nclr_plugin.datasets.demo.generate import main

if __name__ == '__main__':
    main()
