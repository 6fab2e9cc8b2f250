"""The command lines as a user types them, on a small world and with a small network."""
import importlib.util
import itertools
import json
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TINY = {
    'model.data_preprocessor.voxel_size': '(1.,1.,1.)',
    'model.data_preprocessor.max_voxels': 'None',
    'model.point_backbone.base_channels': 8,
    'model.point_backbone.encoder_channels': '(8,8,8,16)',
    'model.point_backbone.encoder_blocks': '(1,1,1,1)',
    'model.point_backbone.decoder_channels': '(16,8,8,8)',
    'model.point_backbone.decoder_blocks': '(1,1,1,1)',
    'model.image_branch.depth': 18,
    'model.image_branch.base_channels': 8,
    'model.image_branch.out_indices': '(0,1,2)',
    'model.image_branch.out_channels': 16,
    'model.image_branch.weights': 'None',
    'model.fusion.embed_dims': 24,
    'model.fusion.num_heads': 2,
    'model.fusion.num_layers': 1,
    'model.fusion.ffn_channels': 24,
    'model.matching_head.embed_dims': 16,
    # An untrained network finds no overlap, but there shall be poses.
    'model.overlap_head.thresholds': '(0.,0.)',
    'model.num_samples': 64,
    'model.pose_head.max_iterations': 100,
}
# Without workers, which take longer to start than to load such frames.
IN_PROCESS = {f'{part}_dataloader.{option}': value for part in ('train', 'val', 'test')
              for option, value in (('num_workers', 0), ('persistent_workers', False))}
EVERY_ITERATION = {'default_hooks.logger.interval': 1, 'log_processor.window_size': 1}


def pytest_collection_modifyitems(items):
    """Mark all tests here as slow, and skip them without mmdet3d."""
    here = Path(__file__).parent
    items = [item for item in items if here in item.path.parents]
    installed = importlib.util.find_spec('mmdet3d') is not None
    for item in items:
        item.add_marker(pytest.mark.slow)
        if not installed:
            item.add_marker(pytest.mark.skip(reason='runs on mmdet3d, which is not installed'))


@pytest.fixture(scope='session', autouse=True)
def _format_once():
    """mmdet3d's scripts, run as they are, have yapf format the same text again and again."""
    from mmengine.config import config
    format_code, formatted = config.FormatCode, {}

    def format_once(text, **options):
        if text not in formatted:
            formatted[text] = format_code(text, **options)
        return formatted[text]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, 'FormatCode', format_once)
        yield


@pytest.fixture(scope='module', autouse=True)
def _no_pauses():
    """mmdet3d waits 5 s before it overwrites infos, mmengine 2 s between epochs."""
    sleep = time.sleep
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, 'sleep', lambda seconds: sleep(min(seconds, 0.1)))
        yield


class CommandLine:
    """``python tools/NAME.py ARGUMENTS --cfg-options OPTIONS``.

    Called, it runs the script in this process, which saves the seconds of importing mmdet3d.
    """

    def __init__(self):
        self._numbers = itertools.count()

    def __call__(self, name, *argv, **options):
        """Run in this process; see :meth:`words` for the options."""
        before, modules = sys.argv, sys.path.copy()
        sys.argv = self.words(name, *argv, **options)
        try:
            runpy.run_path(sys.argv[0], run_name='__main__')
        finally:
            sys.argv, sys.path[:] = before, modules

    def process(self, name, *argv, python=(), variables=None, **options):
        """Run as a process of its own, on the CPU."""
        environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': '',
                       **(variables or {})}
        return subprocess.run(
            [sys.executable, *python, *self.words(name, *argv, **options)], cwd=str(ROOT),
            env=environment, capture_output=True, text=True, timeout=1200)

    def fails(self, name, *argv, **options):
        """The last line that a user sees of a command that ends with an error."""
        try:
            self(name, *argv, **options)
        except SystemExit as error:
            assert isinstance(error.code, str), 'a sentence makes the exit status 1'
            return error.code.splitlines()[-1]
        except Exception as error:
            return f'{type(error).__name__}: {error}'.splitlines()[-1]
        pytest.fail(f'{name} ended without an error')

    def words(self, name, *argv, tiny=True, options=None):
        """Words of the command line; each run needs a name of its own for mmdet3d's registry."""
        chosen = {**(TINY if tiny else {}), **(options or {})}
        if name != 'create_demo_data' and name != 'benchmark':
            chosen = {**EVERY_ITERATION, 'experiment_name': f'run{next(self._numbers)}', **chosen}
        words = [str(ROOT / 'tools' / f'{name}.py'), *map(str, argv)]
        if chosen:
            words += ['--cfg-options', *(f'{key}={value}' for key, value in chosen.items())]
        return words


