"""PCD files as PCL's own compression writes them; the bytes here are liblzf's."""
import base64

import numpy as np
import pytest

from nclr_plugin.datasets.pcd import decompress_lzf, read_pcd

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
    (b'', 'found a fault: unpack_from requires'),
    (COMPRESSED[:-9], 'found a fault: (it is cut off|40. bytes instead of 416)'),
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
