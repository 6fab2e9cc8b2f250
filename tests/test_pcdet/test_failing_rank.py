"""One process of two whose loss is not finite ends both, and both name its frame."""
import json
import math

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize('culprit', [0, 1])
def test_a_loss_that_is_not_finite_in_one_process_is_told_by_both(in_openpcdet, tmp_path, culprit):
    values = [[1., 1.], [1., 1.]]
    values[culprit][1] = math.inf
    found = in_openpcdet('failing_rank.py', tmp_path, json.dumps(values))
    assert found['0'] == found['1']
    assert found['0'].startswith(f'loss_pose is not finite, frames frame_{culprit}_1: ')


def test_finite_losses_go_on(in_openpcdet, tmp_path):
    found = in_openpcdet('failing_rank.py', tmp_path, json.dumps([[1., 2.], [3., 4.]]))
    assert set(found.values()) == {'finished'}