@pytest.fixture(scope='session')
def run():
    return CommandLine()


@pytest.fixture(scope='session')
def train_on_cpu(run, demo_config, tmp_path_factory):
    """Function: options -> work directory of a training of the demo config on the CPU."""

    def train(options):
        work = tmp_path_factory.mktemp('training')
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr('mmengine.device.utils.DEVICE', 'cpu')
            run('train', demo_config, '--work-dir', work, options=options)
        return work

    return train


@pytest.fixture(scope='session')
def make_world(run, tmp_path_factory):
    """Function: layout -> root of a demo data set with 4 training and 2 validation scenes."""
    made = {}

    def make(layout):
        if layout not in made:
            from nclr_plugin.demo.layouts import LAYOUTS
            if layout not in LAYOUTS:
                pytest.skip(f'the demo world has no layout {layout}')
            made[layout] = tmp_path_factory.mktemp('world') / layout
            run('create_demo_data', made[layout], '--layout', layout, '--scenes', 4,
                '--val-scenes', 2, '--towns', 1, '--beams', 32, '--azimuths', 512,
                '--image-size', 208, 64, tiny=False)
        return made[layout]

    return make


@pytest.fixture(scope='session')
def in_process():
    """Options for loading without workers."""
    return IN_PROCESS


@pytest.fixture(scope='session')
def quick_pictures():
    """Option for all pictures but those of t-SNE, seconds each; test_pretraining draws them."""
    from nclr_plugin.visualization import PICTURES
    kinds = [kind for kind in (*PICTURES, 'recall_curves') if kind != 'feature_plot']
    return {'default_hooks.pictures.kinds': f"[{','.join(kinds)}]"}


@pytest.fixture(scope='session')
def demo_config():
    return ROOT / 'configs' / 'nclr' / 'nclr_minkunet_demo.py'


@pytest.fixture(scope='session')
def demo(make_world):
    """Options that point the demo config at a small world."""
    root = make_world('semantickitti')
    options = {**IN_PROCESS, 'train_dataloader.batch_size': 2,
               'train_dataloader.dataset.reader.sequences': '[00]'}
    for part in ('train', 'val', 'test'):
        options[f'{part}_dataloader.dataset.data_root'] = root
    return options


@pytest.fixture
def on_cpu(monkeypatch):
    """Run on the CPU, where the same numbers come out every time."""
    monkeypatch.setattr('mmengine.device.utils.DEVICE', 'cpu')


@pytest.fixture(scope='session')
def curves():
    """Function: work directory -> {iteration: {name: value}}, later runs over earlier ones."""

    def read(work_dir):
        values = {}
        for path in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
            for line in path.read_text().splitlines():
                scalars = json.loads(line)
                if 'loss' in scalars:
                    values[scalars['step']] = {
                        name: value for name, value in scalars.items() if 'loss' in name}
        return values

    return read


@pytest.fixture(scope='session')
def log():
    """Function: work directory -> text of its newest log."""
    return lambda work_dir: max(Path(work_dir).glob('*/*.log')).read_text()


@pytest.fixture(scope='session')
def shapes():
    """Function: config of a backbone -> shapes of its state dict."""

    def of(backbone):
        import torch
        from mmengine.registry import MODELS
        config = {key: value for key, value in backbone.items() if key != 'init_cfg'}
        with torch.device('meta'):
            return {name: tensor.shape
                    for name, tensor in MODELS.build(config).state_dict().items()}

    return of
