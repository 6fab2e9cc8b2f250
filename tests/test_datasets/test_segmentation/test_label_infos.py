import json
import pickle

import numpy as np
import pytest

from nclr_plugin.errors import DataLayoutError
from nclr_plugin.datasets.segmentation.label_infos import create_infos, create_nuscenes_fractions


def frames_of(path):
    infos = pickle.loads(path.read_bytes())
    return [info.get('sample_idx', info.get('token')) for info in infos['data_list']]


@pytest.fixture
def semantickitti(tmp_path, make_frame):
    """30 training frames, two for validation, one without labels for test."""
    for number in range(20):
        make_frame('00', number, [40])
    for number in range(10):
        make_frame('09', number, [40])
    for number in range(2):
        make_frame('08', number, [40])
    make_frame('11', 0, [40])[1].unlink()
    return tmp_path


def test_infos_and_fractions(semantickitti, capsys):
    create_infos('semantickitti', str(semantickitti))
    assert len(frames_of(semantickitti / 'semantickitti_infos_train.pkl')) == 30
    assert frames_of(semantickitti / 'semantickitti_infos_val.pkl') == ['08/000000', '08/000001']
    assert frames_of(semantickitti / 'semantickitti_infos_test.pkl') == ['11/000000']
    split = json.loads((semantickitti / 'semantickitti_label_split.json').read_text())
    assert split['fractions']['10'] == frames_of(semantickitti
                                                 / 'semantickitti_infos_train_10.pkl')
    assert [len(split['fractions'][name]) for name in ('10', '20', '50')] == [3, 6, 15]
    # 1% of 30 frames is none: said, and nothing is written.
    assert '1% of 30 frames selects none' in capsys.readouterr().out
    assert not (semantickitti / 'semantickitti_infos_train_1.pkl').exists()


def test_a_split_that_was_shared(semantickitti):
    create_infos('semantickitti', str(semantickitti), seed=5)
    there = frames_of(semantickitti / 'semantickitti_infos_train_20.pkl')
    shared = semantickitti / 'shared.json'
    (semantickitti / 'semantickitti_label_split.json').rename(shared)
    create_infos('semantickitti', str(semantickitti), [20], split_file=str(shared))
    assert frames_of(semantickitti / 'semantickitti_infos_train_20.pkl') == there
    create_infos('semantickitti', str(semantickitti), [20])
    assert frames_of(semantickitti / 'semantickitti_infos_train_20.pkl') != there, 'seed 0'


def test_percentile_list(semantickitti):
    path = semantickitti / 'percentiles_split.json'
    path.write_text(json.dumps({'0.01': {'09': {'points': ['sequences/09/velodyne/000004.bin']}}}))
    create_infos('semantickitti', str(semantickitti), split_file=str(path))
    assert frames_of(semantickitti / 'semantickitti_infos_train_1.pkl') == ['09/000004']


def test_semanticposs_validates_on_sequence_03(tmp_path, make_frame):
    for sequence in ('00', '01', '02', '03', '04', '05'):
        for number in range(4):
            make_frame(sequence, number, [7])
    create_infos('semanticposs', str(tmp_path), [10])
    assert {frame[:2] for frame in frames_of(tmp_path / 'semanticposs_infos_val.pkl')} == {'03'}
    assert frames_of(tmp_path / 'semanticposs_infos_train_10.pkl') == ['00/000000', '02/000002']


def test_nuscenes_by_scene(tmp_path):
    (tmp_path / 'v1.0-mini').mkdir()
    scenes = [dict(token=f's{k}', name=f'scene-{k:04d}') for k in (9, 4, 7, 2)]
    samples = [dict(token=f'{scene["token"]}-{k}', scene_token=scene['token'])
               for scene in scenes for k in range(3)]
    for name, rows in (('scene', scenes), ('sample', samples)):
        (tmp_path / 'v1.0-mini' / f'{name}.json').write_text(json.dumps(rows))
    # Scene 9 is not in the training split: it does not count.
    infos = [dict(token=row['token']) for row in samples if row['scene_token'] != 's9']
    (tmp_path / 'nuscenes_infos_train.pkl').write_bytes(
        pickle.dumps(dict(metainfo=dict(version='v1.0-mini'), data_list=infos)))
    create_nuscenes_fractions(str(tmp_path), [50])
    assert frames_of(tmp_path / 'nuscenes_infos_train_50.pkl') == ['s7-0', 's7-1', 's7-2']
    split = json.loads((tmp_path / 'nuscenes_label_split.json').read_text())
    assert split['fractions'] == {'50': ['scene-0007']}


def test_mistakes_are_named(semantickitti, make_frame):
    root = str(semantickitti)
    with pytest.raises(DataLayoutError, match='1% of 30 frames selects none'):
        create_infos('semantickitti', root, [1])
    with pytest.raises(FileNotFoundError, match='create_data.py'):
        create_nuscenes_fractions(root)
    scan, label = make_frame('00', 3, [40] * 5)
    np.full(4, 40, np.uint32).tofile(label)
    with pytest.raises(DataLayoutError, match='expected 5 labels.*found 4') as error:
        create_infos('semantickitti', root)
    assert str(label) in str(error.value)


def test_the_command(semantickitti, load_tool, capsys):
    main, root = load_tool('create_infos').main, str(semantickitti)
    main(['semantickitti', root, '--fractions', '20', '50', '--train', '00', '--val', '09'])
    assert len(frames_of(semantickitti / 'semantickitti_infos_train_20.pkl')) == 4
    assert len(frames_of(semantickitti / 'semantickitti_infos_val.pkl')) == 10
    assert 'semantickitti_infos_train_50.pkl: 10 frames, 50% of 20' in capsys.readouterr().out
    for words, expected in ((['semantickitti', root, '--fractions', '1'], 'selects none'),
                            (['nuscenes', root], 'create_data.py'),
                            (['semantickitti', root, '--train', '92'], 'sequences 1 (92)')):
        with pytest.raises(SystemExit) as error:
            main(words)
        assert expected in str(error.value) and '\n' not in str(error.value)
