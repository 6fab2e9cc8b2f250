"""Scans read from files as other programs write them."""
import base64
import io

import numpy as np
import pytest

from nclr_plugin.datasets.scan_files import decompress_lzf, read_columns, read_pcd
from nclr_plugin.errors import ScanColumnsError, ScanError

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
    np.testing.assert_array_equal(read_columns(str(tmp_path / 'a.bin')), points)
    np.pad(points, ((0, 0), (0, 1))).tofile(tmp_path / 'b.bin')
    np.testing.assert_array_equal(read_columns(str(tmp_path / 'b.bin'), 5)[:, :4], points)
    np.save(tmp_path / 'c.npy', points[:, :3].astype(np.float64))
    np.testing.assert_allclose(read_columns(str(tmp_path / 'c.npy'), 3), points[:, :3])
    points[2] = np.nan  # left for the checks, which count them
    points.tofile(tmp_path / 'a.bin')
    assert np.isnan(read_columns(str(tmp_path / 'a.bin'))[2]).all()


def test_suffixes_in_capitals(points, tmp_path):
    np.save(tmp_path / 'a.npy', points)
    (tmp_path / 'a.npy').rename(tmp_path / 'A.NPY')
    points.tofile(tmp_path / 'B.BIN')
    for name in ('A.NPY', 'B.BIN'):
        np.testing.assert_array_equal(read_columns(str(tmp_path / name)), points)


def ordered(width, count=600):
    """Rows in the order of a turning sensor: what follows is near."""
    angle = np.linspace(0, 6, count)
    rows = np.column_stack([12 * np.cos(angle), 9 * np.sin(angle), np.sin(9 * angle) - 1.5,
                            0.3 + 0.01 * np.cos(5 * angle), np.arange(count) % 8,
                            0.1 * angle / 6, *5 * [np.full(count, 7.)]])
    return rows[:, :width].astype(np.float32)


@pytest.mark.parametrize('width, said', [(5, 4), (4, 5), (4, 3), (6, 4), (5, 3), (3, 5)])
def test_columns_of_another_number_are_told(tmp_path, width, said):
    ordered(width).tofile(tmp_path / 'a.bin')
    assert read_columns(str(tmp_path / 'a.bin'), width).shape == (600, width)
    with pytest.raises(ScanColumnsError, match=f'repeat as rows of {width} do; set lidar.dim '
                       'in rig.yaml, --lidar-dim'):
        read_columns(str(tmp_path / 'a.bin'), said)


@pytest.mark.parametrize('width, said', [(4, 8), (3, 6), (3, 9), (5, 10)])
@pytest.mark.parametrize('shuffled', [False, True])
def test_several_points_in_a_row_are_told(tmp_path, width, said, shuffled):
    rows = ordered(width, 3600)
    if shuffled:
        np.random.default_rng(1).shuffle(rows)
    rows.tofile(tmp_path / 'a.bin')
    with pytest.raises(ScanColumnsError, match=f'repeat as rows of {width} do; set'):
        read_columns(str(tmp_path / 'a.bin'), said)


def test_points_of_lasers_that_fire_in_turns_are_told(tmp_path):
    """Sixteen lasers, of which every second looks down, on a street between walls."""
    azimuth = np.radians(np.repeat(np.arange(0, 360, 0.2), 16))
    elevation = np.radians(np.tile(
        [-15, 1, -13, 3, -11, 5, -9, 7, -7, 9, -5, 11, -3, 13, -1, 15], 1800))
    distance = np.minimum(1.5 / np.sin(-elevation).clip(1e-3), 8 / np.abs(np.sin(azimuth) + 1e-3))
    points = np.column_stack([
        distance * np.cos(elevation) * np.cos(azimuth),
        distance * np.cos(elevation) * np.sin(azimuth), distance * np.sin(elevation),
        np.random.default_rng(0).random(28800)]).astype(np.float32)
    points.tofile(tmp_path / 'a.bin')
    np.testing.assert_array_equal(read_columns(str(tmp_path / 'a.bin')), points)
    with pytest.raises(ScanColumnsError, match='repeat as rows of 4 do'):
        read_columns(str(tmp_path / 'a.bin'), 8)


