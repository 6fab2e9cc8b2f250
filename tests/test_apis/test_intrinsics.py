"""Intrinsics from a YAML file."""
import pytest

from nclr_plugin.apis import CalibrationInputError, read_intrinsics

MATRIX = 'cam2img: [[700, 0, 600], [0, 710, 180], [0, 0, 1]]\n'


def test_reads_all(tmp_path):
    (tmp_path / 'K.yaml').write_text(
        MATRIX + 'dist_coeffs: [-0.1, 0.01, 0, 0]\nimage_size: [1242, 375]\n')
    found = read_intrinsics(str(tmp_path / 'K.yaml'))
    assert found.cam2img[1].tolist() == [0, 710, 180] and found.image_size == (1242, 375)
    assert found.dist_coeffs.tolist() == [-0.1, 0.01, 0, 0]
    (tmp_path / 'K.yaml').write_text(MATRIX)
    assert read_intrinsics(str(tmp_path / 'K.yaml'))[1:] == (None, None)


@pytest.mark.parametrize('text, match', [
    ('K: [[700, 0, 600]]', r"expected cam2img: .*found \['K'\]"),
    (MATRIX + 'distortion: [0]', 'perhaps dist_coeffs, image_size, found'),
    ('- 1', r'found \[1\]'),
    ('cam2img: [', 'expected a YAML file'),
    ('cam2img:', 'expected the intrinsics .*found none'),
    ('cam2img: [[700, 0, 600], [0, 710, 180]]', 'expected a 3x3'),
    ('cam2img: [[-700, 0, 600], [0, 710, 180], [0, 0, 1]]', 'positive focal lengths'),
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
