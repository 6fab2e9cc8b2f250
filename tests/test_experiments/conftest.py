"""Made-up runs: a config of a few keys, and records as finished evaluations leave them."""
import json
from types import SimpleNamespace

import pytest
import torch

from nclr_plugin.experiments import execution, runs
from nclr_plugin.experiments.ablation import plan_runs

CONFIG = '''"""{title}

More about it.
"""
model = dict(matching_head=dict(alignment={alignment}), width=4)
train_dataloader = dict(batch_size=3, dataset=dict(type='CalibrationDataset'))
test_dataloader = dict(dataset=dict(type='CalibrationDataset'))
randomness = dict(seed=0)
'''

FINE_TUNING = '''
model = dict(width=4, init_cfg=dict(type='NCLRPretrained', checkpoint=None))
train_dataloader = dict(batch_size=3, dataset=dict(
    data_root='{{$NCLR_DEMO_ROOT:data/demo}}', ann_file='infos_train.pkl'))
'''


@pytest.fixture
def fine_tuning(tmp_path):
    """Write a config that takes label fractions and weights."""
    path = tmp_path / 'tuning.py'
    path.write_text(FINE_TUNING)
    return path


@pytest.fixture
def weights(tmp_path):
    """Write a checkpoint to start from."""
    path = tmp_path / 'pretrained weights.pth'
    path.write_bytes(b'weights')
    return path


@pytest.fixture
def configs(tmp_path):
    """Write the configs of two rows."""
    paths = []
    for name, title, alignment in (('first', 'The first row', True), ('second', 'Row 2', False)):
        paths.append(tmp_path / f'{name}.py')
        paths[-1].write_text(CONFIG.format(title=title, alignment=alignment))
    return paths


@pytest.fixture
def finish():
    """Return a function that writes the records of a finished run with given metrics."""

    def finish(run, test_set=runs.CONFIG_TEST_SET, **figures):
        run.folder.mkdir(parents=True, exist_ok=True)
        if not (run.folder / 'iter_5.pth').is_file():
            (run.folder / 'iter_5.pth').write_bytes(b'weights')
        (run.folder / 'last_checkpoint').write_text('/elsewhere/iter_5.pth')
        (run.folder / 'training.json').write_text(json.dumps(dict(
            settings=runs.training_settings(run), commit='abc', finished=True)))
        (run.folder / 'tests').mkdir(exist_ok=True)
        (run.folder / 'tests' / f'{test_set.name}.json').write_text(json.dumps(dict(
            settings=execution.test_settings(run, test_set), commits=['abc'], samples=15,
            metrics={name.replace('__', '/'): value for name, value in figures.items()})))

    return finish


@pytest.fixture
def tools(tmp_path):
    """Write stand-ins of train.py and test.py that leave the same files.

    Each call adds a line to ``calls``; a seed of 13 fails. The mIoU is half a percent of the
    fraction, + 0.2 when pretrained, + 0.01 times the seed.
    """
    folder = tmp_path / 'tools'
    folder.mkdir()
    torch.save(dict(meta=dict(iter=7)), str(tmp_path / 'weights.pth'))
    (folder / 'train.py').write_text(f'''
import pathlib, sys
work = pathlib.Path(sys.argv[sys.argv.index('--work-dir') + 1])
with open({str(tmp_path / 'calls')!r}, 'a') as calls:
    calls.write(' '.join(['train', *sys.argv[1:]]) + chr(10))
if 'randomness.seed=13' in sys.argv:
    sys.exit('RuntimeError: an unlucky number')
import shutil
shutil.copyfile({str(tmp_path / 'weights.pth')!r}, str(work / 'iter_7.pth'))
(work / 'last_checkpoint').write_text(str(work / 'iter_7.pth'))
words = sys.argv
fraction = float(words[words.index('--fraction') + 1]) if '--fraction' in words else 0
(work / 'miou').write_text(str(fraction / 200 + .2 * ('--checkpoint' in words)))
''')
    (folder / 'test.py').write_text(f'''
import json, pathlib, sys
work = pathlib.Path(sys.argv[sys.argv.index('--work-dir') + 1])
with open({str(tmp_path / 'calls')!r}, 'a') as calls:
    calls.write(' '.join(['test', *sys.argv[1:]]) + chr(10))
(work / '2026').mkdir(parents=True)
seed = next(int(word[16:]) for word in sys.argv if word.startswith('randomness.seed='))
trained = pathlib.Path(sys.argv[2]).parent / 'miou'
miou = float(trained.read_text()) if trained.is_file() else 0
(work / '2026' / '2026.json').write_text(json.dumps({{
    'miou': miou + .01 * seed, 'car': .5,
    'calibration/recall_10deg_5m': .5, 'calibration/mismatched_image_recall_10deg_5m': .25}}))
''')

    def calls():
        path = tmp_path / 'calls'
        return path.read_text().splitlines() if path.is_file() else []

    return SimpleNamespace(folder=folder, calls=calls)


@pytest.fixture
def make_run(configs, tmp_path):
    """Return a function that makes a run of the first config."""
    return lambda seed=0, config=0, **kwargs: plan_runs(
        [str(configs[config])], [seed], str(tmp_path / 'out'), **kwargs)[0]
