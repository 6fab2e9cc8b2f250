"""What mmdet3d's own ways to use a network do with the configs here: on a CPU, without a Runner."""
import runpy
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, DefaultScope

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
SEMSEG = CONFIGS / 'semseg' / 'minkunet_demo.py'
COARSE = {'model.data_preprocessor.voxel_layer.voxel_size': '[2.,2.,2.]'}
IN_PROCESS = {f'{part}_dataloader.{option}': value for part in ('train', 'val', 'test')
              for option, value in (('num_workers', 0), ('persistent_workers', False))}


@pytest.fixture(scope='module')
def root(make_world):
    """A demo world with infos."""
    from nclr_plugin.datasets.segmentation.infos import SPLITS, list_infos, write_infos
    world = make_world('semantickitti')
    for part in ('train', 'val'):
        infos = list_infos(str(world), getattr(SPLITS['semantickitti'], part))
        write_infos(str(world / f'semantickitti_infos_{part}.pkl'), infos,
                    dict(dataset='semantickitti'))
    return world


@pytest.fixture(autouse=True)
def on_demo_world(root, monkeypatch):
    monkeypatch.setenv('NCLR_DEMO_ROOT', str(root))
    monkeypatch.setattr('mmengine.device.utils.DEVICE', 'cpu')


@pytest.fixture
def checkpoint(tmp_path):
    """A segmentor's weights, as mmengine keeps them."""
    config = Config.fromfile(str(SEMSEG))
    with DefaultScope.overwrite_default_scope('mmdet3d'):
        model = MODELS.build(config.model)
    path = tmp_path / 'segmentor.pth'
    classes = ('a', ) * 19
    torch.save(dict(meta=dict(dataset_meta=dict(classes=classes)), state_dict=model.state_dict()),
               path)
    return str(path)


def test_augmented_test_with_pictures(run, tmp_path):
    """The scans are turned and flipped, the pictures are not."""
    pictures = tmp_path / 'my pictures, [1]'
    run('test', SEMSEG, 'none', '--tta', '--work-dir', tmp_path / 'work', '--show-dir', pictures,
        tiny=False, options={**COARSE, **IN_PROCESS, 'test_dataloader.batch_size': 1,
                             'default_hooks.pictures.max_frames': 1})
    assert [path.name for path in (pictures / 'birds_eye').iterdir()] == ['08_000000.png']
    assert [path.name for path in (pictures / 'camera').iterdir()] == ['08_000000_image_2.png']


def test_augmented_test_by_mmdet3ds_script(tmp_path, checkpoint, monkeypatch, run):
    import mmdet3d
    script = Path(mmdet3d.__file__).parent / '.mim' / 'tools' / 'test.py'
    words = run.words('test', SEMSEG, checkpoint, '--tta', '--work-dir', tmp_path / 'work',
                      tiny=False, options={**COARSE, **IN_PROCESS,
                                           'test_dataloader.batch_size': 1})
    monkeypatch.setattr(sys, 'argv', words)
    runpy.run_path(str(script), run_name='__main__')
    assert list((tmp_path / 'work').glob('*/*.json'))


@pytest.fixture
def script(monkeypatch):
    """Function: name below mmdet3d's tools, words -> run it in this process."""
    import mmdet3d
    tools = Path(mmdet3d.__file__).parent / '.mim' / 'tools'

    def run_script(name, *words):
        monkeypatch.setattr(sys, 'argv', [name, *map(str, words)])
        runpy.run_path(str(tools / name), run_name='__main__')

    return run_script


@pytest.mark.parametrize('config', ['nclr/nclr_minkunet_demo.py', 'semseg/minkunet_demo.py'])
def test_print_config(script, capsys, config):
    script('misc/print_config.py', CONFIGS / config, '--options', 'train_cfg.max_iters=7')
    text = capsys.readouterr().out.partition('\n')[2]  # after its own line
    printed = Config.fromstring(text, '.py')
    expected = Config.fromfile(str(CONFIGS / config))
    assert printed.train_cfg.max_iters == 7 and printed.model == expected.model


def test_a_published_checkpoint_is_tested(script, run, checkpoint, tmp_path):
    """By ``publish_model.py`` of mmdet3d, which leaves a ``mv`` running when it ends."""
    out = tmp_path / 'published.pth'
    script('model_converters/publish_model.py', checkpoint, out)
    for _ in range(100):
        if not out.exists():
            break
        time.sleep(0.1)
    published, = tmp_path.glob('published-*.pth')
    run('test', SEMSEG, published, '--work-dir', tmp_path / 'work', tiny=False,
        options={**COARSE, **IN_PROCESS})
    assert list((tmp_path / 'work').glob('*/*.json'))


