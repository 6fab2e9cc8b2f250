"""Scans read from files as other programs write them."""
import numpy as np
import pytest

from nclr_plugin.apis import CalibrationInputError, load_scan

PCD = '''# .PCD v0.7 - Point Cloud Data file format
VERSION 0.7
FIELDS {fields}
SIZE {size}
TYPE {type}
COUNT {count}
WIDTH {points}
HEIGHT 1
VIEWPOINT 0 0 0 1 0 0 0
POINTS {points}
DATA {data}
'''


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    return rng.normal(size=(7, 4)).astype(np.float32)


def padded(points):
    """Rows as PCL lays them out in memory, and their header."""
    rows = np.zeros(len(points), [('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('pad', 'u1', 4),
                                  ('intensity', '<f4'), ('ring', '<u2'), ('pad2', 'u1', 10)])
    for place, name in enumerate(('x', 'y', 'z', 'intensity')):
        rows[name] = points[:, place]
    return rows, dict(fields='x y z _ intensity ring _', size='4 4 4 1 4 2 1',
                      type='F F F U F U U', count='1 1 1 4 1 1 10', points=len(points))


def test_raw(points, tmp_path):
    points.tofile(tmp_path / 'a.bin')
    np.testing.assert_array_equal(load_scan(str(tmp_path / 'a.bin')), points)
    np.pad(points, ((0, 0), (0, 1))).tofile(tmp_path / 'b.bin')
    np.testing.assert_array_equal(load_scan(str(tmp_path / 'b.bin'), 5), points)
    np.save(tmp_path / 'c.npy', points[:, :3].astype(np.float64))
    np.testing.assert_allclose(load_scan(str(tmp_path / 'c.npy'), 3), points[:, :3])
    points[2] = np.nan  # left for the checks, which count them
    points.tofile(tmp_path / 'a.bin')
    assert np.isnan(load_scan(str(tmp_path / 'a.bin'))[2]).all()


def test_binary_pcd(points, tmp_path):
    rows, header = padded(points)
    (tmp_path / 'a.pcd').write_bytes(PCD.format(data='binary', **header).encode() + rows.tobytes())
    np.testing.assert_array_equal(load_scan(str(tmp_path / 'a.pcd')), points)
    (tmp_path / 'a.pcd').write_bytes(
        PCD.format(data='binary', **header).encode() + rows.tobytes()[:-1])
    with pytest.raises(CalibrationInputError, match='7 points of 32 bytes, found 223 bytes'):
        load_scan(str(tmp_path / 'a.pcd'))


def test_ascii_pcd(points, tmp_path):
    header = dict(fields='z y x', size='4 4 4', type='F F F', count='1 1 1', points=len(points))
    text = '\n'.join(' '.join(map(repr, row[2::-1].tolist())) for row in points)
    (tmp_path / 'a.PCD').write_text(PCD.format(data='ascii', **header) + text + '\n')
    np.testing.assert_allclose(load_scan(str(tmp_path / 'a.PCD')), points[:, :3])
    (tmp_path / 'a.PCD').write_text(PCD.format(data='ascii', **header) + text[:-30])
    with pytest.raises(CalibrationInputError, match='expected 7 lines of 3 numbers'):
        load_scan(str(tmp_path / 'a.PCD'))


@pytest.mark.parametrize('text', [False, True])
def test_ply(points, tmp_path, text):
    plyfile = pytest.importorskip('plyfile')
    rows = np.zeros(len(points), [('x', 'f8'), ('y', 'f8'), ('z', 'f8'), ('red', 'u1'),
                                  ('scalar_Intensity', 'f4')])
    for place, name in enumerate(('x', 'y', 'z', 'scalar_Intensity')):
        rows[name] = points[:, place]
    plyfile.PlyData([plyfile.PlyElement.describe(rows, 'vertex')], text=text).write(
        str(tmp_path / 'a.ply'))
    np.testing.assert_allclose(load_scan(str(tmp_path / 'a.ply')), points, rtol=1e-6)


@pytest.mark.parametrize('name, content, match', [
    ('a.txt', b'', "ends in one of .bin, .npy, .pcd, .ply, found '.txt'"),
    ('a.bin', b'12345', r'rows of 4 float32 .*lidar_dim, 4'),
    ('a.bin', b'', 'expected points, found none'),
    ('a.npy', b'no array', 'expected a NumPy array'),
    ('a.pcd', b'\x00\x01\x02', 'expected the header of a PCD file'),
    ('a.pcd', b'FIELDS a b\nSIZE 4 4\nTYPE F F\nPOINTS 0\nDATA ascii\n', 'fields x, y and z'),
    ('a.pcd', b'FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nPOINTS 9\nDATA binary_compressed\n',
     'found binary_compressed; convert it by pcl_convert'),
    ('a.ply', b'no ply', 'expected a PLY file with vertices'),
])
def test_broken_files_are_named(tmp_path, name, content, match):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CalibrationInputError, match=match) as error:
        load_scan(str(tmp_path / name))
    assert name in str(error.value)


def test_no_file(tmp_path):
    with pytest.raises(CalibrationInputError, match='expected a file, found none'):
        load_scan(str(tmp_path / 'none.bin'))
