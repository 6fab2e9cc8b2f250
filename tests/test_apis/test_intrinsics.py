"""Intrinsics of our own YAML files, of OpenCV's and of ROS'."""
import cv2
import numpy as np
import pytest

from nclr_plugin.apis import CalibrationInputError, Intrinsics, read_intrinsics
from nclr_plugin.apis.intrinsics import check_image, make_intrinsics

K = np.array([[700., 0, 600], [0, 710, 180], [0, 0, 1]])
D = [-0.1, 0.01, 1e-5, -2e-4, 0.003]
MATRIX = 'cam2img: [[700, 0, 600], [0, 710, 180], [0, 0, 1]]\n'


def test_reads_all(tmp_path):
    (tmp_path / 'K.yaml').write_text(
        MATRIX + 'dist_coeffs: [-0.1, 0.01, 0, 0]\ndistortion_model: plumb_bob\n'
        'image_size: [1242, 375]\n')
    found = read_intrinsics(str(tmp_path / 'K.yaml'))
    assert found.cam2img[1].tolist() == [0, 710, 180] and found.image_size == (1242, 375)
    assert found.dist_coeffs.tolist() == [-0.1, 0.01, 0, 0]
    (tmp_path / 'K.yaml').write_text(MATRIX)
    assert read_intrinsics(str(tmp_path / 'K.yaml'))[1:] == (None, None, None)


@pytest.mark.parametrize('text, match', [
    ('focal: 700', r"expected cam2img: .*found \['focal'\]"),
    ('K: [[700, 0, 600]]', 'expected a 3x3'),
    (MATRIX + 'distortion: [0]', r"perhaps dist_coeffs, .*found \['cam2img', 'distortion'\]"),
    ('- 1', r'found \[1\]'),
    ('cam2img: [', 'expected a YAML file'),
    ('cam2img:', 'expected the intrinsics .*found none'),
    ('cam2img: [[700, 0, 600], [0, 710, 180]]', 'expected a 3x3'),
    ('cam2img: [[-700, 0, 600], [0, 710, 180], [0, 0, 1]]', 'positive focal lengths'),
    ('camera_matrix: [700, 0, 600, 0, 710, 180, 0, 0, 1]\ndistortion: [1, 2, 3, 4, 5]',
     r"found \['camera_matrix', 'distortion'\]"),
    ('M1: {rows: 3, cols: 3, data: [700, 0, 600, 0, 710, 180, 0, 0, 1]}', r"found \['M1'\]"),
    (MATRIX + 'K: [700, 0, 600, 0, 710, 180, 0, 0, 1]', 'expected one cam2img, found K beside'),
    ('camera_matrix: {rows: 2, cols: 3, data: [700, 0, 600, 0, 710, 180]}', 'expected a 3x3'),
    ('%YAML:1.0\n---\ncamera_matrix: [1, 2', 'what OpenCV cannot read'),
    ('%YAML:1.0\n---\ncamera_matrix: !!opencv-matrix\n   rows: 3\n', 'expected the intrinsics'),
    (MATRIX + 'dist_coeffs: [1, 2, 3, 4]', 'add distortion_model: plumb_bob or distortion_model'),
    (MATRIX + 'dist_coeffs: [0, 0, 0, 0]', 'add distortion_model: plumb_bob or distortion_model'),
    (MATRIX + 'distortion_model: double_sphere', "expected one of pinhole, .*found 'double_sph"),
    (MATRIX + 'distortion_model: equidistant', r'expected 4 finite .* for a fisheye.*\[\]'),
    (MATRIX + 'distortion_model: fisheye\ndist_coeffs: [0, 0, 0, 0, 0]', 'expected 4 finite'),
    (MATRIX + 'dist_coeffs: [1, 2, 3]', r'dist_coeffs .*found \[1.0, 2.0, 3.0\]'),
    (MATRIX + 'dist_coeffs: [.nan, 0, 0, 0]', 'finite dist_coeffs'),
    (MATRIX + 'dist_coeffs: plumb_bob', "K.yaml': expected numbers in dist_coeffs, found 'plumb"),
    (MATRIX + 'image_size: [1242]', r'image_size \[width, height\] in pixels, found \[1242\]'),
    (MATRIX + 'image_size: [12.5, -3]', 'image_size'),
])
def test_other_files_are_refused(tmp_path, text, match):
    (tmp_path / 'K.yaml').write_text(text)
    with pytest.raises(CalibrationInputError, match=match):
        read_intrinsics(str(tmp_path / 'K.yaml'))


