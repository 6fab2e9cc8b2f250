import pickle

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.model import BaseModel
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from nclr_plugin.datasets import BrokenFrameError, CalibrationDataset, SeededInfiniteSampler
from nclr_plugin.datasets import calibration_dataset as dataset_module
from nclr_plugin.errors import DataLayoutError

PIPELINE = [
    dict(type='LoadPoints'),
    dict(type='LoadImages'),
    dict(type='CropPoints', point_cloud_range=[-51.2, -51.2, -3, 51.2, 51.2, 1]),
    dict(type='RandomRigidTransform'),
    dict(type='ResizeImages', size=(60, 24)),
    dict(type='RandomSceneFlip', prob=0.5),
    dict(type='ColorJitter'),
    dict(type='PackCalibrationInputs', min_visible_points=1),
]


def build(root, sequences=('00', '01'), **kwargs):
    return DATASETS.build(dict(
        type='CalibrationDataset', data_root=str(root), pipeline=PIPELINE,
        reader=dict(type='KittiOdometryReader', sequences=list(sequences)), **kwargs))


def same(a, b):
    """Whether two samples are equal to the bit."""
    first, second = a['data_samples'], b['data_samples']
    return (first.frame_id == second.frame_id
            and torch.equal(a['inputs']['points'], b['inputs']['points'])
            and torch.equal(a['inputs']['imgs'], b['inputs']['imgs'])
            and torch.equal(first.lidar2cam, second.lidar2cam)
            and torch.equal(first.cam2img, second.cam2img)
            and np.array_equal(first.rigid_transform, second.rigid_transform))


def test_a_sample_depends_on_seed_epoch_and_index_alone(kitti_odometry):
    dataset = build(kitti_odometry.root)
    assert len(dataset) == 6
    assert same(dataset[2], build(kitti_odometry.root)[2])
    assert not same(dataset[2], build(kitti_odometry.root, seed=1)[2])
    later = dataset[6 + 2]
    assert later['data_samples'].frame_id == dataset[2]['data_samples'].frame_id
    assert not same(dataset[2], later)
    assert same(later, dataset[6 + 2])


