"""600 and 100 of nuScenes' 700 training scenes."""
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from nclr_plugin.datasets.segmentation import list_infos, read_infos, write_infos
from nclr_plugin.datasets.segmentation.infos import (ABLATION_VAL, create_infos,
                                                     create_nuscenes_ablation,
                                                     create_nuscenes_fractions, frame_id,
                                                     require_sequences)
from nclr_plugin.errors import DataLayoutError


@pytest.fixture
def partial(tmp_path, make_frame):
    """Of sequence 00, frame 2 has lost its labels and frame 3 its scan; 05 has frame 0."""
    for number in (4, 0, 2, 3):
        make_frame('00', number, [40] * 10)
    make_frame('05', 0, [40] * 10)
    (tmp_path / 'sequences/00/labels/000002.label').unlink()
    (tmp_path / 'sequences/00/velodyne/000003.bin').unlink()
    return tmp_path


def test_lists_the_frames_that_are_there(partial):
    infos = list_infos(str(partial), ('05', '00', '07'))
    assert [frame_id(info) for info in infos] == ['00/000000', '00/000004', '05/000000']
    assert infos[1] == dict(
        lidar_points=dict(lidar_path='sequences/00/velodyne/000004.bin', num_pts_feats=4),
        pts_semantic_mask_path='sequences/00/labels/000004.label', sample_idx='00/000004')


def test_unlabelled_frames_have_no_label_path(partial):
    infos = list_infos(str(partial), ('00', ), labelled=False)
    assert [frame_id(info)[-1] for info in infos] == ['0', '2', '4']
    assert not any('pts_semantic_mask_path' in info for info in infos)


def test_hidden_files_are_no_frames(partial):
    for name in ('velodyne/._000000.bin', 'labels/._000000.label'):
        (partial / 'sequences/05' / name).touch()
    assert [frame_id(info) for info in list_infos(str(partial), ('05', ))] == ['05/000000']


def test_mmdet3d_reads_them(partial):
    pytest.importorskip('mmdet3d')
    from mmdet3d.datasets import SemanticKittiDataset
    write_infos(str(partial / 'infos.pkl'), list_infos(str(partial), ('00', )))
    dataset = SemanticKittiDataset(
        data_root=str(partial), ann_file='infos.pkl', pipeline=[],
        metainfo=dict(seg_label_mapping={40: 8}, max_label=259,
                      classes=SemanticKittiDataset.METAINFO['classes']))
    info = dataset.get_data_info(1)
    assert info['lidar_path'] == str(partial / 'sequences/00/velodyne/000004.bin')
    assert info['pts_semantic_mask_path'] == str(partial / 'sequences/00/labels/000004.label')


def test_another_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='sequences.*SemanticKITTI'):
        list_infos(str(tmp_path), ('00', ))


def test_sequences_asked_for_by_name_must_be_there(partial):
    infos = list_infos(str(partial), ('00', '92'))
    with pytest.raises(DataLayoutError, match=r'sequences 1 \(92\), found none.*\(00, 05\)'):
        require_sequences(str(partial), ('00', '92'), infos)


def test_no_frame_is_an_error(tmp_path):
    with pytest.raises(DataLayoutError, match='expected frames'):
        write_infos(str(tmp_path / 'infos.pkl'), [])


def test_old_info_files_are_refused(tmp_path):
    path = tmp_path / 'infos.pkl'
    path.write_bytes(pickle.dumps([dict(lidar_path='a')]))
    with pytest.raises(DataLayoutError, match="'data_list'.*found a list"):
        read_infos(str(path))
    with pytest.raises(FileNotFoundError, match='create_infos'):
        read_infos(str(tmp_path / 'absent.pkl'))


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