def test_no_file(tmp_path):
    with pytest.raises(CalibrationInputError, match='No such file'):
        read_intrinsics(str(tmp_path / 'none.yaml'))


@pytest.mark.parametrize('suffix', ['yaml', 'yml', 'xml'])
@pytest.mark.parametrize('names', [
    ('camera_matrix', 'distortion_coefficients', 'image_width', 'image_height'),
    ('Camera_Matrix', 'Distortion_Coefficients', 'image_Width', 'image_Height'),
    ('K', 'D', 'width', 'height'),
    ('cameraMatrix', 'distCoeffs', 'imageSize', None)])
def test_what_opencv_writes_is_read(tmp_path, suffix, names):
    path = str(tmp_path / f'out.{suffix}')
    storage = cv2.FileStorage(path, cv2.FILE_STORAGE_WRITE)
    storage.write('calibration_time', 'Sun Nov 29 2026')
    storage.write('nframes', 17)
    storage.write('board_width', 9)
    storage.write(names[0], K)
    storage.write(names[1], np.array([D]).T)
    if names[3] is None:
        storage.startWriteStruct(names[2], cv2.FILE_NODE_SEQ)
        for side in (1242, 375):
            storage.write('', side)
        storage.endWriteStruct()
    else:
        storage.write(names[2], 1242)
        storage.write(names[3], 375)
    storage.release()
    found = read_intrinsics(path)
    np.testing.assert_array_equal(found.cam2img, K)
    np.testing.assert_array_equal(found.dist_coeffs, D)
    assert found.image_size == (1242, 375) and found.model is None


@pytest.mark.parametrize('line, model', [
    (('fisheye_model', 1), 'fisheye'), (('fisheye_model', 0), 'pinhole'),
    (('distortion_model', 'equidistant'), 'fisheye')])
def test_the_model_in_a_file_of_opencv(tmp_path, line, model):
    path = str(tmp_path / 'out.yaml')
    storage = cv2.FileStorage(path, cv2.FILE_STORAGE_WRITE)
    storage.write(*line)
    storage.write('camera_matrix', K)
    storage.write('distortion_coefficients', np.array([D[:4]]))
    storage.release()
    assert read_intrinsics(path).model == model


CAMERA_CALIBRATION = """image_width: 1242
image_height: 375
camera_name: front
camera_matrix:
  rows: 3
  cols: 3
  data: [700, 0, 600, 0, 710, 180, 0, 0, 1]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.1, 0.01, 1e-5, -2e-4, 0.003]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]
projection_matrix:
  rows: 3
  cols: 4
  data: [650, 0, 590, 0, 0, 660, 170, 0, 0, 0, 1, 0]
"""
ROSTOPIC = """header:
  seq: 1
  stamp: {secs: 1, nsecs: 2}
  frame_id: "camera"
height: 375
width: 1242
distortion_model: "plumb_bob"
D: [-0.1, 0.01, 1e-05, -0.0002, 0.003]
K: [700.0, 0.0, 600.0, 0.0, 710.0, 180.0, 0.0, 0.0, 1.0]
R: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
P: [650.0, 0.0, 590.0, 0.0, 0.0, 660.0, 170.0, 0.0, 0.0, 0.0, 1.0, 0.0]
binning_x: 0
binning_y: 0
roi: {x_offset: 0, y_offset: 0, height: 0, width: 0, do_rectify: False}
---
"""


@pytest.mark.parametrize('text', [
    CAMERA_CALIBRATION, ROSTOPIC,
    ROSTOPIC.replace('\nD:', '\nd:').replace('\nK:', '\nk:').replace('\nR:', '\nr:')],
    ids=['camera_calibration', 'rostopic echo', 'ros2 topic echo'])
