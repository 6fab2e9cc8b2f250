"""The rows of the paper's ablations differ by one switch each."""
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from nclr_plugin.engine.finetuning import fraction_options
from nclr_plugin.experiments.runs import differences, flatten, title_of

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / 'configs' / 'nclr' / 'ablation'
PATHS = sorted(FOLDER.glob('*.py'))


def load(name):
    path = FOLDER / f'{name}.py'
    return flatten(Config.fromfile(str(path), import_custom_modules=False).to_dict())


HEAD = 'model.matching_head.'
NEIGHBOURS = [
    ('table6_1_baseline', 'table6_2_alignment', {HEAD + 'alignment'}),
    ('table6_2_alignment', 'table6_3_overlap', {'model.overlap_head'}),
    ('table6_3_overlap', 'table6_4_full', {'model.loss_weights.pose'}),
    ('table8_cosine_hard', 'table8_cosine_soft', {HEAD + 'match'}),
    ('table8_learned_hard', 'table8_learned_soft', {HEAD + 'match'}),
    ('table8_cosine_hard', 'table8_learned_hard', {HEAD + 'alignment'}),
    ('table8_cosine_soft', 'table8_learned_soft', {HEAD + 'alignment'}),
]
NEIGHBOURS += [(f'nuscenes_{first}', f'nuscenes_{second}', switch)
               for first, second, switch in NEIGHBOURS if first.startswith('table6')]


@pytest.mark.parametrize('first, second, switch', NEIGHBOURS)
def test_neighbours_differ_by_one_switch(first, second, switch):
    found = differences(load(first), load(second))
    # A head that is there has keys below it, one that is not is a null.
    assert found and {key if key in switch else key.rpartition('.')[0] for key in found} == switch


@pytest.mark.parametrize('name', ['table6_4_full', 'table8_learned_soft'])
def test_last_row_is_the_demo_model(name):
    demo = Config.fromfile(str(ROOT / 'configs' / 'nclr' / 'nclr_minkunet_demo.py'),
                           import_custom_modules=False)
    assert load(name) == flatten(demo.to_dict())


def test_switches_of_the_first_row():
    row = load('table6_1_baseline')
    assert row[HEAD + 'alignment'] == 'false' and row['model.overlap_head'] == 'null'
    assert float(row['model.loss_weights.pose']) == 0


def test_titles_are_different():
    assert len(PATHS) >= 8
    assert len({title_of(path) for path in PATHS}) == len(PATHS)
    assert all(title_of(path) != path.stem for path in PATHS)


@pytest.mark.parametrize('path', PATHS, ids=lambda path: path.stem)
def test_model_is_built_with_its_switches(path):
    pytest.importorskip('spconv.pytorch')
    pytest.importorskip('mmdet3d')
    config = Config.fromfile(str(path))
    init_default_scope(config.default_scope)
    model = MODELS.build(config.model)
    head = config.model.matching_head
    assert (model.matching_head.alignment_weight is None) == (not head.get('alignment', True))
    assert model.matching_head.match_mode == head.get('match', 'soft')
    assert (model.overlap_head is None) == (config.model.overlap_head is None)
    assert model.loss_weights['pose'] == config.model.loss_weights.pose


def test_table_6_on_nuscenes_pretrains_on_600_scenes_and_tunes_on_the_others():
    for path in FOLDER.glob('nuscenes_*.py'):
        config = Config.fromfile(str(path), import_custom_modules=False)
        files = [config[f'{part}_dataloader'].dataset.reader.info_file
                 for part in ('train', 'val', 'test')]
        assert files == ['nuscenes_infos_ablation_train.pkl', 'nuscenes_infos_ablation_val.pkl',
                         'nuscenes_infos_val.pkl']
    full = Config.fromfile(str(ROOT / 'configs' / 'nclr' / 'nclr_minkunet34_nuscenes_600.py'),
                           import_custom_modules=False)
    assert load('nuscenes_table6_4_full') == flatten(full.to_dict())


@pytest.mark.parametrize('fraction, infos', [(None, '_1'), (10, '_10'), (100, '')])
def test_its_fine_tuning_takes_100_epochs_whatever_the_fraction(fraction, infos):
    config = Config.fromfile(str(ROOT / 'configs' / 'semseg' / 'minkunet34_nuscenes_ablation.py'),
                             import_custom_modules=False)
    if fraction:
        config.merge_from_dict(fraction_options(config, fraction))
    assert config.train_cfg.max_epochs == 100
    assert [config[f'{part}_dataloader'].dataset.ann_file for part in ('train', 'val', 'test')] == [
        f'nuscenes_infos_ablation_train{infos}.pkl', *['nuscenes_infos_ablation_val.pkl'] * 2]
