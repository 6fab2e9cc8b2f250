"""Images, scans and intrinsics of ROS messages, against the arrays that they were packed from."""
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from nclr_plugin.apis import CalibrationInputError
from nclr_plugin.apis.ros_messages import (image_from_message, intrinsics_from_message,
                                           points_from_message, time_stamp)

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (6, 10, 3), dtype=np.uint8)


def raw(encoding, rows, bigendian=0, padding=0):
    """Pack rows (H, ...) of numbers into an ``Image``, with bytes of padding after each."""
    rows = np.ascontiguousarray(rows)
    data = rows.reshape(len(rows), -1).view(np.uint8)
    data = np.pad(data, ((0, 0), (0, padding)), constant_values=77)
    return SimpleNamespace(
        __msgtype__='sensor_msgs/msg/Image', encoding=encoding, height=len(rows),
        width=rows.shape[1], step=data.shape[1], is_bigendian=bigendian, data=data.ravel())


@pytest.mark.parametrize('padding', [0, 3])
@pytest.mark.parametrize('encoding, channels', [
    ('rgb8', [0, 1, 2]), ('bgr8', [2, 1, 0]), ('8UC3', [2, 1, 0]), ('rgba8', [0, 1, 2, 0]),
    ('bgra8', [2, 1, 0, 0])])
def test_colours(encoding, channels, padding):
    found = image_from_message(raw(encoding, RGB[..., channels], padding=padding))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, RGB)


@pytest.mark.parametrize('encoding', ['mono8', '8UC1'])
def test_grey(encoding):
    found = image_from_message(raw(encoding, RGB[..., 0], padding=6))
    np.testing.assert_array_equal(found, np.repeat(RGB[..., :1], 3, 2))


@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('bits', [10, 12, 14, 16])
def test_grey_of_more_than_8_bits(bits, order, warned):
    pixels = (RGB[..., 0].astype(np.uint16) << (bits - 8)) + 3
    pixels[0, 0] = 2**bits - 1
    found = image_from_message(raw('mono16', pixels.astype(f'{order}u2'), int(order == '>'), 4))
    expected = RGB[..., 0].copy()
    expected[0, 0] = 255
    np.testing.assert_array_equal(found, np.repeat(expected[..., None], 3, 2))
    assert len(warned) == (bits < 16)


@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
@pytest.mark.parametrize('bits', [8, 16])
def test_bayer_patterns(pattern, bits):
    """A picture of one colour, seen through the four filters, has that colour again."""
    colour = dict(r=200, g=120, b=30)
    cells = np.array([[colour[pattern[0]], colour[pattern[1]]],
                      [colour[pattern[2]], colour[pattern[3]]]])
    mosaic = np.tile(cells, (4, 5)).astype(f'u{bits // 8}')
    found = image_from_message(raw(f'bayer_{pattern}{bits}', mosaic << (bits - 8)))
    assert found.shape == (8, 10, 3)
    np.testing.assert_array_equal(found[2:-2, 2:-2], np.broadcast_to([200, 120, 30], (4, 6, 3)))


@pytest.mark.parametrize('encoding, first', [
    ('yuv422', 'u'), ('uyvy', 'u'), ('yuv422_yuy2', 'y'), ('yuyv', 'y')])
