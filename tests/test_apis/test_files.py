"""Files in, extrinsics and overlays out, by ``tools/calibrate.py``, and its exit status."""
import cv2
import numpy as np
import pytest
import yaml
from rectangles import CAM2IMG, HEIGHT, WIDTH, make_frame, off_by, true_pose

from nclr_plugin.apis import joint_search
from nclr_plugin.apis.results import pose_difference
from nclr_plugin.datasets import KittiObjectReader


@pytest.fixture
def files(scene, tmp_path, save_network):
    """Words of the command line for a good pair."""
    assert cv2.imwrite(str(tmp_path / 'a.png'), scene.image[..., ::-1])
    scene.points.tofile(tmp_path / 'a.bin')
    (tmp_path / 'K.yaml').write_text(yaml.safe_dump(dict(
        cam2img=scene.cam2img.tolist(), image_size=[scene.width, scene.height])))
    return [str(tmp_path / 'a.png'), str(tmp_path / 'a.bin'), '--intrinsics',
            str(tmp_path / 'K.yaml'), '--checkpoint', save_network(), '--out',
            str(tmp_path / 'out'), '--device', 'cpu']


def test_files_re_read_to_the_same_transform(status, files, scene, tmp_path, capsys):
    assert status(files) == 0
    written = yaml.safe_load((tmp_path / 'out/extrinsics.yaml').read_text())
    np.testing.assert_allclose(written['lidar2cam'], scene.lidar2cam, atol=0.02)
    assert written['reliable'] is True and written['inlier_ratio'] > 0.99
    picture = cv2.imread(str(tmp_path / 'out/overlay_a.png'))
    assert picture.shape[1] > scene.width
    assert capsys.readouterr().out.startswith(
        'a: 100% of the matches agree, to 0.2 px; photometric consistency ')
    # Its own output is an initial guess, and the answer to the last bit what Python gets.
    from nclr_plugin.apis import calibrate, load_scan, read_intrinsics
    found = calibrate(scene.image, load_scan(files[1]), read_intrinsics(files[3]), files[5])
    assert written['lidar2cam'] == found.lidar2cam.tolist()


def test_initial_guess(status, files, scene, tmp_path, save_network, capsys):
    (tmp_path / 'guess.yaml').write_text(yaml.safe_dump(dict(lidar2cam=scene.lidar2cam.tolist())))
    known = scene.lidar2cam.copy()
    axes = np.array([[0., -1, 0], [0, 0, -1], [1, 0, 0]])
    known[:3, :3] = axes  # once it is stood up by the guess, the camera looks straight ahead
    files[5] = save_network(truth=known)
    assert status([*files, '--initial', str(tmp_path / 'guess.yaml')]) == 0
    assert ', 0.06 deg and 0.01 m from the initial guess' in capsys.readouterr().out


def test_an_answer_that_contradicts_the_guess(status, files, scene, tmp_path, save_network,
                                              capsys):
    guess = np.diag([-1., 1., -1., 1.]) @ scene.lidar2cam  # of a camera that looks back
    guess[:3, 3] = scene.lidar2cam[:3, 3]
    known = scene.lidar2cam.copy()
    axes = np.array([[0., -1, 0], [0, 0, -1], [1, 0, 0]])
    known[:3, :3] = scene.lidar2cam[:3, :3] @ (axes.T @ guess[:3, :3]).T
    (tmp_path / 'guess.yaml').write_text(yaml.safe_dump(dict(lidar2cam=guess.tolist())))
    files[5] = save_network(truth=known)
    assert status([*files, '--initial', str(tmp_path / 'guess.yaml')]) == 1
    assert yaml.safe_load((tmp_path / 'out/extrinsics.yaml').read_text())['reliable'] is False
    assert 'NOT RELIABLE: it contradicts the initial guess by more than 30 deg' in (
        capsys.readouterr().out)


def test_a_pose_that_is_not_reliable(status, files, tmp_path, save_network, capsys):
    files[5] = save_network(wrong=1.)
    assert status(files) == 1
    assert yaml.safe_load((tmp_path / 'out/extrinsics.yaml').read_text())['reliable'] is False
    out = capsys.readouterr().out
    assert 'NOT RELIABLE' in out or 'no pose was found' in out


