import csv

import pytest

from nclr_plugin.evaluation.view_file import check_view_file, write_views


def record(**kwargs):
    errors = dict(rre_geodesic_deg=[0.1, 1 / 3], rre_euler_deg=[0.2, 0.5], rte_m=[1., 2.])
    return dict(
        dict(frame_id='00/000001', view=['left', 'right'], wrong_image=False, valid=[True, False],
             predicted=errors, identity={name: [7., 8.] for name in errors}), **kwargs)


def read(path):
    with open(path, newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def test_a_row_for_each_view(tmp_path):
    path = tmp_path / 'new' / 'views.csv'
    write_views(path, [
        record(pred_inlier_ratio=[0.25, 0.], pred_reprojection_error=[1.5, float('nan')]),
        record(frame_id='00/000002', wrong_image=True)])
    rows = read(path)
    assert [(row['frame_id'], row['view'], row['wrong_image'], row['valid']) for row in rows] == [
        ('00/000001', 'left', '0', '1'), ('00/000001', 'right', '0', '0'),
        ('00/000002', 'left', '1', '1'), ('00/000002', 'right', '1', '0')]
    assert float(rows[1]['rre_geodesic_deg']) == 1 / 3  # to the last digit
    assert (rows[1]['identity_rte_m'], rows[0]['pred_inlier_ratio']) == ('8.0', '0.25')
    assert rows[1]['pred_reprojection_error'] == 'nan' and rows[2]['pred_inlier_ratio'] == ''


def test_replaces_a_file(tmp_path):
    path = tmp_path / 'views.csv'
    for _ in range(2):
        write_views(path, [record()])
    assert len(read(path)) == 2


def test_refuses_another_format():
    with pytest.raises(ValueError, match=r'expected the path of a \.csv file, found "views\.json"'):
        check_view_file('views.json')


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(OSError, match=r'file.views\.csv: the errors of the views could not be'):
        write_views(tmp_path / 'file' / 'views.csv', [record()])
