"""Label fractions for detection on made-up infos."""
import json
import pickle

import pytest
from mmengine.config import Config

from nclr_plugin.datasets.kitti_infos import (Mmdet3DKitti, check_config, require_infos,
                                              split_kitti)
from nclr_plugin.errors import DataLayoutError

CLASSES = ('Pedestrian', 'Cyclist', 'Car')
FRAMES = list(range(3, 123, 3))  # 40 frames, whose ids are not their places in the list


def make_infos(frames):
    return [dict(
        sample_idx=frame,
        lidar_points=dict(lidar_path=f'{frame:06d}.bin'),
        images=dict(CAM2=dict(
            img_path=f'{frame:06d}.png', height=1, width=1, cam2img=[[1]], lidar2cam=[[1]])),
        instances=[dict(bbox_label=frame % 3)]) for frame in frames]


@pytest.fixture
def root(tmp_path):
    for folder in ('image_2', 'velodyne_reduced'):
        (tmp_path / 'training' / folder).mkdir(parents=True)
    for frame in FRAMES:
        (tmp_path / 'training' / 'image_2' / f'{frame:06d}.png').touch()
        (tmp_path / 'training' / 'velodyne_reduced' / f'{frame:06d}.bin').touch()
    dump(tmp_path / 'kitti_infos_train.pkl', dict(
        metainfo=dict(categories={'Car': 2}), data_list=make_infos(FRAMES)))
    dump(tmp_path / 'kitti_dbinfos_train.pkl', make_objects(
        'kitti_gt_database/{}_{}_0.bin', FRAMES.index))
    return tmp_path


def make_objects(path, number):
    return {name: [dict(path=path.format(frame, name), image_idx=number(frame), difficulty=0,
                        num_points_in_gt=50) for frame in FRAMES] for name in CLASSES}


def dump(path, content):
    path.write_bytes(pickle.dumps(content))


def load(path):
    return pickle.loads(path.read_bytes())


def frames_of(root, percent):
    return [info['sample_idx'] for info in load(root / f'kitti_infos_train_{percent}.pkl')[
        'data_list']]


def test_fractions_are_nested_in_order_and_the_same_each_time(root):
    assert split_kitti(str(root), (10, 20, 50)) == {10: 4, 20: 8, 50: 20}
    lists = [frames_of(root, percent) for percent in (10, 20, 50)]
    assert [len(frames) for frames in lists] == [4, 8, 20]
    assert set(lists[0]) < set(lists[1]) < set(lists[2]) < set(FRAMES)
    assert all(frames == sorted(frames) for frames in lists)
    assert load(root / 'kitti_infos_train_10.pkl')['metainfo'] == {'categories': {'Car': 2}}
    split_kitti(str(root), (10, 20, 50))
    assert lists == [frames_of(root, percent) for percent in (10, 20, 50)]
    split_kitti(str(root), (10, 20, 50), seed=1)
    assert frames_of(root, 50) != lists[2]


def test_no_object_of_another_frame_is_left_to_paste(root):
    split_kitti(str(root), (20, ))
    objects = load(root / 'kitti_dbinfos_train_20.pkl')
    assert set(objects) == set(CLASSES)
    for name in CLASSES:
        frames = [int(entry['path'].split('/')[1].split('_')[0]) for entry in objects[name]]
        assert frames == frames_of(root, 20)


def test_ignored_objects_get_their_category_in_all_infos(root):
    infos = make_infos(FRAMES)
    infos[0]['instances'].append(dict(bbox_label=-1))
    for name in ('train', 'val'):
        dump(root / f'kitti_infos_{name}.pkl', dict(
            metainfo=dict(categories={'Car': 2}), data_list=infos))
    train, val = (dict(data_root=str(root), ann_file=f'kitti_infos_{name}.pkl', pipeline=[],
                       data_prefix=dict(pts='training/velodyne_reduced'),
                       test_mode=name == 'val') for name in ('train', 'val'))
    check_config(train)  # only evaluation asks for it
    with pytest.raises(DataLayoutError, match='kitti_infos_val.pkl.*label -1.*split_detection'):
        check_config(val)
    split_kitti(str(root), (20, ))
    check_config(val)
    for name in ('train', 'val', 'train_20'):
        categories = load(root / f'kitti_infos_{name}.pkl')['metainfo']['categories']
        assert categories == {'Car': 2, 'DontCare': -1}


def test_objects_of_other_infos_are_refused(root):
    dump(root / 'kitti_infos_train.pkl', dict(
        metainfo=dict(categories={'Car': 2}), data_list=make_infos(FRAMES[:20])))
    with pytest.raises(DataLayoutError, match='20 infos as image_idx, found 20.*create_infos'):
        split_kitti(str(root), (20, ))