@pytest.mark.parametrize('shuffled', [False, True])
@pytest.mark.parametrize('kind', ['normals', 'velocities', 'corrected', 'colours', 'zeros'])
def test_columns_like_coordinates_are_not_taken_for_points(tmp_path, kind, shuffled):
    rows, rng = ordered(4, 3600), np.random.default_rng(0)
    # Surfaces: what follows in a scan is mostly near, and now and then is not.
    rows[:, :3] *= rng.choice([0.5, 1., 2.], 180).repeat(20)[:, None]
    others = rng.normal(size=(3600, 3))
    others = dict(normals=others / np.linalg.norm(others, axis=1, keepdims=True),
                  velocities=0.3 * others, corrected=rows[:, :3] + [0.2, 0.1, 0.],
                  colours=255 * rng.random((3600, 3)), zeros=0 * others)[kind]
    rows = np.column_stack([rows, others, np.full(3600, 7.)]).astype(np.float32)
    if shuffled:
        rng.shuffle(rows)
    rows.tofile(tmp_path / 'a.bin')
    np.testing.assert_array_equal(read_columns(str(tmp_path / 'a.bin'), 8), rows)


def test_a_size_that_fits_other_columns_is_told(tmp_path):
    ordered(5, 601).tofile(tmp_path / 'a.bin')
    with pytest.raises(ScanColumnsError, match=r'12020 bytes, 4 too many.*a point has 5 columns'):
        read_columns(str(tmp_path / 'a.bin'))
    np.save(tmp_path / 'a.npy', ordered(5))
    with pytest.raises(ScanColumnsError, match=r'shape \(N, 4\), found .*600, 5\); set'):
        read_columns(str(tmp_path / 'a.npy'))


@pytest.mark.parametrize('spoil', [
    lambda rows, bad: rows.__setitem__(bad, 0), lambda rows, bad: rows.__setitem__(bad, np.nan),
    lambda rows, bad: np.random.default_rng(1).shuffle(rows),
    lambda rows, bad: rows.__setitem__(slice(None), 1.),
], ids=['zeros', 'nan', 'shuffled', 'constant'])
@pytest.mark.parametrize('width', [3, 4, 5, 6, 8])
def test_right_columns_are_never_doubted(tmp_path, width, spoil):
    rows = ordered(width)
    spoil(rows, np.random.default_rng(0).random(600) < 0.6)
    rows.tofile(tmp_path / 'a.bin')
    np.testing.assert_array_equal(read_columns(str(tmp_path / 'a.bin'), width), rows)


def test_real_scans_tell_their_columns(shared_data):
    for folder, width in (('kitti_object/training/velodyne', 4),
                          ('nuscenes_frame/samples/LIDAR_TOP', 5)):
        for path in (shared_data / folder).glob('*.bin'):
            assert len(read_columns(str(path), width)) > 1e4
            size = path.stat().st_size // 4
            multiples = {other for other in (8, 10) if other % width == 0 and size % other == 0}
            for other in {3, 4, 5, 6, 7, 9} - {width} | multiples:
                with pytest.raises(ScanColumnsError, match=f'(of|has).*{width}'):
                    read_columns(str(path), other)


def test_binary_pcd(points, tmp_path):
    rows, header = padded(points)
    (tmp_path / 'a.pcd').write_bytes(PCD.format(data='binary', **header).encode() + rows.tobytes())
    np.testing.assert_array_equal(read_columns(str(tmp_path / 'a.pcd')), points)
    (tmp_path / 'a.pcd').write_bytes(
        PCD.format(data='binary', **header).encode() + rows.tobytes()[:-1])
    with pytest.raises(ScanError, match='7 points of 32 bytes, found 223 bytes'):
        read_columns(str(tmp_path / 'a.pcd'))


