"""``python -m nclr_plugin.pcdet.train``: OpenPCDet's tools/train.py, with its flags."""
from .launcher import run_tool

if __name__ == '__main__':
    run_tool('train')