@pytest.fixture
def folders(files, scene, tmp_path):
    """Words of the command line for folders of good pairs."""
    for name in ('images', 'scans'):
        (tmp_path / name).mkdir()
    for stem in ('000', '001', '002', '003'):
        cv2.imwrite(str(tmp_path / f'images/{stem}.jpg'), scene.image[..., ::-1])
        np.save(tmp_path / f'scans/{stem}.npy', scene.points)
    return [str(tmp_path / 'images'), str(tmp_path / 'scans'), *files[2:]]


def test_folders_are_fused(status, folders, scene, tmp_path, capsys):
    assert status(folders) == 0
    written = yaml.safe_load((tmp_path / 'out/extrinsics.yaml').read_text())
    np.testing.assert_allclose(written['lidar2cam'], scene.lidar2cam, atol=0.02)
    assert written['used'] == list(written['pairs']) == ['000', '001', '002', '003']
    assert written['unusable'] == {}
    assert max(written['translation_spread_m']) < 1e-6
    assert len(list((tmp_path / 'out').glob('overlay_*.png'))) == 4
    assert '4 of 4 pairs are reliable, 4 agree' in capsys.readouterr().out


@pytest.mark.parametrize('lost, side', [('scans/002.npy', 'scan'), ('images/002.jpg', 'image')])
def test_an_incomplete_pair_is_named_and_the_others_are_done(status, folders, tmp_path, capsys,
                                                             lost, side):
    (tmp_path / lost).unlink()
    assert status(folders) == 0
    written = yaml.safe_load((tmp_path / 'out/extrinsics.yaml').read_text())
    assert written['used'] == list(written['pairs']) == ['000', '001', '003']
    assert list(written['unusable']) == ['002'] and f'its {side} in' in written['unusable']['002']
    out = capsys.readouterr().out
    assert '002: NOT USABLE: expected its ' + side in out and 'frame_list' not in out
    assert '3 of 3 pairs are reliable, 3 agree, 1 could not be used' in out


@pytest.mark.parametrize('name', ['._000.jpg', '.hidden.png', '000_thumb.jpg', 'Thumbnail.PNG',
                                  'thumbs.db', '.DS_Store'])
def test_files_that_are_no_data_do_not_count_as_images(status, folders, tmp_path, name):
    (tmp_path / 'images' / name).write_bytes(b'x')
    assert status(folders) == 0
    written = yaml.safe_load((tmp_path / 'out/extrinsics.yaml').read_text())
    assert written['unusable'] == {} and len(written['pairs']) == 4


def test_folders_without_one_complete_pair(status, folders, tmp_path, capsys):
    for stem in ('000', '001', '002', '003'):
        (tmp_path / f'scans/{stem}.npy').rename(tmp_path / f'scans/scan_{stem}.npy')
    assert status(folders) == 2
    message = capsys.readouterr().err
    assert 'with the same stems' in message and 'scan_000' in message
    assert 'frame_list' not in message


def test_a_bad_pair_of_a_folder_is_named_and_left_out(status, folders, scene, tmp_path, capsys):
    np.save(tmp_path / 'scans/001.npy', scene.points * 1000)
    assert status(folders) == 0
    written = yaml.safe_load((tmp_path / 'out/extrinsics.yaml').read_text())
    np.testing.assert_allclose(written['lidar2cam'], scene.lidar2cam, atol=0.02)
    assert written['used'] == list(written['pairs']) == ['000', '002', '003']
    assert 'expected metres' in written['unusable']['001']
    out = capsys.readouterr().out
    assert '001: NOT USABLE: ' in out
    assert '3 of 3 pairs are reliable, 3 agree, 1 could not be used' in out
    for stem in ('000', '002', '003'):
        (tmp_path / f'images/{stem}.jpg').write_bytes(b'x')
    assert status(folders) == 2
    message = capsys.readouterr().err
    assert 'none of 4 pairs can be used; 003: ' in message and 'cannot be decoded' in message


@pytest.mark.parametrize('place, replace, match', [
    (0, lambda path, _: path.write_bytes(b'x'), 'cannot be decoded'),
    (0, lambda path, scene: cv2.imwrite(str(path), scene.image[::2, ::2]),
     'expected 300 x 120 pixels'),
    (0, lambda path, _: path.unlink(), 'expected a file, found none'),
    (1, lambda path, scene: (scene.points * 1000).tofile(path), 'expected metres'),
    (1, lambda path, _: path.write_bytes(b''), 'expected points, found none'),
    (1, lambda path, scene: np.full_like(scene.points, np.nan).tofile(path), 'NaN or infinity'),
    (1, lambda path, scene: one_ring(scene).tofile(path), 'expected a scan of many rings'),
    (3, lambda path, _: path.unlink(), 'No such file'),
    (3, lambda path, _: path.write_text('image_size: [300, 120]'), 'expected cam2img'),
    (5, lambda path, _: path.write_bytes(b'x'), 'or of another format; take another one'),
    (5, lambda path, _: path.unlink(), 'network.pth'),
])
def test_bad_input_is_a_sentence_and_status_2(status, files, scene, capsys, place, replace, match):
    from pathlib import Path
    replace(Path(files[place]), scene)
    assert status(files) == 2
    message = capsys.readouterr().err
    assert match in message and len(message.strip().splitlines()) == 1