def test_ascii_pcd(points, tmp_path):
    header = dict(fields='z y x', size='4 4 4', type='F F F', count='1 1 1', points=len(points))
    text = '\n'.join(' '.join(map(repr, row[2::-1].tolist())) for row in points)
    (tmp_path / 'a.PCD').write_text(PCD.format(data='ascii', **header) + text + '\n')
    np.testing.assert_allclose(read_columns(str(tmp_path / 'a.PCD')), points[:, :3])
    (tmp_path / 'a.PCD').write_text(PCD.format(data='ascii', **header) + text[:-30])
    with pytest.raises(ScanError, match='expected 7 lines of 3 numbers'):
        read_columns(str(tmp_path / 'a.PCD'))


@pytest.mark.parametrize('text', [False, True])
def test_ply(points, tmp_path, text):
    plyfile = pytest.importorskip('plyfile')
    rows = np.zeros(len(points), [('x', 'f8'), ('y', 'f8'), ('z', 'f8'), ('red', 'u1'),
                                  ('scalar_Intensity', 'f4')])
    for place, name in enumerate(('x', 'y', 'z', 'scalar_Intensity')):
        rows[name] = points[:, place]
    plyfile.PlyData([plyfile.PlyElement.describe(rows, 'vertex')], text=text).write(
        str(tmp_path / 'a.ply'))
    np.testing.assert_allclose(read_columns(str(tmp_path / 'a.ply')), points, rtol=1e-6)


def npy():
    file = io.BytesIO()
    np.save(file, np.zeros((5, 4), np.float32))
    return file.getvalue()


def npz():
    file = io.BytesIO()
    np.savez(file, np.zeros((5, 4), np.float32))
    return file.getvalue()


@pytest.mark.parametrize('lidar_dim', [0, 1, -1, -4])
@pytest.mark.parametrize('name', ['a.bin', 'a.npy'])
def test_fewer_columns_than_coordinates_are_refused(tmp_path, name, lidar_dim):
    (tmp_path / name).write_bytes(npy())
    with pytest.raises(ScanError, match=f'at least x, y and z, found lidar_dim = {lidar_dim}'):
        read_columns(str(tmp_path / name), lidar_dim)


@pytest.mark.parametrize('name, content, match', [
    ('a.txt', b'', "ends in one of .bin, .npy, .pcd, .ply, found '.txt'"),
    ('a.bin', b'12345', r'rows of 4 float32 .*--lidar-dim on the command line'),
    ('a.bin', b'', 'expected points, found none'),
    ('a.npy', b'no array', 'expected a NumPy array'),
    ('a.npy', npy()[:68] + b' ' + npy()[69:], 'expected a NumPy array'),  # without its bracket
    ('a.npy', b'PK\x03\x04 no zip', 'expected a NumPy array'),
    ('a.npy', npz(), 'found an archive of several'),
    ('a.pcd', b'\x00\x01\x02', 'expected the header of a PCD file'),
    ('a.pcd', b'FIELDS a b\nSIZE 4 4\nTYPE F F\nPOINTS 0\nDATA ascii\n', 'fields x, y and z'),
    ('a.pcd', b'FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nPOINTS 9\nDATA binary_compressed\n',
     'compressed by LZF, found an error'),
    ('a.pcd', b'FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nPOINTS 9\nDATA zipped\n',
     'expected DATA ascii, binary or binary_compressed, found zipped'),
    ('a.ply', b'no ply', 'expected a PLY file with vertices'),
])
def test_broken_files_are_named(tmp_path, name, content, match):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ScanError, match=match) as error:
        read_columns(str(tmp_path / name))
    assert name in str(error.value)


def test_no_file(tmp_path):
    with pytest.raises(ScanError, match='expected a file, found none'):
        read_columns(str(tmp_path / 'none.bin'))


