import json

import pytest

from nclr_plugin.datasets.label_fractions import (LabelSplit, select_evenly, select_randomly,
                                                  select_scenes)
from nclr_plugin.errors import DataLayoutError

IDS = [f'00/{number:06d}' for number in range(1000)]
PERCENTILES = {
    '0.001': {'00': {'points': ['dataset/sequences/00/velodyne/000007.bin'], 'labels': ['x']},
              '01': {'points': [], 'labels': []}},
    '0.5': {'00': {'points': ['Datasets/SemanticKITTI/sequences/00/velodyne/000001.bin',
                              'Datasets/SemanticKITTI/sequences/00/velodyne/000000.bin']},
            '01': {'points': ['/sequences/01/velodyne/000003.bin']}},
}


def info(frame):
    return dict(id=frame)


def identify(entry):
    return entry['id']


@pytest.mark.parametrize('percent, count', [(0.1, 1), (1, 10), (10, 100), (50, 500), (100, 1000)])
def test_random_part_has_its_size_and_contains_smaller_ones(percent, count):
    chosen = select_randomly(IDS, percent, seed=3)
    assert len(chosen) == len(set(chosen)) == count and chosen == sorted(chosen)
    assert set(select_randomly(IDS, percent / 2, seed=3) if count > 1 else []) <= set(chosen)


def test_random_part_depends_on_the_seed_alone():
    assert select_randomly(IDS[::-1], 10, seed=0) == select_randomly(IDS, 10, seed=0)
    assert select_randomly(IDS, 10, seed=1) != select_randomly(IDS, 10, seed=0)
    # The order of a seed must not change from one version of Python to the next.
    assert select_randomly(IDS[:10], 30, seed=0) == ['00/000001', '00/000007', '00/000008']


def test_every_nth_frame():
    assert select_evenly(IDS[::-1], 1) == [IDS[i] for i in range(1000) if i % 100 == 0]
    assert select_evenly(IDS[:40], 0.1) == [IDS[0]]


def test_every_nth_scene_in_table_order():
    scenes = [f'scene-{number:04d}' for number in (8, 3, 5, 1, 9, 2, 7)]
    expected = []
    for counter, name in enumerate(scenes, start=1):  # the counting of published code
        if counter % 2 == 0:
            expected.append(name)
    assert select_scenes(scenes, 50) == expected == ['scene-0003', 'scene-0001', 'scene-0002']


def test_smallest_fraction_of_nuscenes_is_the_published_scene():
    scenes = [f'scene-{number:04d}' for number in range(1, 701)]
    assert select_scenes(scenes, 0.1) == ['scene-0392']
    assert select_scenes(scenes, 1) == [f'scene-{n:04d}' for n in range(100, 701, 100)]


@pytest.mark.parametrize('select', [
    lambda: select_randomly(IDS[:40], 1, seed=0),
    lambda: select_scenes(['scene-0001', 'scene-0002'], 10),
    lambda: select_evenly([], 50),
])
def test_a_fraction_that_selects_nothing(select):
    with pytest.raises(DataLayoutError, match='label fraction: .*% of .* selects none'):
        select()


@pytest.mark.parametrize('percent', [0, -1, 200])
def test_fraction_out_of_range(percent):
    with pytest.raises(DataLayoutError, match='at most 100 percent'):
        select_evenly(IDS, percent)


def test_a_split_is_what_was_saved(tmp_path):
    split = LabelSplit('semantickitti', 'random, seed 0', {0.1: IDS[:1], 10: IDS[:100]})
    split.save(str(tmp_path / 'split.json'))
    again = LabelSplit.load(str(tmp_path / 'split.json'), 'semantickitti')
    assert again == split
    infos = [info(frame) for frame in IDS]
    assert again.select(infos, 10, identify) == infos[:100]


def test_percentile_lists(tmp_path):
    (tmp_path / 'percentiles_split.json').write_text(json.dumps(PERCENTILES))
    split = LabelSplit.load(str(tmp_path / 'percentiles_split.json'), 'semantickitti')
    assert split.fractions == {0.1: ['00/000007'], 50: ['00/000000', '00/000001', '01/000003']}
    infos = [info(frame) for frame in IDS] + [info('01/000003')]
    assert split.select(infos, 50, identify) == [infos[0], infos[1], infos[-1]]


def test_a_split_of_other_frames_is_refused():
    split = LabelSplit('semantickitti', 'random, seed 0', {10: ['00/000000', '07/000001']})
    with pytest.raises(DataLayoutError, match=r'1 are absent: 1 \(07/000001\)'):
        split.select([info(frame) for frame in IDS], 10, identify)
    with pytest.raises(DataLayoutError, match='a list for 1%, found lists for .*10'):
        split.select([info(frame) for frame in IDS], 1, identify)


@pytest.mark.parametrize('content, message', [
    ('{"fractions": {"1": ["a"]}}', "'dataset', 'rule'"),
    ('{"0.1": ["000001.bin"]}', 'another content'),
    ('[1, 2]', 'another content'),
    ('no json', 'another content'),
    ('{"dataset": "nuscenes", "rule": "", "fractions": {}}', 'found one of nuscenes'),
])
def test_files_that_are_no_split(tmp_path, content, message):
    (tmp_path / 'split.json').write_text(content)
    with pytest.raises(DataLayoutError, match=message):
        LabelSplit.load(str(tmp_path / 'split.json'), 'semantickitti')
