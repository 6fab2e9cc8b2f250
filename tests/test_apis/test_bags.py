"""Recordings of ROS 1 and ROS 2, written by rosbags and read back against the arrays."""
import inspect
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

pytest.importorskip('rosbags', reason='rosbags is not installed')
from rosbags import rosbag1, rosbag2  # noqa: E402
from rosbags.typesys import Stores, get_typestore  # noqa: E402

from nclr_plugin.apis import CalibrationInputError  # noqa: E402
from nclr_plugin.apis.bags import is_recording, pair_stamps, read_recording  # noqa: E402

HAS_MCAP = 'storage_plugin' in inspect.signature(rosbag2.Writer).parameters
needs_mcap = pytest.mark.skipif(not HAS_MCAP, reason='this rosbags cannot write .mcap')
KINDS = ['bag', 'db3', pytest.param('mcap', marks=needs_mcap)]
START = 1700000000 * 10**9
IMAGE, SCAN, INFO = '/cam/image_raw', '/points', '/cam/camera_info'


class Messages:
    """Makes messages of one version of ROS."""

    def __init__(self, kind):
        self.ros1 = kind == 'bag'
        self.store = get_typestore(Stores.ROS1_NOETIC if self.ros1 else Stores.ROS2_HUMBLE)

    def make(self, name, seconds, frame, **values):
        """Return a message of sensor_msgs with a header; ``seconds`` from the start."""
        types = self.store.types
        stamp = START + round(seconds * 1e9) if seconds is not None else 0
        seq = dict(seq=0) if self.ros1 else {}
        header = types['std_msgs/msg/Header'](
            stamp=types['builtin_interfaces/msg/Time'](*divmod(stamp, 10**9)), frame_id=frame,
            **seq)
        return types[f'sensor_msgs/msg/{name}'](header=header, **values)

    def image(self, seconds, rgb, frame='cam_optical'):
        return self.make('Image', seconds, frame, height=len(rgb), width=rgb.shape[1],
                         encoding='rgb8', is_bigendian=0, step=3 * rgb.shape[1], data=rgb.ravel())

    def jpeg(self, seconds, rgb, frame='cam_optical'):
        data = cv2.imencode('.jpg', rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])[1].ravel()
        return self.make('CompressedImage', seconds, frame, format='jpeg', data=data)

    def points(self, seconds, points, frame='velodyne', height=1):
        """Rows of x, y, z, 4 bytes of nothing, intensity, ring; each row of the cloud is padded."""
        fields = [('x', 0, 7), ('y', 4, 7), ('z', 8, 7), ('intensity', 16, 7), ('ring', 20, 4)]
        rows = np.zeros((len(points), 22), np.uint8)
        rows[:, :12] = np.ascontiguousarray(points[:, :3], '<f4').view(np.uint8)
        rows[:, 16:20] = np.ascontiguousarray(points[:, 3:4], '<f4').view(np.uint8)
        data = np.pad(rows.reshape(height, -1), ((0, 0), (0, 6)))
        field = self.store.types['sensor_msgs/msg/PointField']
        return self.make(
            'PointCloud2', seconds, frame, height=height, width=len(points) // height,
            fields=[field(name=name, offset=offset, datatype=kind, count=1)
                    for name, offset, kind in fields],
            is_bigendian=False, point_step=22, row_step=data.shape[1], data=data.ravel(),
            is_dense=False)

    def info(self, seconds, cam2img, size, frame='cam_optical', model='plumb_bob', d=(0.,) * 5):
        values = dict(d=np.array(d), k=np.ravel(cam2img), r=np.eye(3).ravel(),
                      p=np.column_stack([np.diag([2., 2, 1]) @ cam2img, np.zeros(3)]).ravel())
        if self.ros1:
            values = {name.upper(): value for name, value in values.items()}
        region = self.store.types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
        return self.make('CameraInfo', seconds, frame, width=size[0], height=size[1],
                         distortion_model=model, binning_x=0, binning_y=0, roi=region, **values)


