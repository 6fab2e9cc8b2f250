"""What must be imported before OpenPCDet on a machine without CUDA; as a program, ``python -m``."""
import os
import runpy
import sys

if os.environ.get('NCLR_TEST_OPENPCDET_ON_CPU'):
    import on_cpu  # noqa: F401, changes torch and spconv for good

if __name__ == '__main__':
    module, sys.argv = sys.argv[1], sys.argv[1:]
    sys.path[0] = os.getcwd()
    runpy.run_module(module, run_name='__main__', alter_sys=True)
