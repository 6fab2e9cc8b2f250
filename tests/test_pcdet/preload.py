"""What must be imported before OpenPCDet on a machine without CUDA; as a program, ``python -m``."""
import importlib
import os
import runpy
import sys

if os.environ.get('NCLR_TEST_PCDET_PRELOAD'):
    importlib.import_module(os.environ['NCLR_TEST_PCDET_PRELOAD'])

if __name__ == '__main__':
    module, sys.argv = sys.argv[1], sys.argv[1:]
    sys.path[0] = os.getcwd()
    runpy.run_module(module, run_name='__main__', alter_sys=True)
