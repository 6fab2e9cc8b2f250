import pickle

import pytest

from nclr_plugin.errors import DataLayoutError
from nclr_plugin.datasets.segmentation import list_infos, read_infos, write_infos
from nclr_plugin.datasets.segmentation.infos import frame_id, require_sequences


@pytest.fixture
def partial(tmp_path, make_frame):
    """Of sequence 00, frame 2 has lost its labels and frame 3 its scan; 05 has frame 0."""
    for number in (4, 0, 2, 3):
        make_frame('00', number, [40] * 10)
    make_frame('05', 0, [40] * 10)
    (tmp_path / 'sequences/00/labels/000002.label').unlink()
    (tmp_path / 'sequences/00/velodyne/000003.bin').unlink()
    return tmp_path


def test_lists_the_frames_that_are_there(partial):
    infos = list_infos(str(partial), ('05', '00', '07'))
    assert [frame_id(info) for info in infos] == ['00/000000', '00/000004', '05/000000']
    assert infos[1] == dict(
        lidar_points=dict(lidar_path='sequences/00/velodyne/000004.bin', num_pts_feats=4),
        pts_semantic_mask_path='sequences/00/labels/000004.label', sample_idx='00/000004')


def test_unlabelled_frames_have_no_label_path(partial):
    infos = list_infos(str(partial), ('00', ), labelled=False)
    assert [frame_id(info)[-1] for info in infos] == ['0', '2', '4']
    assert not any('pts_semantic_mask_path' in info for info in infos)


def test_hidden_files_are_no_frames(partial):
    for name in ('velodyne/._000000.bin', 'labels/._000000.label'):
        (partial / 'sequences/05' / name).touch()
    assert [frame_id(info) for info in list_infos(str(partial), ('05', ))] == ['05/000000']


def test_the_host_reads_them(partial):
    pytest.importorskip('mmdet3d')
    from mmdet3d.datasets import SemanticKittiDataset
    write_infos(str(partial / 'infos.pkl'), list_infos(str(partial), ('00', )))
    dataset = SemanticKittiDataset(
        data_root=str(partial), ann_file='infos.pkl', pipeline=[],
        metainfo=dict(seg_label_mapping={40: 8}, max_label=259,
                      classes=SemanticKittiDataset.METAINFO['classes']))
    info = dataset.get_data_info(1)
    assert info['lidar_path'] == str(partial / 'sequences/00/velodyne/000004.bin')
    assert info['pts_semantic_mask_path'] == str(partial / 'sequences/00/labels/000004.label')


def test_another_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='sequences.*SemanticKITTI'):
        list_infos(str(tmp_path), ('00', ))


def test_sequences_asked_for_by_name_must_be_there(partial):
    infos = list_infos(str(partial), ('00', '92'))
    with pytest.raises(DataLayoutError, match=r'sequences 1 \(92\), found none.*\(00, 05\)'):
        require_sequences(str(partial), ('00', '92'), infos)


def test_no_frame_is_an_error(tmp_path):
    with pytest.raises(DataLayoutError, match='expected frames'):
        write_infos(str(tmp_path / 'infos.pkl'), [])


def test_old_info_files_are_refused(tmp_path):
    path = tmp_path / 'infos.pkl'
    path.write_bytes(pickle.dumps([dict(lidar_path='a')]))
    with pytest.raises(DataLayoutError, match="'data_list'.*found a list"):
        read_infos(str(path))
    with pytest.raises(FileNotFoundError, match='create_infos'):
        read_infos(str(tmp_path / 'absent.pkl'))