HEADER = '''# .PCD v0.7 - Point Cloud Data file format
VERSION 0.7
FIELDS x y z intensity ring time
SIZE 4 4 4 4 2 8
TYPE F F F F U F
COUNT 1 1 1 1 1 1
WIDTH 4
HEIGHT 4
VIEWPOINT 0 0 0 1 0 0 0
POINTS 16
DATA {}
'''
# Written by pypcd4 1.5.1.
COMPRESSED = base64.b64decode(
    'wgAAAKABAAAEAAAAQADgBAMAQCAPAcB/gAdACwCAIA/gAwMAoCAP4AMDQAABgD8gBSAXQC9AAEA/4AMP'
    '4Acf4AMPAcC/4AoDIH/gDBfgCitAAARIQgAAyCADQADgJwsEAQACAAMgOOAPB4AABy1DHOviNho/gAcI'
    'Kj9iMlUwKqkzoA8IOj/8qfHSTWJAoBcIQz/HuriNBvBGoB8ISj+Ty39Iv31NoCcIUD8vbqMBvAVSoC8I'
    'Uz+V9gZfmExVoDcJVj/6fmq8dJNYPw==')
COLUMNS = dict(
    x=2. + np.arange(16) // 4, y=np.arange(16.) % 4, z=np.full(16, -1.5),
    intensity=np.arange(16) % 3 * 50., ring=np.arange(16) % 4, time=np.arange(16) * 1e-4)
for axis in 'xyz':
    COLUMNS[axis][5] = np.nan


@pytest.fixture
def write(tmp_path):
    """Function: DATA and what follows -> the file."""

    def write(data, body):
        (tmp_path / 'a.pcd').write_bytes(HEADER.format(data).encode() + body)
        return str(tmp_path / 'a.pcd')

    return write


def test_a_compressed_organised_cloud_with_nan(write):
    fields = read_pcd(write('binary_compressed', COMPRESSED))
    assert list(fields) == list(COLUMNS)
    for name, values in COLUMNS.items():
        np.testing.assert_allclose(fields[name], values, rtol=1e-7, err_msg=name)
    assert fields['ring'].dtype == np.uint16 and fields['time'].dtype == np.float64


@pytest.mark.parametrize('data', ['ascii', 'binary'])
def test_the_other_encodings_hold_the_same(write, data):
    rows = np.zeros(16, [(name, kind) for name, kind in zip(
        COLUMNS, ('<f4', '<f4', '<f4', '<f4', '<u2', '<f8'))])
    for name, values in COLUMNS.items():
        rows[name] = values
    body = rows.tobytes() if data == 'binary' else '\n'.join(  # tabs and blanks, as tools mix them
        '\t '.join(map(str, row)) for row in rows.tolist()).encode()
    fields = read_pcd(write(data, body))
    for name, values in COLUMNS.items():
        np.testing.assert_allclose(fields[name], values, rtol=1e-7, err_msg=name)


@pytest.mark.parametrize('body, match', [
    (b'', 'found an error: unpack_from requires'),
    (COMPRESSED[:-9], 'found an error: (it is cut off|40. bytes instead of 416)'),
    (COMPRESSED[:4] + b'\x9f' + COMPRESSED[5:], '415 bytes for 16 points of 26'),
    (COMPRESSED[:8] + b'\xff' + COMPRESSED[9:], 'before the first'),
])
def test_broken_compression_is_told(write, body, match):
    with pytest.raises(ValueError, match='expected 16 points of 26 bytes.*' + match):
        read_pcd(write('binary_compressed', body))


@pytest.mark.parametrize('compressed, plain', [
    ('016161e0ff00e0ff00e03b00016161', 600 * b'a'),
    ('0361626361e08702016263', 50 * b'abc'),
    ('1f000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f0b20212223242526277879'
     '7a00e01c2a012627', bytes(range(40)) + b'xyz' + bytes(range(40))),
    ('103031323334353637383961626364656630e0ff0fe1ff0f' + 40 * 'e2ff0f' + 'e2560f02656e64',
     700 * b'0123456789abcdef' + b'end'),
])
def test_lzf(compressed, plain):
    assert decompress_lzf(bytes.fromhex(compressed), len(plain)) == plain
    for cut in range(1, len(compressed) // 2):
        with pytest.raises(ValueError):
            decompress_lzf(bytes.fromhex(compressed)[:-cut], len(plain))