@pytest.fixture
def write(tmp_path):
    """Function: kind of recording, [(topic, message)] -> its path; recorded every millisecond."""

    def write_bag(kind, entries, messages, times=None, compression=None):
        store, path = messages.store, tmp_path / f'recording.{kind}'
        if kind == 'bag':
            writer = rosbag1.Writer(path)
            if compression:
                writer.set_compression(rosbag1.Writer.CompressionFormat[compression])
        else:
            path = tmp_path / f'recording_{kind}'
            arguments = dict(version=9) if 'version' in inspect.signature(
                rosbag2.Writer).parameters else {}
            if kind == 'mcap':
                arguments['storage_plugin'] = rosbag2.StoragePlugin.MCAP
            writer = rosbag2.Writer(path, **arguments)
            if compression:
                names = rosbag2 if HAS_MCAP else rosbag2.Writer
                writer.set_compression(names.CompressionMode[compression],
                                       names.CompressionFormat.ZSTD)
        serialize = store.serialize_ros1 if kind == 'bag' else store.serialize_cdr
        with writer:
            connections = {}
            for number, (topic, message) in enumerate(entries):
                kind_of = message.__msgtype__
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind_of, typestore=store)
                time = START + (number * 10**6 if times is None else times[number])
                writer.write(connections[topic], time, serialize(message, kind_of))
        return str(path)

    return write_bag


