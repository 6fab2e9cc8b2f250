"""Pairs of files, folders and lists; how folders are calibrated is in test_files."""
import sys

import cv2
import numpy as np
import pytest

from nclr_plugin.apis import CalibrationInputError
from nclr_plugin.apis.inputs import find_pairs, read_initial, read_pair_list


@pytest.fixture
def files(tmp_path, scene):
    """Two pairs in folders with names of their own: path of the image and of the scan of each."""
    names = [('cam/a.png', 'lidar/1.npy'), ('other cam/b.png', 'lidar/2.npy')]
    for number, (image, scan) in enumerate(names):
        for name in (image, scan):
            (tmp_path / name).parent.mkdir(exist_ok=True)
        assert cv2.imwrite(str(tmp_path / image), scene.image[..., ::-1] // (number + 1))
        np.save(tmp_path / scan, scene.points[number:])
    return [tuple(str(tmp_path / name) for name in pair) for pair in names]


@pytest.fixture
def write(tmp_path):
    """Function: text -> path of a list file with it."""

    def write_list(text):
        (tmp_path / 'pairs.txt').write_text(text)
        return str(tmp_path / 'pairs.txt')

    return write_list


def test_a_list_of_pairs_with_any_names(write, files, scene):
    path = write('# places\n\ncam/a.png lidar/1.npy\n"other cam/b.png"  lidar/2.npy # the bridge\n')
    pairs = find_pairs(path)
    assert pairs.names == ['a', 'b'] and pairs.files == dict(zip('ab', files))
    assert pairs.unusable == {}
    image, points = pairs.load('b')
    np.testing.assert_array_equal(image, scene.image // 2)
    np.testing.assert_array_equal(points, scene.points[1:])


def test_absolute_paths(write, files):
    path = write('\n'.join(f'"{image}" "{scan}"' for image, scan in files))
    assert list(find_pairs(path).files.values()) == files


def test_pairs_of_a_list_whose_images_have_one_stem(write):
    path = write('front/000.png 1.bin\nrear/000.png 2.bin\n')
    assert list(read_pair_list(path)) == ['0001', '0002']


@pytest.mark.parametrize('text, match', [
    ('', 'names no frame'),
    ('cam/a.png\n', 'expected an image and a scan per line, found .cam/a.png.'),
    ('other cam/b.png lidar/2.npy\n', 'spaces in quotes'),
    ('a.png "1.npy\n', 'No closing quotation'),
    ('a.png 1.npy\na.png 1.npy\n', 'more than once'),
])
def test_a_list_that_cannot_be_used(write, text, match):
    with pytest.raises(CalibrationInputError, match=match):
        find_pairs(write(text))


def test_a_list_that_does_not_exist(tmp_path):
    with pytest.raises(CalibrationInputError, match='does not exist'):
        find_pairs(str(tmp_path / 'nowhere.txt'))


def test_an_image_alone(files, tmp_path):
    with pytest.raises(CalibrationInputError, match='expected a scan beside the image'):
        find_pairs(files[0][0])
    with pytest.raises(CalibrationInputError, match='two files or two folders'):
        find_pairs(str(tmp_path), files[0][1])


def test_a_file_of_a_list_that_cannot_be_read(write, files):
    pairs = find_pairs(write('cam/a.png nowhere.bin\nnowhere.png lidar/1.npy\n'))
    with pytest.raises(CalibrationInputError, match='nowhere.bin.: expected a file, found none'):
        pairs.load('a')
    with pytest.raises(CalibrationInputError, match='nowhere.png.: expected a file, found none'):
        pairs.load('nowhere')


def test_a_recording_without_the_package_that_reads_it(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.split('.')[0] == 'rosbags']:
        monkeypatch.delitem(sys.modules, name)

    class Absent:
        @staticmethod
        def find_spec(name, *_):
            if name.split('.')[0] == 'rosbags':
                raise ModuleNotFoundError("No module named 'rosbags'", name='rosbags')

    monkeypatch.setattr(sys, 'meta_path', [Absent, *sys.meta_path])
    with pytest.raises(ImportError, match='Reading recordings of ROS needs rosbags, which is not '
                       'installed: pip install rosbags'):
        find_pairs(str(tmp_path / 'a.mcap'))


@pytest.mark.parametrize('text, found', [
    (None, 'No such file'), ('a: 1', 'no such entry'), ('1', 'no such entry'),
    ('lidar2cam: [[1,', 'line 1')])
def test_an_initial_guess_that_cannot_be_read(tmp_path, text, found):
    if text is not None:
        (tmp_path / 'guess.yaml').write_text(text)
    with pytest.raises(CalibrationInputError, match=f'4 rows of 4 numbers, found: .*{found}'):
        read_initial(str(tmp_path / 'guess.yaml'))