def test_what_ros_writes_is_read(tmp_path, text):
    (tmp_path / 'front.yaml').write_text(text)
    found = read_intrinsics(str(tmp_path / 'front.yaml'))
    np.testing.assert_array_equal(found.cam2img, K)
    np.testing.assert_array_equal(found.dist_coeffs, D)
    assert found.image_size == (1242, 375) and found.model == 'pinhole'


@pytest.mark.parametrize('name, coefficients, model', [
    ('equidistant', [0.1, 0.2, 0, 0], 'fisheye'), ('rational_polynomial', D + [0, 0, 0], 'pinhole'),
    ('plumb_bob', [], 'pinhole'), ('', [], None)])
def test_models_of_ros(tmp_path, name, coefficients, model):
    text = ROSTOPIC.replace('"plumb_bob"', f'"{name}"').replace(
        'D: [-0.1, 0.01, 1e-05, -0.0002, 0.003]', f'D: {coefficients}')
    (tmp_path / 'front.yaml').write_text(text)
    found = read_intrinsics(str(tmp_path / 'front.yaml'))
    assert found.model == model
    assert (found.dist_coeffs is None) == (not coefficients)


def test_a_fisheye_becomes_the_pinhole_camera_of_the_same_matrix():
    """A white spot per point, drawn where OpenCV's fisheye model sees it, is where K sees it."""
    matrix = np.array([[300., 0, 320], [0, 300, 240], [0, 0, 1]])
    coefficients = np.array([0.05, -0.02, 0.004, -0.001])
    points = np.array([[0.5, 0.3, 1.], [-0.7, 0.2, 1.], [0.1, -0.6, 1.], [0., 0., 1.]])
    seen = cv2.fisheye.projectPoints(points[:, None], np.zeros(3), np.zeros(3), matrix,
                                     coefficients)[0][:, 0]
    image = np.zeros((480, 640, 3), np.uint8)
    for u, v in seen:
        cv2.circle(image, (round(u), round(v)), 4, (255, 255, 255), -1)
    pinhole = points[:, :2] @ matrix[:2, :2].T + matrix[:2, 2]
    camera = make_intrinsics(matrix, coefficients, model='equidistant')
    undistorted = camera.undistort(image)
    for u, v in pinhole:
        spot = undistorted[round(v) - 12:round(v) + 13, round(u) - 12:round(u) + 13, 0]
        row, column = np.nonzero(spot > 128)
        assert abs(row.mean() - 12) < 1.5 and abs(column.mean() - 12) < 1.5
    as_pinhole = make_intrinsics(matrix, coefficients, model='plumb_bob').undistort(image)
    assert (as_pinhole != undistorted).any()
    # Without any coefficient, too, a fisheye is none but at the centre.
    assert (make_intrinsics(matrix, np.zeros(4), model='fisheye').undistort(image) != image).any()


def image_of(width, height):
    return np.zeros((height, width, 3), np.uint8)


@pytest.mark.parametrize('factor', [0.889, 0.8, 1.2])
def test_a_resized_image_is_doubted_by_the_principal_point(warned, factor):
    matrix = np.array([[721.5, 0, 609.6], [0, 721.5, 172.9], [0, 0, 1]])  # of KITTI
    image = image_of(round(1242 * factor), round(375 * factor))
    check_image(image, Intrinsics(matrix))
    check_image(image, Intrinsics(matrix))
    assert len(warned) == 1 and 'off the centre' in warned[0]
    assert 'state image_size' in warned[0]
    with pytest.raises(CalibrationInputError, match='expected 1242 x 375 pixels'):
        check_image(image, Intrinsics(matrix, image_size=(1242, 375)))


def test_where_nothing_tells_it_is_said_once(warned):
    matrix = np.array([[721.5, 0, 609.6], [0, 721.5, 172.9], [0, 0, 1]])
    for _ in range(2):
        check_image(image_of(1242, 375), Intrinsics(matrix))
    assert len(warned) == 1 and warned[0].startswith('Cannot check whether the intrinsics')
    check_image(image_of(1242, 375), Intrinsics(matrix, image_size=(1242, 375)))
    assert len(warned) == 1
