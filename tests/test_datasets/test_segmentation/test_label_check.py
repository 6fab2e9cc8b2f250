import numpy as np
import pytest

from nclr_plugin.errors import DataLayoutError
from nclr_plugin.datasets.segmentation import check_labels

KNOWN = (0, 10, 40, 252)


def check(*files, **options):
    return check_labels([tuple(map(str, pair)) for pair in files], 4, 'uint32', **options)


def test_good_files(make_frame):
    files = [make_frame('00', number, [0, 10, 40, 252 + 2**16 * 7]) for number in range(3)]
    assert check(*files, known=KNOWN, offset=2**16) == 3


def test_label_file_shorter_than_its_scan(make_frame):
    scan, label = make_frame('00', 5, [40] * 10)
    np.full(7, 40, np.uint32).tofile(label)
    with pytest.raises(DataLayoutError) as error:
        check(make_frame('00', 1, [40] * 4), (scan, label))
    message = str(error.value)
    assert str(label) in message and str(scan) in message
    assert 'expected 10 labels' in message and 'found 7 (28 bytes' in message


def test_label_outside_the_map(make_frame):
    frame = make_frame('00', 0, [40, 2 + 2**16, 10, 300])
    with pytest.raises(DataLayoutError, match=rf"{frame[1]}.*\[0, 10, 40, 252\], found \[2, 300\]"):
        check(frame, known=KNOWN, offset=2**16)
    assert check(frame) == 1, 'without a map only sizes are compared'


def test_files_cut_off_in_the_middle_of_a_value(make_frame):
    scan, label = make_frame('00', 0, [40] * 4)
    label.write_bytes(label.read_bytes()[:-1])
    with pytest.raises(DataLayoutError, match=f'{label}.*rows of 4 bytes.*3 bytes after 3 rows'):
        check((scan, label))
    scan, label = make_frame('00', 0, [40] * 4)
    scan.write_bytes(scan.read_bytes()[:-4])
    with pytest.raises(DataLayoutError, match=f'{scan}.*rows of 16 bytes'):
        check((scan, label))


def test_absent_file(make_frame):
    scan, label = make_frame('00', 0, [40] * 4)
    label.unlink()
    with pytest.raises(FileNotFoundError, match=f'{label}.*create_infos'):
        check((scan, label))
