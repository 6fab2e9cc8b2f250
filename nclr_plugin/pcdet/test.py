"""``python -m nclr_plugin.pcdet.test``: OpenPCDet's tools/test.py, with its flags."""
from .launcher import run_tool

if __name__ == '__main__':
    run_tool('test')
