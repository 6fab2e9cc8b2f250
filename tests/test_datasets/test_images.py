"""Image files of every kind: converted by a stated rule, or named."""
import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from nclr_plugin.errors import BrokenFrameError
from nclr_plugin.datasets import NuScenesReader
from nclr_plugin.datasets.images import read_image

RGB = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
KITTI = np.array([[721.5, 0, 609.6], [0, 721.5, 172.9], [0, 0, 1]])


def read(path, **image):
    return read_image('00/000007', dict(img_path=str(path), **image))


def refused(path, match, **image):
    with pytest.raises(BrokenFrameError, match=match) as error:
        read(path, **image)
    assert error.value.frame_id == '00/000007' and path.name in str(error.value)


@pytest.mark.parametrize('name', ['grey.png', 'grey.jpg', 'grey_alpha.png', 'bits.png'])
def test_grey_becomes_three_equal_channels(tmp_path, name):
    grey = Image.fromarray(RGB[..., 0])
    mode = {'grey_alpha.png': 'LA', 'bits.png': '1'}.get(name, 'L')
    grey.convert(mode).save(tmp_path / name)
    found = read(tmp_path / name)
    assert found.shape == (24, 40, 3) and found.dtype == np.uint8
    assert (found == found[..., :1]).all()
    expected = np.asarray(Image.open(tmp_path / name).convert('L'))
    np.testing.assert_allclose(found[..., 0].astype(int), expected, atol=2)


def test_palettes_and_opaque_alpha_become_rgb(tmp_path):
    palette = Image.fromarray(RGB).convert('P')
    palette.save(tmp_path / 'palette.png')
    np.testing.assert_array_equal(read(tmp_path / 'palette.png'),
                                  np.asarray(palette.convert('RGB')))
    Image.fromarray(np.dstack([RGB, np.full((24, 40), 255, np.uint8)])).save(tmp_path / 'rgba.png')
    np.testing.assert_array_equal(read(tmp_path / 'rgba.png'), RGB)


def test_cmyk(tmp_path):
    Image.fromarray(np.full((16, 16, 3), (200, 100, 30), np.uint8)).convert('CMYK').save(
        tmp_path / 'a.jpg')
    assert read(tmp_path / 'a.jpg').shape == (16, 16, 3)


@pytest.mark.parametrize('shape', [(8, 9), (8, 9, 3), (8, 9, 4)])
def test_16_bits_are_named(tmp_path, shape):
    cv2.imwrite(str(tmp_path / 'a.png'), np.full(shape, 4095, np.uint16))
    refused(tmp_path / 'a.png', r'expected 8 bits a channel, found 16 \(uint16, largest value 4095')


def test_transparent_parts_are_named(tmp_path):
    alpha = np.full((24, 40), 255, np.uint8)
    alpha[:6] = 0
    Image.fromarray(np.dstack([RGB, alpha])).save(tmp_path / 'a.png')
    refused(tmp_path / 'a.png', r'expected an opaque image, found 25.0% of it transparent')


@pytest.mark.parametrize('suffix', ['png', 'jpg'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_exif_orientation_is_applied_and_named_once(tmp_path, warned, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f'a.{suffix}'
    smooth = cv2.resize(RGB[:3, :5], (40, 24), interpolation=cv2.INTER_LINEAR)
    Image.fromarray(smooth).save(path, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    for _ in range(2):
        found = read(path)
        np.testing.assert_allclose(found.astype(int), expected, atol=4)
    np.testing.assert_allclose(found.astype(int), cv2.imread(str(path))[..., ::-1], atol=4)
    assert found.flags.c_contiguous
    assert len(warned) == (orientation > 1)
    if orientation > 1:
        assert f'EXIF orientation {orientation} is applied' in warned[0]


def test_intrinsics_belong_to_the_upright_image(tmp_path, warned):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / 'a.jpg', exif=exif)
    assert read(tmp_path / 'a.jpg', cam2img=np.eye(3), image_size=(24, 40)).shape == (40, 24, 3)
    refused(tmp_path / 'a.jpg', 'expected 40 x 24 .* found 24 x 40 after its EXIF orientation 6',
            cam2img=np.eye(3), image_size=(40, 24))


def test_broken_metadata_turns_nothing(tmp_path):
    Image.fromarray(RGB).save(tmp_path / 'a.jpg', exif=b'Exif\0\0MM\0*\0\0')
    assert read(tmp_path / 'a.jpg').shape == RGB.shape


@pytest.mark.parametrize('factor', [0.889, 0.5, 1.1])
def test_a_resized_image_is_doubted_once_a_folder(tmp_path, warned, factor):
    size = round(1242 * factor), round(375 * factor)
    for name in ('a.png', 'b.png'):
        cv2.imwrite(str(tmp_path / name), np.zeros((size[1], size[0]), np.uint8))
        read(tmp_path / name, cam2img=KITTI)
    assert len(warned) == 1 and 'off the centre' in warned[0]
    assert str(tmp_path) in warned[0]
    refused(tmp_path / 'a.png', 'expected 1242 x 375', cam2img=KITTI, image_size=(1242, 375))


def test_cameras_of_nuscenes_are_not_doubted(shared_data, warned):
    """Their principal points are at up to 0.56 of the height."""
    frame, = NuScenesReader('info_v2.pkl').read(str(shared_data / 'nuscenes_frame'))
    for image in frame['images']:
        read_image(frame['frame_id'], image)
    assert len(warned) == 1 and warned[0].startswith('Cannot check whether the intrinsics')


def test_that_nothing_tells_is_said_once(tmp_path, warned):
    for camera in ('image_2', 'image_3'):
        (tmp_path / camera).mkdir()
        cv2.imwrite(str(tmp_path / camera / 'a.png'), np.zeros((375, 1242), np.uint8))
        read(tmp_path / camera / 'a.png', cam2img=KITTI)
    assert len(warned) == 1 and warned[0].startswith('Cannot check whether the intrinsics')