def test_yuv(encoding, first):
    """Pixels without chroma are grey; luma from 16 to 235 is the whole range."""
    luma = np.array([[16, 235, 16, 235]] * 2, np.uint8)
    pair = [luma, np.full_like(luma, 128)]
    found = image_from_message(raw(encoding, np.stack(pair if first == 'y' else pair[::-1], -1)))
    np.testing.assert_array_equal(found, np.repeat((luma // 235 * 255)[..., None], 3, 2))


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
def test_compressed_images(suffix):
    smooth = cv2.resize(RGB, (80, 60), interpolation=cv2.INTER_CUBIC)
    data = cv2.imencode(suffix, smooth[..., ::-1])[1].ravel()
    message = SimpleNamespace(__msgtype__='sensor_msgs/msg/CompressedImage', data=data)
    found = image_from_message(message)
    assert found.shape == smooth.shape
    assert np.abs(found.astype(int) - smooth).mean() < (1e-9 if suffix == '.png' else 12)
    message.data = data[:30]
    with pytest.raises(CalibrationInputError, match='image 3: expected a complete PNG or JPEG'):
        image_from_message(message, 'image 3')


@pytest.mark.parametrize('change, match', [
    (dict(encoding='32FC1'), "found '32FC1'"),
    (dict(encoding='16UC1'), "found '16UC1'"),  # holds depths
    (dict(encoding='rgb8x'), "found 'rgb8x'"),
    (dict(step=29), 'rows of 29'),
    (dict(width=11), 'rows of 33 bytes'),
    (dict(height=7), 'expected 7 rows'),
    (dict(width=0), 'rows of 0 bytes'),
])
def test_an_image_that_cannot_be_read(change, match):
    message = raw('rgb8', RGB)
    vars(message).update(change)
    with pytest.raises(CalibrationInputError, match=f'image 3: .*{match}'):
        image_from_message(message, 'image 3')


CODES = dict(i1=1, u1=2, i2=3, u2=4, i4=5, u4=6, f4=7, f8=8)


def cloud(points, layout, height=1, order='<', padding=0):
    """Pack points (N, C) into a ``PointCloud2``: name, type and offset of each column."""
    size = max(offset + np.dtype(kind).itemsize for _, kind, offset in layout) + 5
    dtype = np.dtype(dict(names=[name for name, _, _ in layout],
                          formats=[order + kind for _, kind, _ in layout],
                          offsets=[offset for _, _, offset in layout], itemsize=size))
    rows = np.zeros(len(points), dtype)
    for column, (name, _, _) in zip(points.T, layout):
        rows[name] = column
    data = np.frombuffer(rows.tobytes(), np.uint8).reshape(height, -1)
    data = np.pad(data, ((0, 0), (0, padding)), constant_values=77)
    return SimpleNamespace(
        fields=[SimpleNamespace(name=name, datatype=CODES[kind], offset=offset, count=1)
                for name, kind, offset in layout],
        height=height, width=len(points) // height, point_step=size, row_step=data.shape[1],
        is_bigendian=order == '>', data=data.ravel())


XYZI = [('x', 'f4', 0), ('y', 'f4', 4), ('z', 'f4', 8), ('intensity', 'f4', 16)]
POINTS = np.column_stack([RNG.normal(0, 20, (24, 3)), RNG.integers(0, 256, 24)]).astype(np.float32)


@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('height, padding', [(1, 0), (4, 0), (4, 7)])
def test_points(order, height, padding):
    found = points_from_message(cloud(POINTS, XYZI, height, order, padding))
    assert found.dtype == np.float32 and found.flags.c_contiguous
    np.testing.assert_array_equal(found, POINTS)


@pytest.mark.parametrize('name, kind', [
    ('intensity', 'u1'), ('Intensity', 'f4'), ('i', 'u2'), ('reflectivity', 'u2'),
    ('reflectance', 'f8')])
def test_names_and_types_of_intensities(name, kind):
    layout = [('ring', 'u2', 0), ('z', 'f8', 2), ('x', 'f4', 10), ('y', 'f4', 14), (name, kind, 18)]
    columns = np.column_stack([np.arange(24), POINTS[:, 2], POINTS[:, :2], POINTS[:, 3]])
    np.testing.assert_array_equal(points_from_message(cloud(columns, layout)), POINTS)


def test_points_without_intensity_and_rows_without_a_return():
    points = POINTS[:, :3].copy()
    points[[2, 5]] = np.nan
    points[7] = 0
    found = points_from_message(cloud(points, XYZI[:3], height=4))
    np.testing.assert_array_equal(found, points)


def test_the_length_of_the_only_row_may_be_absent():
    message = cloud(POINTS, XYZI)
    message.row_step = 0
    np.testing.assert_array_equal(points_from_message(message), POINTS)


@pytest.mark.parametrize('change, match', [
    (dict(fields=[]), 'expected the fields x, y and z, found'),
    (dict(data=np.zeros(599, np.uint8)), 'found 599 bytes in rows of 600'),
    (dict(point_step=18), 'points of 18 bytes'),
    (dict(height=2, width=12, row_step=100), 'rows of 100'),
    (dict(width=0, data=np.zeros(0, np.uint8)), 'expected points, found none'),
])
def test_points_that_cannot_be_read(change, match):
    message = cloud(POINTS, XYZI)
    vars(message).update(change)
    with pytest.raises(CalibrationInputError, match=f'scan 3: .*{match}'):
        points_from_message(message, 'scan 3')


def test_points_of_an_unknown_type():
    message = cloud(POINTS, XYZI)
    message.fields[0].datatype = 99
    with pytest.raises(CalibrationInputError, match="'x', 0, 99"):
        points_from_message(message)


K, P = [700., 0, 640, 0, 710, 360, 0, 0, 1], [650., 0, 630, 0, 0, 650, 350, 0, 0, 0, 1, 0]


def camera_info(model='plumb_bob', coefficients=(-0.3, 0.1, 0, 0, 0), ros=2, **changes):
    values = dict(k=np.array(K), d=np.array(coefficients), p=np.array(P), r=np.eye(3).ravel())
    values = {name.upper() if ros == 1 else name: value for name, value in values.items()}
    return SimpleNamespace(width=1280, height=720, distortion_model=model, **{**values, **changes})


@pytest.mark.parametrize('ros', [1, 2])
@pytest.mark.parametrize('model, coefficients, expected', [
    ('plumb_bob', (-0.3, 0.1, 0, 0, 0), 'pinhole'), ('equidistant', (0.1, 0, 0, 0), 'fisheye'),
    ('rational_polynomial', (1, 2, 3, 4, 5, 6, 7, 8), 'pinhole'), ('', (), None)])
def test_intrinsics(ros, model, coefficients, expected):
    found = intrinsics_from_message(camera_info(model, coefficients, ros))
    assert found.cam2img.tolist() == [K[:3], K[3:6], K[6:]]
    assert found.image_size == (1280, 720) and found.model == expected
    if coefficients:
        assert found.dist_coeffs.tolist() == list(coefficients)
    else:
        assert found.dist_coeffs is None


def test_rectified_images_have_other_intrinsics_and_no_distortion():
    found = intrinsics_from_message(camera_info(), rectified=True)
    assert found.cam2img.tolist() == [[650, 0, 630], [0, 650, 350], [0, 0, 1]]
    assert found.dist_coeffs is None


def test_intrinsics_that_cannot_be_used():
    with pytest.raises(CalibrationInputError, match='/cam: .*it is not calibrated'):
        intrinsics_from_message(camera_info(k=np.zeros(9)), '/cam')
    with pytest.raises(CalibrationInputError, match="found 'division'"):
        intrinsics_from_message(camera_info('division'))


def test_time_stamps_are_nanoseconds():
    stamp = SimpleNamespace(sec=1700000000, nanosec=123456789)
    message = SimpleNamespace(header=SimpleNamespace(stamp=stamp))
    assert time_stamp(message) == 1700000000123456789
