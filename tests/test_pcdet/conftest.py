"""OpenPCDet, real or as far as finding and importing it goes."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from nclr_plugin.checkpoints import export_backbone
from nclr_plugin.demo.generate import generate
from nclr_plugin.demo.layouts.base import DemoOptions
from nclr_plugin.datasets.kitti_infos import split_kitti

REPO = Path(__file__).resolve().parents[2]
HELPERS = REPO / 'tests' / 'helpers'
PROGRAMS = HELPERS / 'openpcdet'


def _write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def write_files():
    """Writes files {path: text} into a folder."""
    return _write


def _as_openpcdet(info):
    """An info as OpenPCDet writes it: cameras by their pose in the frame of the LiDAR."""
    cams = {}
    for name, image in info['images'].items():
        cam2lidar = np.linalg.inv(np.asarray(image['lidar2cam']))
        cams[name] = dict(
            data_path=f"samples/{name}/{image['img_path']}",
            camera_intrinsics=np.asarray(image['cam2img']),
            sensor2lidar_rotation=cam2lidar[:3, :3],
            sensor2lidar_translation=cam2lidar[:3, 3][None])
    path = f"samples/LIDAR_TOP/{info['lidar_points']['lidar_path']}"
    return dict(token=info['token'], lidar_path=path, cams=cams)


@pytest.fixture
def as_openpcdet():
    """An info of mmdet3d's nuScenes infos as one of OpenPCDet's."""
    return _as_openpcdet


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
    """Variables under which a Python process finds the real OpenPCDet; skips without it.

    Where it is not built, stand-ins for its compiled parts take their place.
    """
    root = os.environ.get('OPENPCDET_ROOT')
    if not root:
        spec = __import__('importlib.util').util.find_spec('pcdet')
        if spec is None or spec.origin is None:
            pytest.skip('no OpenPCDet: set OPENPCDET_ROOT to its checkout, or install it')
        root = str(Path(spec.origin).parents[1])
    environment = dict(
        os.environ, OPENPCDET_ROOT=root, OMP_NUM_THREADS='1', NUMBA_ENABLE_CUDASIM='1',
        PYTHONPATH=os.pathsep.join([str(REPO), str(PROGRAMS), str(HELPERS),
                                    os.environ.get('PYTHONPATH', '')]))
    if not list(Path(root, 'pcdet', 'ops').rglob('iou3d_nms_cuda*.so')):
        environment['NCLR_TEST_OPENPCDET_ON_CPU'] = '1'
    probe = _python(environment, ['-c', 'import preload, nclr_plugin.pcdet as p; p.register()'])
    if probe.returncode:
        pytest.skip('OpenPCDet does not import: ' + probe.stderr.strip().splitlines()[-1])
    return environment


def _python(environment, arguments, cwd=None):
    return subprocess.run([sys.executable, *arguments], env=environment, cwd=cwd, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture(scope='session')
def in_openpcdet(host_environment):
    """Runs a program of the helpers in a process with OpenPCDet, and returns its report.

    A process of its own, because the stand-ins change torch and spconv for good.
    """

    def run(script, *arguments, **variables):
        done = _python({**host_environment, **variables},
                       [str(PROGRAMS / script), *map(str, arguments)])
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.fixture(scope='session')
def run_module(host_environment):
    """Runs ``python -m`` of a module in a process with OpenPCDet; variables may be added."""

    def run(module, *arguments, cwd, **variables):
        return _python({**host_environment, **variables},
                       [str(PROGRAMS / 'preload.py'), module, *map(str, arguments)], cwd)

    return run


@pytest.fixture(scope='session')
def rotated_boxes(host_environment):
    """Skips where operations on rotated boxes are neither built nor those of mmcv."""
    if 'NCLR_TEST_OPENPCDET_ON_CPU' in host_environment:
        pytest.importorskip('mmcv.ops', reason='the stand-ins for rotated boxes are of mmcv')


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


@pytest.fixture(scope='session')
def fraction_root(in_openpcdet, kitti_root):
    """The ``DATA_PATH`` of half of the labels, of infos by OpenPCDet's own preparation."""
    in_openpcdet('kitti_infos.py', kitti_root)
    assert split_kitti(str(kitti_root), (50, )) == {50: 2}
    return kitti_root / 'labels_50'


@pytest.fixture(scope='session')
def exported(tmp_path_factory):
    """A ``--pretrained_model`` of ``tools/export_backbone.py``, of an encoder of mmdet3d."""
    pytest.importorskip('mmdet3d')
    from nclr_plugin.models.backbones.voxelnet import SplitSparseEncoder
    folder = tmp_path_factory.mktemp('exported')
    torch.manual_seed(3)
    torch.save(dict(meta={}, state_dict={
        f'point_backbone.{key}': value for key, value in SplitSparseEncoder().state_dict().items()
    }), folder / 'nclr.pth')
    export_backbone(str(folder / 'nclr.pth'), 'openpcdet', str(folder / 'openpcdet.pth'))
    return folder / 'openpcdet.pth'


@pytest.fixture(scope='session')
def pretrained_in_openpcdet(run_module, kitti_root, tmp_path_factory):
    """One epoch by OpenPCDet's tools/train.py: its log, its results' folder, where it was run."""
    folder = tmp_path_factory.mktemp('openpcdet')
    config = REPO / 'configs' / 'pcdet' / 'nclr_pretrain_kitti.yaml'
    (folder / 'mine.yaml').write_text(
        f'_BASE_CONFIG_: {config}\n'
        'MODEL: {NCLR: {image_branch: {depth: 18, weights: ""}}}\n'
        'OPTIMIZATION: {PCT_START: 0.5}\n')
    done = run_module(
        'nclr_plugin.pcdet.train', '--cfg_file', 'mine.yaml', '--batch_size', '2', '--epochs', '1',
        '--workers', '0', '--wo_gpu_stat', '--logger_iter_interval', '1', '--fix_random_seed',
        '--set', 'DATA_CONFIG.DATA_PATH', kitti_root, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    log = done.stdout + done.stderr
    return log, Path(re.search(r'Result is saved to (\S+)/eval/', log)[1]), folder


@pytest.fixture(scope='session')
def pretraining(in_openpcdet, kitti_root, tmp_path_factory):
    """Report of the helpers' program that pretrains in OpenPCDet."""
    path = tmp_path_factory.mktemp('pretraining') / 'a.yaml'
    path.write_text(
        f'_BASE_CONFIG_: {REPO / "configs" / "pcdet" / "nclr_pretrain_kitti.yaml"}\n')
    return in_openpcdet('pretraining.py', kitti_root, path)