def test_pictures_of_a_segmentor_have_the_colours_of_the_truth(run, tmp_path, root):
    run('test', SEMSEG, 'none', '--work-dir', tmp_path / 'work', '--show-dir',
        tmp_path / 'pictures', tiny=False, options={**COARSE, **IN_PROCESS})
    assert len(list((tmp_path / 'pictures' / 'birds_eye').iterdir())) == 2
    picture = cv2.imread(str(tmp_path / 'pictures' / 'birds_eye' / '08_000000.png'))[..., ::-1]
    config = Config.fromfile(str(SEMSEG))
    with DefaultScope.overwrite_default_scope('mmdet3d'):
        dataset = DATASETS.build(config.val_dataloader.dataset)
    road = dataset.metainfo['palette'][dataset.metainfo['classes'].index('road')]
    true = picture[:590, picture.shape[1] // 2:]
    assert (true == road).all(axis=-1).mean() > 0.01


@pytest.mark.parametrize('wrap', [
    "dict(type='RepeatDataset', times=2, dataset=inner)",
    "dict(type='ConcatDataset', datasets=[inner, dict(inner)])",
    "dict(type='RepeatDataset', times=2, dataset=inner)",
], ids=['repeat', 'concat', 'test too'])
def test_fine_tuning_on_wrapped_data_sets(run, log, tmp_path, wrap, request):
    path = tmp_path / 'wrapped.py'
    test_too = 'test too' in request.node.name
    path.write_text(f"""_base_ = {str(SEMSEG)!r}
inner = _base_.train_dataloader.dataset
train_dataloader = dict(dataset=dict(_delete_=True, **{wrap}))
""" + f"""inner = _base_.val_dataloader.dataset
val_dataloader = dict(dataset=dict(_delete_=True, **{wrap}))
""" * test_too + "del inner\n")
    run('train', path, '--work-dir', tmp_path / 'work', tiny=False, options={
        **COARSE, **IN_PROCESS, 'train_cfg.max_iters': 1, 'train_cfg.val_interval': 1,
        'train_cfg.val_begin': 1 if test_too else 9, 'visualizer.name': str(tmp_path)})
    assert (tmp_path / 'work' / 'iter_1.pth').is_file()
    assert log(tmp_path / 'work').count('Labels of ') == (3 if 'Concat' in wrap else 2)


def test_pretraining_on_wrapped_data_sets_is_refused(run, demo, demo_config, tmp_path):
    path = tmp_path / 'wrapped.py'
    path.write_text(f"""_base_ = {str(demo_config)!r}
inner = _base_.train_dataloader.dataset
inner['reader']['sequences'] = ['00']
train_dataloader = dict(dataset=dict(_delete_=True, type='ConcatDataset',
                                     datasets=[inner, dict(inner)]))
del inner
""")
    options = {name: value for name, value in demo.items()
               if not name.startswith('train_dataloader.dataset')}
    line = run.fails('train', path, '--work-dir', tmp_path / 'work', options=options)
    assert 'found ConcatDataset around it' in line and "type='ConcatReader'" in line


def test_inference_without_a_runner(checkpoint, root):
    apis = pytest.importorskip('mmdet3d.apis')
    model = apis.init_model(str(SEMSEG), checkpoint, device='cpu')
    scan = sorted((root / 'sequences' / '08' / 'velodyne').glob('*.bin'))[0]
    result, _ = apis.inference_segmentor(model, str(scan))
    labels = result.pred_pts_seg.pts_semantic_mask.numpy()
    assert len(labels) == scan.stat().st_size // 16 and set(np.unique(labels)) <= set(range(19))


def test_inference_of_a_detector_without_a_runner(monkeypatch):
    apis = pytest.importorskip('mmdet3d.apis')
    config = str(CONFIGS / 'detection' / 'second_demo.py')
    model = apis.init_model(config, device='cpu')
    features = torch.rand(3, 4)
    coors = torch.tensor([[0, 1, 2, 3], [0, 5, 6, 7], [0, 8, 30, 40]], dtype=torch.int32)
    with torch.no_grad():
        assert model.middle_encoder(features, coors, 1).isfinite().all()