def test_fractions_are_read_below_another_root(semantickitti):
    """The data set is moved after its infos were written."""
    pytest.importorskip('mmdet3d')
    from mmdet3d.datasets import SemanticKittiDataset
    create_infos('semantickitti', str(semantickitti))
    moved = semantickitti.with_name('moved')
    semantickitti.rename(moved)
    dataset = SemanticKittiDataset(
        data_root=str(moved), ann_file='semantickitti_infos_train_10.pkl', pipeline=[],
        metainfo=dict(seg_label_mapping={40: 8}, max_label=259,
                      classes=SemanticKittiDataset.METAINFO['classes']))
    assert len(dataset) == 3
    for index in range(3):
        info = dataset.get_data_info(index)
        for key in ('lidar_path', 'pts_semantic_mask_path'):
            assert info[key].startswith(str(moved)) and Path(info[key]).is_file()


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


FRAMES = 2  # of a scene


@pytest.fixture
def nuscenes(tmp_path):
    """Function: names of the training scenes -> root with the tables and infos."""

    def make(training):
        (tmp_path / 'v1.0-trainval').mkdir()
        # The order of the table is not that of the names; validation scenes are in it, too.
        scenes = [dict(token=f't-{name}', name=name)
                  for name in sorted([*training, 'scene-9998', 'scene-9999'], reverse=True)]
        samples = [dict(token=f'{scene["name"]}/{k}', scene_token=scene['token'])
                   for scene in scenes for k in range(FRAMES)]
        for name, rows in (('scene', scenes), ('sample', samples)):
            (tmp_path / 'v1.0-trainval' / f'{name}.json').write_text(json.dumps(rows))
        infos = [dict(token=row['token']) for row in samples
                 if row['scene_token'][2:] in set(training)]
        (tmp_path / 'nuscenes_infos_train.pkl').write_bytes(
            pickle.dumps(dict(metainfo=dict(version='v1.0-trainval'), data_list=infos)))
        return tmp_path

    return make


def scenes_of(path):
    frames = [info['token'] for info in pickle.loads(path.read_bytes())['data_list']]
    scenes = list(dict.fromkeys(frame.split('/')[0] for frame in frames))
    assert len(frames) == FRAMES * len(scenes)
    return scenes


OTHERS = [f'scene-{number}' for number in range(2000, 2600)]


def test_every_frame_is_in_one_of_the_parts(nuscenes):
    root = nuscenes([*ABLATION_VAL, *OTHERS])
    create_nuscenes_ablation(str(root))
    train, val = (scenes_of(root / f'nuscenes_infos_ablation_{part}.pkl')
                  for part in ('train', 'val'))
    assert len(set(ABLATION_VAL)) == len(val) == 100 and set(val) == set(ABLATION_VAL)
    assert sorted(train) == OTHERS
    # Published loaders count the scenes of the 600 alone, in the order of the table.
    assert scenes_of(root / 'nuscenes_infos_ablation_train_1.pkl') == train[99::100]


def test_the_command_writes_other_fractions(nuscenes, load_tool, capsys):
    root = nuscenes([*ABLATION_VAL, *OTHERS])
    load_tool('create_infos').main(['nuscenes', str(root), '--ablation', '--fractions', '10'])
    assert len(scenes_of(root / 'nuscenes_infos_ablation_train_10.pkl')) == 60
    assert '120 frames of 60 scenes' in capsys.readouterr().out
    assert not (root / 'nuscenes_infos_ablation_train_1.pkl').exists()


@pytest.mark.parametrize('words', [['semantickitti', 'ROOT', '--ablation'],
                                   ['nuscenes', 'ROOT', '--ablation', '--split', 'x.json']])
def test_the_command_refuses_what_the_division_is_not_for(load_tool, words, capsys):
    with pytest.raises(SystemExit):
        load_tool('create_infos').main(words)
    assert 'division of nuscenes' in capsys.readouterr().err


def test_a_part_of_nuscenes_has_no_such_division(nuscenes):
    with pytest.raises(DataLayoutError, match='100 scenes .* 97 of them are absent: .*'):
        create_nuscenes_ablation(str(nuscenes([*ABLATION_VAL[:3], *OTHERS[:5]])))
