"""Several readers as one, and the pairing of files by name."""
import shutil

import pytest
from mmengine.registry import TASK_UTILS

import nclr_plugin  # noqa: F401
from nclr_plugin.datasets.readers.base import Folder, list_files, pair_files, read_frame_list


def test_frames_of_all_parts_one_after_another(kitti_odometry, tmp_path):
    other = tmp_path / 'other'
    shutil.copytree(kitti_odometry.root / 'sequences', other / 'sequences')

    def part(root, sequence, frame_list=None):
        return dict(data_root=str(root), reader=dict(
            type='KittiOdometryReader', sequences=[sequence], frame_list=frame_list))

    reader = TASK_UTILS.build(dict(type='ConcatReader', parts=[
        part(kitti_odometry.root, '01'), part(other, '00', ['00/000002', '00/000000'])]))
    frames = reader.read(data_root='anywhere')
    assert [frame['frame_id'] for frame in frames] == [
        '01/000000', '01/000001', '00/000002', '00/000000']
    assert frames[2]['lidar_path'].startswith(str(other))


def test_ids_that_several_parts_have_get_their_root(kitti_odometry, tmp_path):
    root = kitti_odometry.root.parent
    for name in ('second', 'third'):
        shutil.copytree(kitti_odometry.root, root / name)
    reader = dict(type='KittiOdometryReader', sequences=['01'])
    other = dict(reader, sequences=['00'], frame_list=['00/000002'])
    frames = TASK_UTILS.build(dict(type='ConcatReader', parts=[
        dict(data_root=kitti_odometry.root.name, reader=reader),
        dict(data_root='second', reader=reader),
        dict(data_root=str(root / 'third'), reader=other),
    ])).read(str(root))
    first = kitti_odometry.root.name
    assert [frame['frame_id'] for frame in frames] == [
        f'{first}/01/000000', f'{first}/01/000001', 'second/01/000000', 'second/01/000001',
        '00/000002']
    # As two cameras of the same scans.
    frames = TASK_UTILS.build(dict(type='ConcatReader', parts=2 * [
        dict(data_root='', reader=reader)])).read(str(kitti_odometry.root))
    assert [frame['frame_id'] for frame in frames] == [
        'part0/01/000000', 'part0/01/000001', 'part1/01/000000', 'part1/01/000001']


def test_relative_roots_are_below_the_data_root(kitti_odometry, tmp_path):
    part = dict(data_root=kitti_odometry.root.name,
                reader=dict(type='KittiOdometryReader', sequences=['01']))
    reader = TASK_UTILS.build(dict(type='ConcatReader', parts=[part]))
    assert len(reader.read(str(kitti_odometry.root.parent))) == 2
    with pytest.raises(FileNotFoundError, match='nowhere'):
        reader.read(str(tmp_path / 'nowhere'))


@pytest.fixture
def folders(tmp_path):
    """Scans 1, 2, 3 and images 2, 3, 4, with files that do not count."""
    for name, files in dict(scan=['1.bin', '2.bin', '3.bin', 'notes.txt'],
                            image=['2.png', '3.JPG', '4.png']).items():
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).touch()
    return dict(
        scan=Folder(str(tmp_path / 'scan'), ('.bin', )),
        image=Folder(str(tmp_path / 'image'), ('.png', '.jpg')))


def test_unpaired_files_are_listed_by_side(folders):
    with pytest.raises(FileNotFoundError) as error:
        pair_files(folders)
    message = str(error.value)
    assert "scan' has 3 files and misses 1 (4)" in message
    assert "image' has 3 files and misses 1 (1)" in message
    assert 'frame_list' in message


def test_a_list_takes_complete_frames_in_its_order(folders):
    pairs = pair_files(folders, ['3', '2'])
    assert list(pairs) == ['3', '2']
    assert pairs['3']['image'].endswith('3.JPG') and pairs['3']['scan'].endswith('3.bin')


def test_a_listed_frame_must_be_there(folders):
    with pytest.raises(FileNotFoundError, match=r"image' has 3 files and misses 1 \(1\).*the list"):
        pair_files(folders, ['1', '2'])


def test_unpaired_frames_can_be_kept_with_a_warning(folders, monkeypatch):
    warnings = []
    monkeypatch.setattr('nclr_plugin.datasets.readers.base.print_log',
                        lambda text, **kwargs: warnings.append(text))
    pairs = pair_files(folders, keep_unpaired=True)
    assert list(pairs) == ['1', '2', '3', '4']
    assert pairs['4']['scan'].endswith('4.bin') and pairs['1']['image'].endswith('1.png')
    assert len(warnings) == 1 and 'misses 1 (4)' in warnings[0] and 'skip_broken' in warnings[0]
    assert pair_files(folders, ['2'], keep_unpaired=True) and len(warnings) == 1


def test_an_empty_and_an_absent_folder_are_named(folders, tmp_path):
    with pytest.raises(FileNotFoundError, match='has no .npy file'):
        pair_files(dict(folders, scan=Folder(str(tmp_path / 'scan'), ('.npy', ))))
    with pytest.raises(FileNotFoundError, match="nowhere' does not exist.*the files of scan"):
        pair_files(dict(folders, scan=Folder(str(tmp_path / 'nowhere'), ('.bin', ))))


def test_many_missing_files_are_abridged(tmp_path):
    for name, count in (('a', 10), ('b', 1)):
        (tmp_path / name).mkdir()
        for index in range(count):
            (tmp_path / name / f'{index}.bin').touch()
    with pytest.raises(FileNotFoundError, match=r'misses 9 \(1, 2, 3, 4, 5, \.\.\.\)'):
        pair_files({name: Folder(str(tmp_path / name), ('.bin', )) for name in 'ab'})


@pytest.mark.parametrize('name', [
    '._2.png', '.hidden.png', '2.thumb.png', 'thumb_2.jpg', '2_Thumbnail.png', 'Thumbs.db'])
def test_hidden_files_and_thumbnails_are_no_data(tmp_path, name):
    (tmp_path / 'folder.png').mkdir()
    for file in (name, '1.png', 'thumbprint.png', 'Humber thumb_war.txt'):
        (tmp_path / file).touch()
    assert list_files(Folder(str(tmp_path), ('.png', '.jpg', '.db'))) == {
        '1': '1.png', 'thumbprint': 'thumbprint.png'}


def test_of_two_files_of_a_stem_the_preferred_suffix_counts(tmp_path):
    for file in ('1.ply', '1.bin', '2.PLY'):
        (tmp_path / file).touch()
    assert list_files(Folder(str(tmp_path), ('.bin', '.ply'))) == {'1': '1.bin', '2': '2.PLY'}


def test_frame_list_skips_blanks_and_comments(tmp_path):
    (tmp_path / 'train.txt').write_text('# a comment\n\n000003\n 000001  # good\n')
    assert read_frame_list('train.txt', str(tmp_path)) == ['000003', '000001']
    assert read_frame_list(str(tmp_path / 'train.txt'), '/elsewhere') == ['000003', '000001']


@pytest.mark.parametrize('text, match', [('# none\n', 'names no frame'),
                                         ('1\n2\n1\n', r'more than once: 1 \(1\)')])
def test_useless_frame_lists_are_refused(tmp_path, text, match):
    (tmp_path / 'list.txt').write_text(text)
    with pytest.raises(ValueError, match=match):
        read_frame_list('list.txt', str(tmp_path))


def test_an_absent_frame_list_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'gone.txt.*frame_list'):
        read_frame_list('gone.txt', str(tmp_path))