def one_ring(scene):
    points = scene.points.copy()
    points[:, 2] = 0.1 * np.hypot(points[:, 0], points[:, 1])
    return points


def test_points_all_behind_the_camera(status, files, scene, tmp_path, capsys):
    (tmp_path / 'guess.yaml').write_text(yaml.safe_dump(dict(lidar2cam=scene.lidar2cam.tolist())))
    ahead = scene.lidar2cam[2, :3] @ scene.points[:, :3].T > 2
    scene.points[~ahead].tofile(files[1])
    assert status([*files, '--initial', str(tmp_path / 'guess.yaml')]) == 2
    assert 'are behind the camera' in capsys.readouterr().err


def test_a_real_pair(status, files, shared_data, save_network, tmp_path):
    """True intrinsics, image and scan as KITTI has them; what is written re-reads to the pose."""
    frame = KittiObjectReader().read(str(shared_data / 'kitti_object'))[0]
    view = frame['images'][0]
    truth = np.asarray(view['lidar2cam'])
    (tmp_path / 'K.yaml').write_text(
        yaml.safe_dump(dict(cam2img=np.asarray(view['cam2img']).tolist())))
    files[0], files[1] = str(view['img_path']), str(frame['lidar_path'])
    files[5] = save_network(truth=truth)
    assert status(files) in (0, 1)  # whether it is reliable is not what this network is for
    written = yaml.safe_load((tmp_path / 'out/extrinsics.yaml').read_text())
    np.testing.assert_allclose(written['lidar2cam'], truth, atol=0.02)
    overlay, = (tmp_path / 'out').glob('overlay_*.png')
    assert cv2.imread(str(overlay)).shape[1] >= cv2.imread(files[0]).shape[1]


def test_a_file_and_a_folder(status, files, tmp_path, capsys):
    assert status([str(tmp_path), *files[1:]]) == 2
    assert 'two files or two folders' in capsys.readouterr().err
    assert status([*files, '--initial', files[3]]) == 2
    assert 'expected a YAML file with lidar2cam' in capsys.readouterr().err


def test_options_for_columns_and_intensities(status, files, scene, tmp_path, capsys):
    """Six columns, intensities in percent, 35% of the rows without a return."""
    count = len(scene.points)
    rows = np.full((round(count / 0.65), 6), np.nan, np.float32)
    places = np.sort(np.random.default_rng(0).permutation(len(rows))[:count])
    rows[places, :4] = scene.points * np.array([1, 1, 1, 100], np.float32)
    rows[places, 4:] = np.arange(count)[:, None] % [16, 2000]
    rows.tofile(files[1])
    assert status(files) == 2
    assert '--lidar-dim' in capsys.readouterr().err
    assert status([*files, '--lidar-dim', '6', '--intensity-scale', '1']) == 2
    assert '--intensity-scale' in capsys.readouterr().err
    assert status([*files, '--lidar-dim', '6', '--intensity-scale', '0.01']) == 0
    written = yaml.safe_load((tmp_path / 'out/extrinsics.yaml').read_text())
    scene.points.tofile(files[1])
    assert status(files) == 0
    again = yaml.safe_load((tmp_path / 'out/extrinsics.yaml').read_text())
    np.testing.assert_allclose(written['lidar2cam'], again['lidar2cam'], atol=0.02)
    assert written['num_matches'] == again['num_matches']