def test_a_split_can_be_handed_on(root, tmp_path, load_tool):
    split_kitti(str(root), (10, ), seed=5)
    first = frames_of(root, 10)
    kept = tmp_path / 'kept.json'
    kept.write_text((root / 'kitti_label_split.json').read_text())
    assert len(json.loads(kept.read_text())['fractions']['10']) == 4
    split_kitti(str(root), (10, ), seed=0)
    assert frames_of(root, 10) != first
    load_tool('split_detection_infos').main([str(root), '--fractions', '10', '--split', str(kept)])
    assert frames_of(root, 10) == first


def test_a_class_without_objects_is_told(root, capsys):
    objects = load(root / 'kitti_dbinfos_train.pkl')
    objects['Cyclist'] = [dict(entry, num_points_in_gt=3) for entry in objects['Cyclist']]
    dump(root / 'kitti_dbinfos_train.pkl', objects)
    split_kitti(str(root), (10, ))
    printed = capsys.readouterr().out
    assert 'no Cyclist' in printed and 'sample_groups.Cyclist=0' in printed
    assert 'no Car' not in printed


@pytest.mark.parametrize('key', ['cam2img', 'lidar2cam'])
def test_infos_without_calibration(root, key):
    infos = load(root / 'kitti_infos_train.pkl')
    del infos['data_list'][4]['images']['CAM2'][key]
    dump(root / 'kitti_infos_train.pkl', infos)
    with pytest.raises(DataLayoutError, match=f'{key} in 1 .000015'):
        split_kitti(str(root), (10, ))


def test_infos_without_images_of_the_camera(root):
    infos = make_infos([3])
    del infos[0]['images']
    with pytest.raises(DataLayoutError, match='images.CAM2 with cam2img'):
        Mmdet3DKitti(str(root), dict(metainfo={}, data_list=infos)).check()


def test_missing_scan_stops_and_missing_image_is_told(root, capsys):
    (root / 'training' / 'image_2' / '000006.png').unlink()
    split_kitti(str(root), (10, ))
    assert '000006.png' in capsys.readouterr().out
    (root / 'training' / 'velodyne_reduced' / '000009.bin').unlink()
    with pytest.raises(FileNotFoundError, match='000009.bin'):
        split_kitti(str(root), (10, ))


@pytest.mark.parametrize('lost, says', [
    (None, None), ('kitti_infos_train.pkl', 'tools/split_detection_infos.py'),
    ('kitti_dbinfos_train.pkl', 'tools/split_detection_infos.py'),
    ('training/velodyne_reduced/000009.bin', 'velodyne_reduced of every frame')])
def test_what_a_config_reads_is_checked(root, lost, says):
    dataset = dict(
        type='KittiDataset', data_root=f'{root}/', ann_file='kitti_infos_train.pkl',
        data_prefix=dict(pts='training/velodyne_reduced'),
        pipeline=[dict(type='ObjectSample', db_sampler=dict(
            info_path=str(root / 'kitti_dbinfos_train.pkl')))])
    if lost is None:
        check_config(dataset)
        return
    (root / lost).unlink()
    with pytest.raises(FileNotFoundError, match=lost.split('/')[-1]) as error:
        check_config(dataset)
    assert says in str(error.value)


def test_infos_of_the_other_framework_are_named(root):
    with pytest.raises(DataLayoutError, match="list is OpenPCDet's.*found a list"):
        Mmdet3DKitti(str(root), make_infos([3]))


def test_errors_of_the_command_are_one_line(root, tmp_path, load_tool):
    for words, expected in (([str(tmp_path / 'nowhere')], 'nowhere'),
                            ([str(root), '--fractions', '1'], '1% of 40 frames selects none')):
        with pytest.raises(SystemExit) as error:
            load_tool('split_detection_infos').main(words)
        assert expected in str(error.value) and '\n' not in str(error.value)


@pytest.fixture
def openpcdet_root(tmp_path):
    root = tmp_path / 'openpcdet'
    for folder, suffix in (('image_2', 'png'), ('velodyne', 'bin'), ('calib', 'txt')):
        (root / 'training' / folder).mkdir(parents=True)
        for frame in FRAMES:
            (root / 'training' / folder / f'{frame:06d}.{suffix}').touch()
    (root / 'gt_database').mkdir()
    (root / 'ImageSets').mkdir()
    for name in ('val', 'trainval'):
        dump(root / f'kitti_infos_{name}.pkl', [])
    dump(root / 'kitti_infos_train.pkl', [dict(
        point_cloud=dict(num_features=4, lidar_idx=f'{frame:06d}'),
        image=dict(image_idx=f'{frame:06d}', image_shape=[1, 1]),
        calib=dict(P2=[[1]], R0_rect=[[1]], Tr_velo_to_cam=[[1]])) for frame in FRAMES])
    dump(root / 'kitti_dbinfos_train.pkl', make_objects('gt_database/{:06d}_{}_0.bin',
                                                        '{:06d}'.format))
    return root


