"""OpenPCDet, real or as far as finding and importing it goes."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nclr_plugin.datasets.demo.generate import generate
from nclr_plugin.datasets.demo.options import DemoOptions

REPO = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
# Stand-ins for the compiled extensions, for machines without CUDA; not part of this project.
CPU_TOOLS = REPO.parent / 'shared' / 'tools' / 'openpcdet_on_cpu'


def _write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def write_files():
    """Writes files {path: text} into a folder."""
    return _write


@pytest.fixture
def no_pcdet(monkeypatch):
    """An interpreter that knows no OpenPCDet."""
    monkeypatch.delenv('OPENPCDET_ROOT', raising=False)
    for name in [name for name in sys.modules if name.partition('.')[0] == 'pcdet']:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, 'path', [
        folder for folder in sys.path if not (Path(folder) / 'pcdet').is_dir()])


@pytest.fixture(scope='session')
def host_environment():
    """Variables under which a Python process finds the real OpenPCDet; skips without it."""
    root = os.environ.get('OPENPCDET_ROOT')
    if not root:
        spec = __import__('importlib.util').util.find_spec('pcdet')
        if spec is None or spec.origin is None:
            pytest.skip('no OpenPCDet: set OPENPCDET_ROOT to its checkout, or install it')
        root = str(Path(spec.origin).parents[1])
    environment = dict(
        os.environ, OPENPCDET_ROOT=root, OMP_NUM_THREADS='1', NUMBA_ENABLE_CUDASIM='1',
        PYTHONPATH=os.pathsep.join([str(REPO), str(HERE), os.environ.get('PYTHONPATH', '')]))
    if not list(Path(root, 'pcdet', 'ops').rglob('iou3d_nms_cuda*.so')):
        if not CPU_TOOLS.is_dir():
            pytest.skip(f'OpenPCDet in {root} is not built, and {CPU_TOOLS}, stand-ins for its '
                        'extensions, does not exist')
        environment['PYTHONPATH'] += os.pathsep + str(CPU_TOOLS)
        environment['NCLR_TEST_PCDET_PRELOAD'] = 'pcdet_on_cpu'
    probe = _python(environment, ['-c', 'import preload, nclr_plugin.pcdet as p; p.register()'])
    if probe.returncode:
        pytest.skip('OpenPCDet does not import: ' + probe.stderr.strip().splitlines()[-1])
    return environment


def _python(environment, arguments, cwd=None):
    return subprocess.run([sys.executable, *arguments], env=environment, cwd=cwd, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture(scope='session')
def in_openpcdet(host_environment):
    """Runs a script of this folder in a process with OpenPCDet, and returns what it reports.

    A process of its own, because the stand-ins change torch and spconv for good.
    """

    def run(script, *arguments):
        done = _python(host_environment, [str(HERE / script), *map(str, arguments)])
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.fixture(scope='session')
def run_module(host_environment):
    """Runs ``python -m`` of a module in a process with OpenPCDet."""

    def run(module, *arguments, cwd):
        return _python(host_environment, [str(HERE / 'preload.py'), module, *map(str, arguments)],
                       cwd)

    return run


@pytest.fixture(scope='session')
def kitti_root(tmp_path_factory):
    """A demo world of four frames in KITTI's layout, with the benchmark's lists."""
    root = tmp_path_factory.mktemp('kitti')
    generate(str(root), 'kitti', DemoOptions(scenes=4, azimuths=360, image_size=(208, 64)))
    stems = sorted(path.stem for path in (root / 'training' / 'velodyne').iterdir())
    for split in ('train', 'val'):
        (root / 'ImageSets' / f'{split}.txt').parent.mkdir(exist_ok=True)
        (root / 'ImageSets' / f'{split}.txt').write_text('\n'.join(stems) + '\n')
    return root