def test_a_guess_is_refined_without_a_network(status, files, scene, tmp_path, capsys,
                                              monkeypatch):
    monkeypatch.setattr(joint_search, 'LEVELS', joint_search.LEVELS[-1:])  # one pair: kept anyway
    guess = scene.lidar2cam.copy()
    guess[:3, 3] += 0.1
    (tmp_path / 'guess.yaml').write_text(yaml.safe_dump(dict(lidar2cam=guess.tolist())))
    words = files[:4] + ['--out', str(tmp_path / 'out'), '--refine']
    assert status(words) == 2  # no guess
    assert status([*words, '--initial', str(tmp_path / 'guess.yaml')]) == 1  # one pair
    written = yaml.safe_load((tmp_path / 'out/extrinsics.yaml').read_text())
    assert written['kept'] == 'guess' and written['lidar2cam'] == guess.tolist()
    assert 'NOT RELIABLE' in capsys.readouterr().out
    height, width, _ = cv2.imread(str(tmp_path / 'out/refinement.png')).shape
    assert width > 1800 and height > 700  # one frame, twice, and the scores


def test_a_list_of_pairs_and_other_formats(status, folders, scene, tmp_path, capsys):
    (tmp_path / 'pairs.txt').write_text(''.join(
        f'images/{stem}.jpg scans/{stem}.npy\n' for stem in ('000', '002', '003')))
    words = [str(tmp_path / 'pairs.txt'), *folders[2:], '--format', 'kitti', 'ros',
             '--lidar-frame', 'velodyne']
    assert status(words) == 0
    written = yaml.safe_load((tmp_path / 'out/extrinsics.yaml').read_text())
    assert written['used'] == ['000', '002', '003']
    line = (tmp_path / 'out/extrinsics_kitti.txt').read_text()
    np.testing.assert_allclose(np.array(line.split()[1:], float).reshape(3, 4),
                               scene.lidar2cam[:3], atol=0.02)
    out = capsys.readouterr().out
    assert line in out and '--frame-id velodyne --child-frame-id camera_optical' in out
    (tmp_path / 'pairs.txt').write_text('images/000.jpg\n')
    assert status(words) == 2
    assert 'expected an image and a scan per line' in capsys.readouterr().err


def test_image_and_scan_may_stand_apart(status, files, capsys):
    assert status([files[0], *files[2:], files[1]]) == 0
    assert status([*files[2:], *files[:2]]) == 0
    assert status([files[0], files[1], *files[2:], files[1]]) == 2  # one too many
    assert 'unrecognized arguments' in capsys.readouterr().err
    assert status([*files[2:], files[0]]) == 2
    assert 'expected a scan beside the image' in capsys.readouterr().err


@pytest.fixture
def places(tmp_path, save_network):
    """Function: number of later scans -> words of the command line for six pairs, none reliable.

    The network is 1 deg and 0.2 m off.
    """

    def write(later=0):
        for name in ('images', 'scans'):
            (tmp_path / name).mkdir()
        for number in range(6):
            image, points = make_frame(number, true_pose())
            cv2.imwrite(str(tmp_path / f'images/{number}.png'), image[..., ::-1])
            np.save(tmp_path / f'scans/{(number - later) % 6}.npy', points)
        (tmp_path / 'K.yaml').write_text(yaml.safe_dump(dict(
            cam2img=CAM2IMG.tolist(), image_size=[WIDTH, HEIGHT])))
        network = save_network(truth=off_by(true_pose(), [0.6, -0.6, 0.5], [0.1, -0.1, 0.1]))
        return [str(tmp_path / 'images'), str(tmp_path / 'scans'), '--intrinsics',
                str(tmp_path / 'K.yaml'), '--checkpoint', network, '--device', 'cpu', '--out',
                str(tmp_path / 'out'), '--min-consistency', '2', '--no-search']

    return write


@pytest.mark.slow
def test_pairs_that_are_not_reliable_are_refined_together(status, places, tmp_path, capsys):
    assert status(places()) == 0
    written = yaml.safe_load((tmp_path / 'out/extrinsics.yaml').read_text())
    assert written['reliable'] is True and written['num_reliable'] == 0
    rotation, translation = pose_difference(np.array(written['lidar2cam']), true_pose())
    assert rotation < 0.3 and translation < 0.1
    assert written['joint']['initial'] != written['lidar2cam'] == written['joint']['refined']
    assert 'refining the mean of the poses that agree' in capsys.readouterr().out
    assert (tmp_path / 'out/refinement.png').is_file()


@pytest.mark.slow
def test_pairs_of_different_places_are_not_reliable_together(status, places, tmp_path):
    assert status(places(later=3)) == 1
    written = yaml.safe_load((tmp_path / 'out/extrinsics.yaml').read_text())
    assert written['reliable'] is False and written['joint']['reliable'] is False