def test_openpcdet_gets_a_data_path_for_each_fraction(openpcdet_root):
    assert split_kitti(str(openpcdet_root), (10, 50)) == {10: 4, 50: 20}
    chosen = {}
    for percent in (10, 50):
        folder = openpcdet_root / f'labels_{percent}'
        infos, objects = (load(folder / f'kitti_{name}_train.pkl') for name in ('infos', 'dbinfos'))
        chosen[percent] = [info['point_cloud']['lidar_idx'] for info in infos]
        assert [entry['image_idx'] for entry in objects['Cyclist']] == chosen[percent]
        assert set(objects) == set(CLASSES)
        # All else that OpenPCDet opens below its data path is there, and labels of all frames not.
        assert (folder / 'training' / 'velodyne' / '000003.bin').is_file()
        assert (folder / 'gt_database').is_dir() and (folder / 'ImageSets').is_dir()
        assert load(folder / 'kitti_infos_val.pkl') == []
        assert not (folder / 'kitti_infos_trainval.pkl').exists()
    assert set(chosen[10]) < set(chosen[50]) and chosen[10] == sorted(chosen[10])
    assert len(load(openpcdet_root / 'kitti_infos_train.pkl')) == 40  # the original ones stay
    split_kitti(str(openpcdet_root), (10, 50))  # again, over what is there


def test_both_frameworks_train_on_the_same_frames(root, openpcdet_root):
    for folder in (root, openpcdet_root):
        split_kitti(str(folder), (20, ), seed=3)
    theirs = load(openpcdet_root / 'labels_20' / 'kitti_infos_train.pkl')
    assert [int(info['image']['image_idx']) for info in theirs] == frames_of(root, 20)


@pytest.mark.parametrize('key', ['P2', 'Tr_velo_to_cam'])
def test_openpcdet_infos_without_calibration(openpcdet_root, key):
    infos = load(openpcdet_root / 'kitti_infos_train.pkl')
    del infos[1]['calib'][key]
    dump(openpcdet_root / 'kitti_infos_train.pkl', infos)
    with pytest.raises(DataLayoutError, match=f'{key} in 1 .000006.*create_kitti_infos'):
        split_kitti(str(openpcdet_root), (10, ))


def test_openpcdet_infos_without_files(openpcdet_root, capsys):
    training = openpcdet_root / 'training'
    (training / 'image_2' / '000006.png').unlink()
    split_kitti(str(openpcdet_root), (10, ))
    assert '000006.png' in capsys.readouterr().out
    (training / 'calib' / '000009.txt').unlink()
    with pytest.raises(FileNotFoundError, match='calib of every frame.*000009.txt'):
        split_kitti(str(openpcdet_root), (10, ))


def test_openpcdet_class_without_objects_is_told(openpcdet_root, capsys):
    objects = load(openpcdet_root / 'kitti_dbinfos_train.pkl')
    objects['Cyclist'] = [dict(entry, difficulty=-1) for entry in objects['Cyclist']]
    objects['Car'] = [dict(entry, num_points_in_gt=5) for entry in objects['Car']]
    dump(openpcdet_root / 'kitti_dbinfos_train.pkl', objects)
    split_kitti(str(openpcdet_root), (10, ))
    printed = capsys.readouterr().out
    assert 'no Cyclist' in printed and 'gt_sampling' in printed
    assert 'no Car' not in printed


def test_infos_of_neither_framework(root):
    dump(root / 'kitti_infos_train.pkl', dict(infos=[]))
    with pytest.raises(DataLayoutError, match="data_list.*OpenPCDet.*found a dict"):
        split_kitti(str(root), (10, ))


@pytest.mark.parametrize('wrapped', [False, True])
def test_missing_infos_name_their_tool(tmp_path, wrapped):
    dataset = dict(type='NuScenesSegDataset', data_root=str(tmp_path), ann_file='infos_1.pkl')
    if wrapped:
        dataset = dict(type='RepeatDataset', times=2, dataset=dataset)
    config = Config(dict(train_dataloader=dict(dataset=dataset)))
    with pytest.raises(FileNotFoundError,
                       match='infos_1.pkl: .* of train_dataloader.*create_infos'):
        require_infos(config, 'train_dataloader')
    require_infos(config, 'val_dataloader')


def test_missing_infos_of_the_second_of_several_data_sets(tmp_path):
    (tmp_path / 'present.pkl').touch()
    datasets = [dict(type='NuScenesSegDataset', data_root=str(tmp_path), ann_file=f'{name}.pkl')
                for name in ('present', 'absent')]
    repeated = dict(type='RepeatDataset', times=2,
                    dataset=dict(type='ConcatDataset', datasets=datasets))
    with pytest.raises(FileNotFoundError, match='absent.pkl'):
        require_infos(Config(dict(train_dataloader=dict(dataset=repeated))),
                      'train_dataloader')


def test_infos_elsewhere_than_on_disk_are_left_to_mmdet3d():
    def require(data_root):
        return require_infos(Config(dict(train_dataloader=dict(dataset=dict(
            type='KittiDataset', data_root=data_root, ann_file='infos.pkl')))), 'train_dataloader')

    assert require('s3://kitti/') is None
    with pytest.raises(FileNotFoundError, match='infos.pkl'):
        require('kitti/')
