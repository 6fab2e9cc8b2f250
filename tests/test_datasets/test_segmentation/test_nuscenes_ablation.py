"""600 and 100 of nuScenes' 700 training scenes."""
import json
import pickle

import pytest

from nclr_plugin.errors import DataLayoutError
from nclr_plugin.datasets.segmentation.nuscenes_ablation import (
    ABLATION_VAL,
    create_nuscenes_ablation,
)

FRAMES = 2  # of a scene


@pytest.fixture
def nuscenes(tmp_path):
    """Function: names of the training scenes -> root with the tables and infos."""

    def make(training):
        (tmp_path / 'v1.0-trainval').mkdir()
        # The order of the table is not that of the names; validation scenes are in it, too.
        scenes = [dict(token=f't-{name}', name=name)
                  for name in sorted([*training, 'scene-9998', 'scene-9999'], reverse=True)]
        samples = [dict(token=f'{scene["name"]}/{k}', scene_token=scene['token'])
                   for scene in scenes for k in range(FRAMES)]
        for name, rows in (('scene', scenes), ('sample', samples)):
            (tmp_path / 'v1.0-trainval' / f'{name}.json').write_text(json.dumps(rows))
        infos = [dict(token=row['token']) for row in samples
                 if row['scene_token'][2:] in set(training)]
        (tmp_path / 'nuscenes_infos_train.pkl').write_bytes(
            pickle.dumps(dict(metainfo=dict(version='v1.0-trainval'), data_list=infos)))
        return tmp_path

    return make


def scenes_of(path):
    frames = [info['token'] for info in pickle.loads(path.read_bytes())['data_list']]
    scenes = list(dict.fromkeys(frame.split('/')[0] for frame in frames))
    assert len(frames) == FRAMES * len(scenes)
    return scenes


OTHERS = [f'scene-{number}' for number in range(2000, 2600)]


def test_every_frame_is_in_one_of_the_parts(nuscenes):
    root = nuscenes([*ABLATION_VAL, *OTHERS])
    create_nuscenes_ablation(str(root))
    train, val = (scenes_of(root / f'nuscenes_infos_ablation_{part}.pkl')
                  for part in ('train', 'val'))
    assert len(set(ABLATION_VAL)) == len(val) == 100 and set(val) == set(ABLATION_VAL)
    assert sorted(train) == OTHERS
    # Published loaders count the scenes of the 600 alone, in the order of the table.
    assert scenes_of(root / 'nuscenes_infos_ablation_train_1.pkl') == train[99::100]


def test_the_command_writes_other_fractions(nuscenes, load_tool, capsys):
    root = nuscenes([*ABLATION_VAL, *OTHERS])
    load_tool('create_infos').main(['nuscenes', str(root), '--ablation', '--fractions', '10'])
    assert len(scenes_of(root / 'nuscenes_infos_ablation_train_10.pkl')) == 60
    assert '120 frames of 60 scenes' in capsys.readouterr().out
    assert not (root / 'nuscenes_infos_ablation_train_1.pkl').exists()


@pytest.mark.parametrize('words', [['semantickitti', 'ROOT', '--ablation'],
                                   ['nuscenes', 'ROOT', '--ablation', '--split', 'x.json']])
def test_the_command_refuses_what_the_division_is_not_for(load_tool, words, capsys):
    with pytest.raises(SystemExit):
        load_tool('create_infos').main(words)
    assert 'division of nuscenes' in capsys.readouterr().err


def test_a_part_of_nuscenes_has_no_such_division(nuscenes):
    with pytest.raises(DataLayoutError, match='100 scenes .* 97 of them are not there: .*'):
        create_nuscenes_ablation(str(nuscenes([*ABLATION_VAL[:3], *OTHERS[:5]])))
