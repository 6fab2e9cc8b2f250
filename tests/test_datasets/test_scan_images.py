"""Images and calibration of scans that mmdet3d's data sets load."""
import numpy as np

from nclr_plugin.datasets.scan_images import load_scan_images, scan_name


def test_views_of_odometry_are_found_by_the_path_of_the_scan(kitti_odometry, disk):
    path = kitti_odometry.root / 'sequences' / '00' / 'velodyne' / '000002.bin'
    assert scan_name(str(path)) == '00_000002'
    view, = load_scan_images(dict(lidar_path=str(path)))
    written = disk.write_image(kitti_odometry.root / 'again.png', seed=2)
    assert view['name'] == 'image_2'
    np.testing.assert_array_equal(view['image'], written)
    np.testing.assert_allclose(view['cam2img'], kitti_odometry.cam2img, atol=1e-9)
    np.testing.assert_allclose(view['lidar2cam'][:3, 3],
                               kitti_odometry.lever + kitti_odometry.shift, atol=1e-9)


def test_reduced_scans_of_kitti_have_the_views_of_their_frame(tmp_path, disk):
    part = tmp_path / 'training'
    cam2img = np.array([[disk.focal, 0, 58.], [0, disk.focal, 22.], [0, 0, 1]])
    disk.write_calibration(part / 'calib' / '000007.txt',
                           P2=np.column_stack([cam2img, np.zeros(3)]),
                           R0_rect=np.eye(3),
                           Tr_velo_to_cam=np.column_stack([disk.axes, [0, 1, 2]]))
    written = disk.write_image(part / 'image_2' / '000007.png', seed=3)
    disk.write_scan(part / 'velodyne' / '000007.bin')
    path = part / 'velodyne_reduced' / '000007.bin'
    assert scan_name(str(path)) == '000007'
    view, = load_scan_images(dict(lidar_path=str(path)))
    np.testing.assert_array_equal(view['image'], written)
    np.testing.assert_allclose(view['lidar2cam'][:3], np.column_stack([disk.axes, [0, 1, 2]]))


def test_views_of_nuscenes_are_those_of_the_infos_with_a_file(tmp_path, disk):
    names = [f'n015__{camera}__1.jpg' for camera in ('CAM_FRONT', 'CAM_BACK')]
    disk.write_image(tmp_path / 'samples' / 'CAM_FRONT' / names[0])
    pose = np.eye(4)
    pose[:3, :3] = disk.axes
    views = load_scan_images(dict(
        lidar_path=str(tmp_path / 'samples' / 'LIDAR_TOP' / 'n015__LIDAR_TOP__0.pcd.bin'),
        img_path=names, lidar2cam=[pose, pose], cam2img=[np.eye(3), np.eye(3)]))
    assert [view['name'] for view in views] == ['CAM_FRONT']
    assert views[0]['image'].shape == (disk.height, disk.width, 3)
    np.testing.assert_array_equal(views[0]['lidar2cam'], pose)


def test_a_scan_without_images_has_no_views(tmp_path):
    scan = tmp_path / 'sequences/00/velodyne/000000.bin'
    assert load_scan_images(dict(lidar_path=str(scan))) == []
    assert load_scan_images(dict(lidar_path=str(tmp_path / 'scans' / 'a.bin'))) == []