@pytest.fixture
def arrays():
    """Four images (12, 16, 3) and scans (60, 4); one scan has beams without a return."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 12, 16, 3), dtype=np.uint8)
    scans = rng.normal(0, 20, (4, 60, 4)).astype(np.float32)
    scans[1, 5:9, :3] = np.nan
    return images, scans


CAM2IMG = np.array([[9., 0, 8], [0, 9, 6], [0, 0, 1]])


@pytest.mark.parametrize('kind', KINDS)
def test_pairs_are_the_arrays_that_were_recorded(write, arrays, kind, capsys):
    make = Messages(kind)
    entries = [(INFO, make.info(0, CAM2IMG, (16, 12)))]
    for number, (image, scan) in enumerate(zip(*arrays)):
        entries += [(SCAN, make.points(number + 0.01, scan, height=4)),
                    (IMAGE, make.image(number, image))]
    pairs = read_recording(write(kind, entries, make))
    assert pairs.names == [f'{1700000000 + number}.000000000' for number in range(4)]
    assert pairs.unusable == {} and pairs.frames == ('velodyne', 'cam_optical')
    for number, name in enumerate(pairs.names):
        image, points = pairs.load(name)
        np.testing.assert_array_equal(image, arrays[0][number])
        np.testing.assert_array_equal(points, arrays[1][number])
    np.testing.assert_array_equal(pairs.intrinsics.cam2img, CAM2IMG)
    assert pairs.intrinsics.image_size == (16, 12) and pairs.intrinsics.model == 'pinhole'
    out = capsys.readouterr().out
    assert '4 pairs within 0.05 s (median 0.010 s)' in out and f'intrinsics: {INFO}' in out
    assert 'left out: 0 images without a scan, 0 scans without an image\n' in out


@pytest.mark.parametrize('kind, compression', [
    ('bag', 'BZ2'), ('bag', 'LZ4'), ('db3', 'FILE'), ('db3', 'MESSAGE'),
    pytest.param('mcap', 'MESSAGE', marks=needs_mcap),
    pytest.param('mcap', 'STORAGE', marks=needs_mcap)])
def test_compressed_recordings_and_compressed_images(write, arrays, kind, compression):
    make = Messages(kind)
    smooth = np.stack(np.broadcast_arrays(np.arange(80), np.arange(60)[:, None], 100), -1)
    smooth = smooth.astype(np.uint8)
    entries = [(f'{IMAGE}/compressed', make.jpeg(0, smooth)),
               (INFO, make.info(0, CAM2IMG, (80, 60), model='equidistant', d=(0.1, 0, 0, 0))),
               (SCAN, make.points(0, arrays[1][0]))]
    pairs = read_recording(write(kind, entries, make, compression=compression))
    image, points = pairs.load(pairs.names[0])
    assert np.abs(image.astype(int) - smooth).max() < 5
    np.testing.assert_array_equal(points, arrays[1][0])
    assert pairs.intrinsics.model == 'fisheye'  # beside image_raw, not beside image_raw/compressed


@needs_mcap
def test_a_file_of_ros2_without_the_description_of_its_folder(write, arrays):
    for kind in ('mcap', 'db3'):
        make = Messages(kind)
        folder = Path(write(kind, [(SCAN, make.points(0, arrays[1][0])),
                                   (IMAGE, make.image(0, arrays[0][0]))], make))
        file, = folder.glob(f'*.{kind}')
        assert is_recording(str(folder)) and is_recording(str(file))
        for _ in range(2):
            assert len(read_recording(str(file)).names) == 1
            (folder / 'metadata.yaml').unlink(missing_ok=True)


def test_what_has_no_partner_is_counted(write, arrays, capsys):
    """Images at 10 Hz, scans at 4 Hz of which one is late, recorded one after the other."""
    make = Messages('db3')
    seconds = [0, 0.1, 0.2, 0.3, 0.4, 0.5], [0.02, 0.26, 0.57]
    entries = [(IMAGE, make.image(second, arrays[0][0] + number))
               for number, second in enumerate(seconds[0])]
    entries += [(SCAN, make.points(second, arrays[1][number]))
                for number, second in enumerate(seconds[1])]
    path = write('db3', entries, make, list(range(0, 9 * 10**8, 10**8)))
    pairs = read_recording(path, tolerance=0.045)
    assert [name[-10:] for name in pairs.names] == ['.000000000', '.300000000']
    np.testing.assert_array_equal(pairs.load(pairs.names[1])[0], arrays[0][0] + 3)
    np.testing.assert_array_equal(pairs.load(pairs.names[1])[1], arrays[1][1])
    assert 'left out: 4 images without a scan, 1 scans without an image' in capsys.readouterr().out
    assert len(read_recording(path, tolerance=0.071).names) == 3
    with pytest.raises(CalibrationInputError, match='at most 0.01 s, found 6 from 1700000000.000 '
                       'to 1700000000.500 s of /cam/image_raw and 3 from'):
        read_recording(path, tolerance=0.01)


def test_some_of_many_pairs_evenly_spaced(write, arrays, capsys):
    make = Messages('bag')
    entries = [entry for number in range(9) for entry in (
        (IMAGE, make.image(number, arrays[0][0])), (SCAN, make.points(number, arrays[1][0])))]
    pairs = read_recording(write('bag', entries, make), max_pairs=3)
    assert [name[9] for name in pairs.names] == ['0', '4', '8']
    assert ', 6 pairs more than --max-pairs\n' in capsys.readouterr().out


def test_messages_that_were_recorded_at_the_same_time(write, arrays):
    make = Messages('db3')
    entries = [entry for number in range(3) for entry in (
        (IMAGE, make.image(number, arrays[0][number])),
        (SCAN, make.points(number, arrays[1][number])))]
    pairs = read_recording(write('db3', entries, make, [0] * 6))
    for number, name in enumerate(pairs.names):
        np.testing.assert_array_equal(pairs.load(name)[0], arrays[0][number])
        np.testing.assert_array_equal(pairs.load(name)[1], arrays[1][number])


def test_topics_are_chosen_or_listed(write, arrays):
    make = Messages('db3')
    images = [('/left/image_raw', make.image(0, arrays[0][0])),
              ('/right/image_raw', make.image(0, arrays[0][1], '/right')),
              ('/right/depth/compressedDepth', make.jpeg(0, arrays[0][2])),
              ('/somewhere/info', make.info(0, CAM2IMG, (16, 12), '/right'))]
    path = write('db3', [*images, (SCAN, make.points(0, arrays[1][0], '')),
                         ('/left/other_points', make.points(9, arrays[1][1]))], make)
    with pytest.raises(CalibrationInputError, match='expected one topic with images of type Image '
                       'or CompressedImage, found /left/image_raw, /right/image_raw; choose by '
                       '--image-topic'):
        read_recording(path)
    with pytest.raises(CalibrationInputError, match='found /left/other_points, /points; choose by '
                       '--points-topic'):
        read_recording(path, '/right/image_raw')
    with pytest.raises(CalibrationInputError, match='expected the topic /points2 of'):
        read_recording(path, '/right/image_raw', '/points2')
    with pytest.raises(CalibrationInputError, match='expected the topic /points of type Image or'):
        read_recording(path, SCAN)
    pairs = read_recording(path, '/right/image_raw', SCAN)
    np.testing.assert_array_equal(pairs.load(pairs.names[0])[0], arrays[0][1])
    assert pairs.frames == ('lidar', 'right')
    assert pairs.intrinsics is not None  # of the same frame
    assert read_recording(path, '/left/image_raw', SCAN).intrinsics is None


def test_a_recording_without_scans(write, arrays):
    make = Messages('bag')
    path = write('bag', [(IMAGE, make.image(0, arrays[0][0]))], make)
    with pytest.raises(CalibrationInputError, match='one topic with scans of type PointCloud2, '
                       r'found only /cam/image_raw \(Image\)'):
        read_recording(path)


@pytest.mark.parametrize('topic', ['/cam/image_rect_color', '/cam/image_rect/compressed'])
def test_rectified_images(write, arrays, topic):
    make = Messages('bag')
    image = (make.jpeg if topic.endswith('compressed') else make.image)(0, arrays[0][0])
    entries = [(topic, image), (SCAN, make.points(0, arrays[1][0])),
               (INFO, make.info(0, CAM2IMG, (16, 12), d=(0.3, 0, 0, 0, 0)))]
    found = read_recording(write('bag', entries, make)).intrinsics
    np.testing.assert_array_equal(found.cam2img, np.diag([2., 2, 1]) @ CAM2IMG)
    assert found.dist_coeffs is None


def test_intrinsics_that_change(write, arrays):
    make = Messages('bag')
    entries = [(IMAGE, make.image(0, arrays[0][0])), (SCAN, make.points(0, arrays[1][0])),
               (INFO, make.info(0, CAM2IMG, (16, 12))),
               (INFO, make.info(1, np.diag([2., 2, 1]) @ CAM2IMG, (16, 12)))]
    with pytest.raises(CalibrationInputError, match='the same intrinsics in all messages'):
        read_recording(write('bag', entries, make))


def test_headers_without_time_stamps(write, arrays):
    make = Messages('db3')
    entries = [(IMAGE, make.image(0, arrays[0][0])), (SCAN, make.points(None, arrays[1][0]))]
    with pytest.raises(CalibrationInputError, match='time stamps in the headers of /points, found '
                       'zeros'):
        read_recording(write('db3', entries, make))


@pytest.mark.parametrize('name', ['a.bag', 'a.mcap', 'a.db3', 'folder'])
def test_files_that_are_no_recordings(tmp_path, name):
    if name == 'folder':
        (tmp_path / name).mkdir()
        (tmp_path / name / 'metadata.yaml').write_text('{}')
    else:
        with pytest.raises(CalibrationInputError, match='found an error: '):
            read_recording(str(tmp_path / name))
        (tmp_path / name).write_bytes(b'x' * 99)
    with pytest.raises(CalibrationInputError, match='expected a .bag of ROS 1, or .* an error: '):
        read_recording(str(tmp_path / name))


@pytest.mark.parametrize('kind', KINDS)
def test_a_recording_that_is_cut_off(write, arrays, kind):
    make = Messages(kind)
    entries = [entry for number in range(4) for entry in (
        (IMAGE, make.image(number, arrays[0][number])),
        (SCAN, make.points(number, arrays[1][number])))]
    path = Path(write(kind, entries, make))
    file = path if kind == 'bag' else next(path.glob(f'*.{kind}'))
    file.write_bytes(file.read_bytes()[:-len(file.read_bytes()) // 2])
    with pytest.raises(CalibrationInputError, match='found an error: '):
        read_recording(str(path))


def test_stamps_are_paired_with_the_nearest_one():
    rng = np.random.default_rng(0)
    for _ in range(100):
        first, second = (START + rng.integers(0, 500, rng.integers(1, 30)) for _ in range(2))
        found = pair_stamps(first, second, 9)
        distance = np.abs(first[:, None] - second)
        assert (distance[found[:, 0], found[:, 1]] <= 9).all()
        assert (np.diff(first[found[:, 0]]) > 0).all() and (np.diff(second[found[:, 1]]) > 0).all()
        for i, j in found:
            assert distance[i, j] == distance[i].min() == distance[:, j].min()
        # Whoever has one single nearest partner, which has no nearer one, is in a pair with it.
        for i, j in np.argwhere(distance <= 9):
            others = [(row <= distance[i, j]).sum() for row in (distance[i], distance[:, j])]
            if others == [1, 1]:
                assert [i, j] in found.tolist()


@pytest.fixture
def words(write, scene, tmp_path, save_network):
    """Function: kind of recording -> words of the command line for a recording of one place."""

    def make_words(kind):
        make = Messages(kind)
        info = make.info(0, scene.cam2img, (scene.width, scene.height))
        entries = [(INFO, info)] + [entry for number in range(4) for entry in (
            (IMAGE, make.image(number, scene.image)),
            (SCAN, make.points(number + 0.02, scene.points)))]
        return [write(kind, entries, make), '--checkpoint', save_network(),
                '--out', str(tmp_path / 'out'), '--device', 'cpu']

    return make_words


@pytest.mark.parametrize('kind', KINDS)
def test_a_recording_by_the_command_line(words, status, scene, tmp_path, kind, capsys):
    assert status([*words(kind), '--format', 'ros', '--max-pairs', '3']) == 0
    written = yaml.safe_load((tmp_path / 'out/extrinsics.yaml').read_text())
    np.testing.assert_allclose(written['lidar2cam'], scene.lidar2cam, atol=0.02)
    assert len(written['used']) == 3 and len(list((tmp_path / 'out').glob('overlay_*.png'))) == 3
    out = capsys.readouterr().out
    assert '--frame-id velodyne --child-frame-id cam_optical' in out
    assert '3 of 3 pairs are reliable' in out


def test_options_of_a_recording_on_the_command_line(words, status, tmp_path, capsys):
    words = words('bag')
    assert status([*words, '--tolerance', '0.001']) == 2
    assert 'at most 0.001 s' in capsys.readouterr().err
    assert status([*words, '--image-topic', '/other']) == 2
    assert 'expected the topic /other' in capsys.readouterr().err
    assert status([*words, '--max-pairs', '0']) == 2
    assert 'one or more pairs' in capsys.readouterr().err
    image = str(tmp_path / 'a.png')
    assert status([image, image, *words[1:], '--points-topic', SCAN]) == 2
    assert 'points_topic: expected a recording' in capsys.readouterr().err


def test_intrinsics_of_a_recording_without_camera_info(write, scene, status, tmp_path, words,
                                                       capsys):
    make = Messages('db3')
    path = write('db3', [(IMAGE, make.image(0, scene.image)),
                         (SCAN, make.points(0, scene.points))], make)
    arguments = [path, *words('bag')[1:]]
    assert status(arguments) == 2
    assert '(--intrinsics), or a recording with its camera_info' in capsys.readouterr().err
    (tmp_path / 'K.yaml').write_text(yaml.safe_dump(dict(cam2img=scene.cam2img.tolist())))
    assert status([*arguments, '--intrinsics', str(tmp_path / 'K.yaml')]) == 0