def test_workers_make_no_difference(kitti_odometry):
    dataset = build(kitti_odometry.root)
    order = [3, 8, 1, 0, 17, 5, 2, 4]
    direct = [dataset[index] for index in order]
    loader = DataLoader(dataset, batch_size=2, sampler=order, num_workers=2,
                        collate_fn=pseudo_collate)
    batches = list(loader)
    assert len(batches) == 4
    for number, sample in enumerate(direct):
        batch, place = batches[number // 2], number % 2
        assert same(sample, dict(
            inputs={key: value[place] for key, value in batch['inputs'].items()},
            data_samples=batch['data_samples'][place]))


def test_the_sampler_feeds_it_pass_after_pass(kitti_odometry):
    dataset = build(kitti_odometry.root)
    loader = DataLoader(dataset, batch_size=3, sampler=SeededInfiniteSampler(dataset),
                        collate_fn=pseudo_collate)
    batches = [batch for batch, _ in zip(loader, range(4))]
    frames = [sample.frame_id for batch in batches for sample in batch['data_samples']]
    assert len(set(frames[:6])) == 6 and sorted(frames[:6]) == sorted(frames[6:])
    transforms = [sample.rigid_transform.tobytes() for batch in batches
                  for sample in batch['data_samples']]
    assert len(set(transforms)) == len(transforms) == 12


def test_pickle_subset_and_iteration(kitti_odometry):
    dataset = build(kitti_odometry.root)
    assert same(pickle.loads(pickle.dumps(dataset))[3], dataset[3])
    assert [sample['data_samples'].frame_id for sample in dataset.get_subset([4, 0])] == [
        '01/000000', '00/000000']
    assert len(build(kitti_odometry.root, indices=3)) == 3
    with pytest.raises(IndexError, match='found -1'):
        dataset[-1]


def test_ground_truth_follows_the_whole_pipeline(kitti_odometry):
    """The points of a sample project where the raw ones do, whatever was done to them."""
    dataset = build(kitti_odometry.root)
    raw = np.fromfile(kitti_odometry.root / 'sequences/00/velodyne/000001.bin', np.float32)
    raw = raw.reshape(-1, 4)[:, :3].astype(float)
    raw_pose = np.column_stack([kitti_odometry.axes, kitti_odometry.lever + kitti_odometry.shift])
    pixels = (kitti_odometry.cam2img @ raw_pose @ np.column_stack([raw, np.ones(len(raw))]).T)
    pixels = (pixels[:2] / pixels[2]).T
    expected = (pixels + 0.5) * [60 / 120, 24 / 48] - 0.5
    flips = set()
    for epoch in range(6):
        sample = dataset[6 * epoch + 1]
        pose = sample['data_samples'].lidar2cam[0].numpy()
        found, _ = cv2.projectPoints(
            sample['inputs']['points'][:, :3].double().numpy(), cv2.Rodrigues(pose[:3, :3])[0],
            pose[:3, 3], sample['data_samples'].cam2img[0].numpy(), None)
        found = found[:, 0]
        flipped = np.abs(found - expected).max() > 0.01
        flips.add(flipped)
        if flipped:
            found[:, 0] = 60 - 1 - found[:, 0]
        np.testing.assert_allclose(found, expected, atol=1e-3)
    assert flips == {True, False}


def test_a_broken_frame_is_named(kitti_odometry):
    path = kitti_odometry.root / 'sequences/00/velodyne/000001.bin'
    path.write_bytes(path.read_bytes()[:-3])
    dataset = build(kitti_odometry.root)
    with pytest.raises(BrokenFrameError, match=r"frame 00/000001: scan '.*000001.bin'"):
        dataset[1]


def test_a_broken_frame_is_named_through_a_worker(kitti_odometry):
    (kitti_odometry.root / 'sequences/00/image_2/000001.png').write_bytes(b'x')
    loader = DataLoader(build(kitti_odometry.root), num_workers=1, collate_fn=pseudo_collate)
    with pytest.raises(BrokenFrameError, match=r"frame 00/000001: image '.*000001.png'"):
        list(loader)


def test_skipping_takes_the_next_frame_and_says_so(kitti_odometry):
    root = kitti_odometry.root
    (root / 'sequences/00/velodyne/000001.bin').write_bytes(b'')
    (root / 'sequences/00/image_2/000002.png').write_bytes(b'')
    dataset = build(root, skip_broken=True)
    sample = dataset[1]['data_samples']
    assert sample.frame_id == '00/000003'
    assert [frame_id for frame_id, _ in sample.skipped_frames] == ['00/000001', '00/000002']
    assert 'expected points, found none' in sample.skipped_frames[0][1]
    assert dataset[0]['data_samples'].skipped_frames == []
    assert same(dataset[1], dataset[1])
    # The stand-in is not the same sample as the frame's own.
    assert not same(dataset[1], dataset[3])


def test_skipping_goes_round_at_the_end(kitti_odometry):
    (kitti_odometry.root / 'sequences/01/velodyne/000001.bin').unlink()
    sample = build(kitti_odometry.root, skip_broken=True)[5 + 6]['data_samples']
    assert sample.frame_id == '00/000000' and sample.skipped_frames[0][0] == '01/000001'


def test_frames_that_miss_a_file_are_skipped_too(kitti_odometry):
    (kitti_odometry.root / 'sequences/00/image_2/000001.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'misses 1 \(000001\)'):
        build(kitti_odometry.root)
    dataset = build(kitti_odometry.root, skip_broken=True)
    (frame_id, reason), = dataset[1]['data_samples'].skipped_frames
    assert frame_id == '00/000001' and "000001.png': expected a file, found none" in reason


def test_skipping_gives_up(kitti_odometry):
    for path in kitti_odometry.root.glob('sequences/00/velodyne/*.bin'):
        path.write_bytes(b'123')
    with pytest.raises(BrokenFrameError, match=r'3 frames in a row are broken.*max_skipped is 2.*'
                                               '00/000000: .*00/000002: '):
        build(kitti_odometry.root, skip_broken=True, max_skipped=2)[0]
    assert build(kitti_odometry.root, skip_broken=True, max_skipped=4)[0]['data_samples'].frame_id \
        == '01/000000'
    # With every frame broken it ends, however many may be skipped.
    with pytest.raises(BrokenFrameError, match='4 frames in a row are broken, of 4'):
        build(kitti_odometry.root, ['00'], skip_broken=True, max_skipped=100)[0]


def test_building_fails_before_any_frame_is_loaded(kitti_odometry, tmp_path):
    with pytest.raises(FileNotFoundError, match='does not exist'):
        build(tmp_path / 'gone')
    (kitti_odometry.root / 'sequences/01/calib.txt').write_text('P2: 1\n')
    with pytest.raises(ValueError, match='sequences/01/calib.txt'):
        build(kitti_odometry.root, skip_broken=True)


def test_a_data_set_without_frames_is_refused(kitti_odometry):
    with pytest.raises(ValueError, match='KittiOdometryReader found none'):
        build(kitti_odometry.root, sequences=[])


def test_a_reader_object_will_do():
    class Reader:
        def read(self, data_root, keep_unpaired):
            return [dict(frame_id=f'{data_root}/{keep_unpaired}')]

    dataset = CalibrationDataset('here', Reader(), pipeline=[lambda results: results])
    assert dataset[0]['frame_id'] == 'here/False'


@pytest.mark.parametrize('folder, reader, frames, views', [
    ('kitti_odometry', dict(type='KittiOdometryReader', sequences=['90']), 20, 1),
    ('kitti_object', dict(type='KittiObjectReader'), 20, 1),
    ('nuscenes_frame', dict(type='NuScenesReader', info_file='info_v2.pkl'), 1, 6),
])
def test_real_frames(shared_data, folder, reader, frames, views):
    dataset = CalibrationDataset(str(shared_data / folder), reader, PIPELINE)
    assert len(dataset) == frames
    sample = dataset[frames - 1]
    points, imgs = sample['inputs']['points'], sample['inputs']['imgs']
    assert imgs.shape == (views, 3, 24, 60) and imgs.float().std() > 10
    assert points.shape[1] == 4 and len(points) > 20000
    assert 0 <= points[:, 3].min() and 0.1 < points[:, 3].max() <= 1
    data = sample['data_samples']
    # Every camera sees a share of the scan, wherever the scan was placed.
    homogeneous = torch.cat([points[:, :3].double(), torch.ones(len(points), 1)], dim=1)
    camera = (data.lidar2cam @ homogeneous.T)[:, :3]
    pixels = data.cam2img @ camera
    u, v = pixels[:, 0] / pixels[:, 2], pixels[:, 1] / pixels[:, 2]
    seen = (camera[:, 2] > 1) & (u > 0) & (u < 59) & (v > 0) & (v < 23)
    assert (seen.sum(dim=1) > 800).all()


# The mismatched-image control

def control(root, **kwargs):
    return build(root, test_mode=True, mismatched_image_control=True, **kwargs)


def test_control_is_the_same_sample_with_the_image_of_a_far_frame(kitti_odometry):
    dataset, plain = control(kitti_odometry.root), build(kitti_odometry.root, test_mode=True)
    assert len(dataset) == 12 and len(plain) == 6
    shown = []
    for index in range(6):
        own, wrong = dataset[index], dataset[6 + index]
        assert same(own, plain[index])
        assert not own['data_samples'].mismatched_image and wrong['data_samples'].mismatched_image
        for name in ('frame_id', 'lidar_path', 'view_names'):
            assert getattr(own['data_samples'], name) == getattr(wrong['data_samples'], name)
        assert torch.equal(own['inputs']['points'], wrong['inputs']['points'])
        assert torch.equal(own['data_samples'].lidar2cam, wrong['data_samples'].lidar2cam)
        assert torch.equal(own['data_samples'].cam2img, wrong['data_samples'].cam2img)
        assert np.array_equal(own['data_samples'].rigid_transform,
                              wrong['data_samples'].rigid_transform)
        shown.append(wrong['data_samples'].img_paths[0])
    paths = [plain[index]['data_samples'].img_paths[0] for index in range(6)]
    assert sorted(shown) == sorted(paths)
    assert all(abs(paths.index(path) - index) == 3 for index, path in enumerate(shown))


def test_picture_of_the_control_is_that_of_the_frame_it_names(kitti_odometry):
    pipeline = [step for step in PIPELINE if step['type'] in (
        'LoadPoints', 'LoadImages', 'PackCalibrationInputs')]
    dataset = CalibrationDataset(
        str(kitti_odometry.root), dict(type='KittiOdometryReader', sequences=['00', '01']),
        pipeline, test_mode=True, mismatched_image_control=True)
    pictures = {}
    for index in range(12):
        sample = dataset[index]
        path, = sample['data_samples'].img_paths
        assert torch.equal(pictures.setdefault(path, sample['inputs']['imgs']),
                           sample['inputs']['imgs'])
        np.testing.assert_array_equal(
            sample['inputs']['imgs'][0].permute(1, 2, 0), cv2.imread(path)[..., ::-1])
    assert len(pictures) == 6


def test_later_passes_and_iteration_of_the_control(kitti_odometry):
    dataset, plain = control(kitti_odometry.root), build(kitti_odometry.root)
    assert same(dataset[12 + 2], plain[6 + 2])
    assert np.array_equal(dataset[12 + 8]['data_samples'].rigid_transform,
                          plain[6 + 2]['data_samples'].rigid_transform)
    mismatched = [sample['data_samples'].mismatched_image for sample in dataset]
    assert mismatched == [False] * 6 + [True] * 6


@pytest.mark.parametrize('serialize', [True, False])
def test_control_of_subsets_copies_and_workers(kitti_odometry, serialize):
    dataset = control(kitti_odometry.root, serialize_data=serialize)
    assert same(pickle.loads(pickle.dumps(dataset))[8], dataset[8])
    subset = dataset.get_subset([0, 3])
    assert len(subset) == 4
    assert [sample['data_samples'].img_paths[0][-16:] for sample in subset] == [
        f'image_2/{frame:06d}.png'[-16:] for frame in (0, 3, 3, 0)]
    assert len(control(kitti_odometry.root, indices=3)) == 6
    assert len(control(kitti_odometry.root, lazy_init=True)) == 12
    loader = DataLoader(dataset, num_workers=2, collate_fn=pseudo_collate)
    flags = [batch['data_samples'][0].mismatched_image for batch in loader]
    assert flags == [False] * 6 + [True] * 6


def test_a_subset_knows_nothing_of_earlier_copies(kitti_odometry, monkeypatch):
    """An object that happens to live where one of an earlier copy lived is not mistaken for it."""
    dataset = control(kitti_odometry.root)
    stale = {id(dataset.pipeline.transforms[0]): dataset}
    monkeypatch.setattr(BaseDataset._copy_without_annotation, '__defaults__', (stale, ))
    transforms = dataset.get_subset([0, 3]).pipeline.transforms
    assert [type(t) for t in transforms] == [type(t) for t in dataset.pipeline.transforms]


def test_control_of_an_odd_number_of_frames_has_no_own_image(kitti_odometry):
    for frames in (2, 3, 5):
        dataset = control(kitti_odometry.root, indices=frames)
        shown = [dataset[i]['data_samples'].img_paths for i in range(2 * frames)]
        pairs = list(zip(shown[:frames], shown[frames:]))
        assert all(own != wrong for own, wrong in pairs)
        assert sorted(own for own, _ in pairs) == sorted(wrong for _, wrong in pairs)


def test_stand_ins_stay_in_the_control(kitti_odometry):
    (kitti_odometry.root / 'sequences/01/velodyne/000001.bin').write_bytes(b'')
    dataset = control(kitti_odometry.root, skip_broken=True)
    own, wrong = dataset[5]['data_samples'], dataset[11]['data_samples']
    assert own.frame_id == wrong.frame_id == '00/000000'
    assert wrong.mismatched_image and not own.mismatched_image
    assert wrong.skipped_frames == own.skipped_frames != []


def test_image_of_another_size_takes_the_size_of_the_own(kitti_odometry, disk):
    """The intrinsics hold for the own image; the other one is stretched to it."""
    for index in range(2):
        disk.write_image(kitti_odometry.root / f'sequences/01/image_2/{index:06d}.png',
                         width=disk.width + 7, height=disk.height - 5)
    dataset = control(kitti_odometry.root, indices=[0, 4])
    for index in range(2):
        own, wrong = dataset[index], dataset[2 + index]
        assert torch.equal(own['data_samples'].cam2img, wrong['data_samples'].cam2img)
        assert own['inputs']['imgs'].shape == wrong['inputs']['imgs'].shape
        assert own['data_samples'].img_paths != wrong['data_samples'].img_paths


def test_control_needs_two_frames_and_is_not_for_training(kitti_odometry):
    with pytest.raises(DataLayoutError, match='at least 2 frames, found 1'):
        control(kitti_odometry.root, indices=1)
    with pytest.raises(ValueError, match='expected test_mode=True'):
        build(kitti_odometry.root, mismatched_image_control=True)


def test_control_needs_equal_numbers_of_images():
    class Reader:
        def read(self, data_root, keep_unpaired):
            return [dict(frame_id='a', images=[{}]), dict(frame_id='b', images=[{}, {}])]

    dataset = CalibrationDataset('here', Reader(), pipeline=[], test_mode=True,
                                 mismatched_image_control=True)
    with pytest.raises(DataLayoutError, match='found 1 in a and 2 in the frame'):
        dataset[2]


def test_several_rigid_transforms_of_each_frame(kitti_odometry):
    once = build(kitti_odometry.root)
    dataset = build(kitti_odometry.root, repeats=3, test_mode=True, mismatched_image_control=True)
    assert len(dataset) == 2 * 3 * len(once)
    samples = [dataset[index]['data_samples'] for index in range(len(dataset))]
    frames = [sample.frame_id for sample in samples]
    assert frames == 6 * [once[index]['data_samples'].frame_id for index in range(len(once))]
    transforms = {sample.rigid_transform.tobytes() for sample in samples}
    assert len(transforms) == 3 * len(once)  # the control has those of the true images
    assert [sample.mismatched_image for sample in samples] == 18 * [False] + 18 * [True]
    for true, wrong in zip(samples[:18], samples[18:]):
        np.testing.assert_array_equal(true.rigid_transform, wrong.rigid_transform)
        assert true.img_paths != wrong.img_paths
    with pytest.raises(ValueError, match='repeats >= 1, found 0'):
        build(kitti_odometry.root, repeats=0)


# The scans of a data set, before anything else happens

@pytest.fixture
def logged(log_of):
    return log_of(dataset_module)


def rewrite(root, change):
    """Change the scans of a data set."""
    for path in sorted(root.glob('sequences/*/velodyne/*.bin')):
        change(np.fromfile(path, np.float32).reshape(-1, 4)).astype(np.float32).tofile(path)


def with_zeros(points):
    rows = np.zeros((len(points) * 20 // 11, 4))
    rows[:len(points)] = points
    return rows


@pytest.mark.parametrize('workers', [0, 2])
def test_samples_are_those_of_scans_without_rows_that_are_no_measurement(
        kitti_odometry, logged, workers, capfd):
    before = build(kitti_odometry.root)
    expected = [before[index] for index in range(6)]
    assert not logged
    rewrite(kitti_odometry.root, with_zeros)
    dataset = build(kitti_odometry.root)
    loader = DataLoader(dataset, batch_size=1, sampler=range(6), num_workers=workers,
                        collate_fn=pseudo_collate)
    for sample, batch in zip(expected, loader):
        assert torch.equal(batch['inputs']['points'][0], sample['inputs']['points'])
    line, = logged  # once, whoever reads them
    assert 'in 6 of 6 scans 978 of 2178 rows are no measurement: 978 at the origin' in line
    out, err = capfd.readouterr()
    assert 'no measurement' not in out + err


def test_columns_that_cannot_be_stop_before_training(kitti_odometry):
    rewrite(kitti_odometry.root, lambda points: points[:, [0, 1, 3, 2]])
    with pytest.raises(DataLayoutError, match='look like coordinates.*lidar.dim in rig.yaml.*in '
                       'all 6 scans that were checked'):
        build(kitti_odometry.root, skip_broken=True)


def test_intensities_that_cannot_be_stop_before_training(kitti_odometry):
    rewrite(kitti_odometry.root, lambda points: points * [1, 1, 1, 255])
    with pytest.raises(DataLayoutError, match='intensity_scale of 1 turns.*would fit.*in all 6'):
        build(kitti_odometry.root)


def test_one_scan_with_other_columns_is_a_broken_frame(kitti_odometry):
    path = kitti_odometry.root / 'sequences/00/velodyne/000001.bin'
    points = np.fromfile(path, np.float32).reshape(-1, 4)
    points[:, [0, 1, 3, 2]].tofile(path)
    with pytest.raises(BrokenFrameError, match='000001.bin.*look like coordinates'):
        build(kitti_odometry.root)[1]


def test_the_scale_of_the_intensities_goes_into_checkpoints(kitti_odometry, disk, tmp_path):
    assert build(kitti_odometry.root).metainfo['intensity_scale'] == 1

    class Reader:
        def read(self, data_root, keep_unpaired):
            return [dict(frame_id=str(scale), lidar_path=str(tmp_path / 'a.bin'), lidar_dim=4,
                         intensity_scale=scale) for scale in self.scales]

    class Model(BaseModel):
        def forward(self):
            raise AssertionError('it is not trained')

    runner = Runner(
        Model(), str(tmp_path), DataLoader(build(kitti_odometry.root)), train_cfg=dict(
            by_epoch=True, max_epochs=1), experiment_name='scale',
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1.)))
    runner.save_checkpoint(str(tmp_path), 'a.pth', save_optimizer=False,
                           save_param_scheduler=False)
    saved = torch.load(tmp_path / 'a.pth', weights_only=False)
    assert saved['meta']['dataset_meta']['intensity_scale'] == 1

    disk.write_scan(tmp_path / 'a.bin')
    for Reader.scales, expected in (([0.5, 0.5], 0.5), ([0.5, 1.], None)):
        dataset = CalibrationDataset('here', Reader(), pipeline=[])
        assert dataset.metainfo['intensity_scale'] == expected
