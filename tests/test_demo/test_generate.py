"""Whole data sets."""
import hashlib

import pytest

from nclr_plugin.demo import DemoOptions, generate

TINY = dict(scenes=3, val_scenes=1, towns=2, image_size=(64, 32), azimuths=90)


def digest(root):
    return {
        str(path.relative_to(root)): hashlib.md5(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob('*')) if path.is_file()
    }


@pytest.mark.parametrize('layout', ['semantickitti', 'kitti', 'nuscenes', 'rig'])
def test_same_files_with_any_number_of_workers(tmp_path, layout):
    reports = []
    generate(str(tmp_path / 'one'),
             layout,
             DemoOptions(**TINY),
             report=lambda done, total: reports.append((done, total)))
    generate(str(tmp_path / 'two'), layout, DemoOptions(**TINY), workers=2)
    one, two = digest(tmp_path / 'one'), digest(tmp_path / 'two')
    assert len(one) > 10
    assert one == two
    total = reports[0][1]
    assert reports == [(k + 1, total) for k in range(total)]


def test_more_scenes_keep_the_first_ones(tmp_path):
    generate(str(tmp_path / 'few'), 'semantickitti', DemoOptions(**{**TINY, 'scenes': 2}))
    generate(str(tmp_path / 'more'), 'semantickitti', DemoOptions(**TINY))
    few, more = digest(tmp_path / 'few'), digest(tmp_path / 'more')
    scans = [name for name in few if name.endswith(('.png', '.bin', '.label'))]
    assert len(scans) == 9
    assert all(few[name] == more[name] for name in scans)


def test_seed_and_heading_change_everything(tmp_path):
    made = []
    for name, change in (('a', {}), ('b', dict(seed=1)), ('c', dict(heading='free'))):
        generate(str(tmp_path / name), 'kitti', DemoOptions(**{**TINY, **change}))
        made.append(digest(tmp_path / name))
    scans = [name for name in made[0] if 'velodyne' in name]
    assert all(len({files[name] for files in made}) == 3 for name in scans)


def test_refuses_a_folder_that_holds_something(tmp_path):
    (tmp_path / 'mine.txt').write_text('keep')
    with pytest.raises(FileExistsError, match='absent or empty folder'):
        generate(str(tmp_path), 'kitti', DemoOptions(**TINY))
    assert [path.name for path in tmp_path.iterdir()] == ['mine.txt']


def test_unknown_layout(tmp_path):
    with pytest.raises(ValueError, match="'waymo'"):
        generate(str(tmp_path / 'out'), 'waymo', DemoOptions(**TINY))


@pytest.mark.parametrize('layout, most', [('semantickitti', 10), ('nuscenes', 8)])
def test_too_many_towns(tmp_path, layout, most):
    with pytest.raises(ValueError, match=f'at most {most}'):
        generate(str(tmp_path / 'out'), layout, DemoOptions(**{**TINY, 'towns': most + 1}))


def test_command_line(tmp_path, capsys, load_tool):
    main = load_tool('create_demo_data').main
    out = tmp_path / 'out'
    main(
        [str(out), '--scenes', '2', '--image-size', '64', '32', '--azimuths', '90', '--towns', '1'])
    printed = capsys.readouterr().out
    assert '3/3' in printed and 's a scene' in printed
    assert f'sequence 00 (training): 2 frames in {out}' in printed
    assert f'sequence 08 (validation): 1 frames in {out}' in printed
    with pytest.raises(SystemExit, match='absent or empty'):
        main([str(out), '--scenes', '1'])
