"""Label fractions for detection on made-up infos."""
import json
import pickle

import pytest

from nclr_plugin.datasets.detection_infos import check_infos, main, select_objects, split_kitti
from nclr_plugin.datasets.errors import DataLayoutError

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
    objects = {name: [dict(path=f'kitti_gt_database/{frame}_{name}_0.bin', image_idx=frame,
                           difficulty=0, num_points_in_gt=50)
                      for frame in FRAMES] for name in CLASSES}
    dump(tmp_path / 'kitti_infos_train.pkl', dict(
        metainfo=dict(categories={'Car': 2}), data_list=make_infos(FRAMES)))
    dump(tmp_path / 'kitti_dbinfos_train.pkl', objects)
    return tmp_path


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


def test_objects_are_told_by_frame_not_by_place():
    objects = select_objects({'Car': [dict(image_idx=0), dict(image_idx=6)]}, make_infos([6]))
    assert objects == {'Car': [dict(image_idx=6)]}


def test_a_split_can_be_handed_on(root, tmp_path):
    split_kitti(str(root), (10, ), seed=5)
    first = frames_of(root, 10)
    kept = tmp_path / 'kept.json'
    kept.write_text((root / 'kitti_label_split.json').read_text())
    assert len(json.loads(kept.read_text())['fractions']['10']) == 4
    split_kitti(str(root), (10, ), seed=0)
    assert frames_of(root, 10) != first
    main([str(root), '--fractions', '10', '--split', str(kept)])
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
        check_infos(str(root), 'infos.pkl', infos)


def test_missing_scan_stops_and_missing_image_is_told(root, capsys):
    (root / 'training' / 'image_2' / '000006.png').unlink()
    split_kitti(str(root), (10, ))
    assert '000006.png' in capsys.readouterr().out
    (root / 'training' / 'velodyne_reduced' / '000009.bin').unlink()
    with pytest.raises(FileNotFoundError, match='000009.bin'):
        split_kitti(str(root), (10, ))


def test_errors_of_the_command_are_one_line(root, tmp_path):
    for words, expected in (([str(tmp_path / 'nowhere')], 'nowhere'),
                            ([str(root), '--fractions', '1'], '1% of 40 frames selects none')):
        with pytest.raises(SystemExit) as error:
            main(words)
        assert expected in str(error.value) and '\n' not in str(error.value)
