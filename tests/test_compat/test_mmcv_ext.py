"""The stand-in beside the compiled operators, by what functions of mmcv return with each."""
import importlib
import inspect

import pytest
import torch

from nclr_plugin.compat import mmcv_ext

ops = pytest.importorskip('mmcv.ops')
compiled = importlib.import_module('mmcv._ext').__file__.endswith(('.so', '.pyd'))
needs_compiled = pytest.mark.skipif(not compiled, reason='this mmcv has no compiled operators')


def stand_in(monkeypatch):
    """Have mmcv call the stand-in."""
    for name in ('voxelize', 'nms', 'box_iou_rotated', 'info'):
        monkeypatch.setattr(importlib.import_module(f'mmcv.ops.{name}'), 'ext_module', mmcv_ext)


def by_both(monkeypatch, call):
    """What ``call`` returns with the compiled operators and with the stand-in."""
    with monkeypatch.context() as patch:
        stand_in(patch)
        mine = call()
    return call(), mine


def boxes(number, spread, seed=0):
    torch.manual_seed(seed)
    centre, size, angle = torch.rand(number, 2), torch.rand(number, 2), torch.rand(number, 1)
    return torch.cat([spread * centre, 0.4 + 4 * size, 6.3 * angle], 1)


def points(number, dtype=torch.float32):
    torch.manual_seed(1)
    scan = torch.randn(number, 5) * torch.tensor([25.0, 25, 2, 1, 1])
    return scan.to(dtype)


@needs_compiled
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('max_points, max_voxels', [(5, 16000), (35, 300), (1, 10)])
def test_hard_voxels_equal_the_compiled_ones(monkeypatch, dtype, max_points, max_voxels):
    scan = points(20000, dtype)
    theirs, mine = by_both(monkeypatch, lambda: ops.voxelization(
        scan, (0.16, 0.2, 4), (0, -39.68, -3, 69.12, 39.68, 1), max_points, max_voxels))
    assert len(theirs[0]) > 5
    for one, other in zip(theirs, mine):
        assert one.dtype == other.dtype and torch.equal(one, other)


@needs_compiled
@pytest.mark.parametrize('size', [(0.05, 0.05, 0.1), (0.32, 0.32, 6)])
def test_dynamic_voxels_equal_the_compiled_ones(monkeypatch, size):
    scan = points(20000)
    theirs, mine = by_both(monkeypatch, lambda: ops.voxelization(
        scan, size, (-40, -40, -3, 40, 40, 3), -1, -1))
    assert theirs.dtype == mine.dtype and torch.equal(theirs, mine)


@needs_compiled
@pytest.mark.parametrize('mode', ['iou', 'iof'])
@pytest.mark.parametrize('clockwise', [True, False])
@pytest.mark.parametrize('aligned', [True, False])
def test_overlaps_equal_the_compiled_ones(monkeypatch, mode, clockwise, aligned):
    one, two = boxes(120, 6), boxes(120, 6, seed=3)
    theirs, mine = by_both(monkeypatch, lambda: ops.box_iou_rotated(
        one, two, mode=mode, aligned=aligned, clockwise=clockwise))
    assert theirs.shape == mine.shape and (theirs > 0).sum() > 5
    torch.testing.assert_close(mine, theirs, atol=2e-6, rtol=1e-5)


@needs_compiled
@pytest.mark.parametrize('spread', [5.0, 60.0])
@pytest.mark.parametrize('threshold', [0.01, 0.3, 0.8])
def test_kept_boxes_equal_the_compiled_ones(monkeypatch, spread, threshold):
    given, scores = boxes(600, spread), torch.rand(600)
    theirs, mine = by_both(monkeypatch, lambda: ops.nms_rotated(given, scores, threshold))
    assert torch.equal(theirs[1], mine[1]) and torch.equal(theirs[0], mine[0])


def test_signatures_are_those_that_mmcv_calls(monkeypatch):
    stand_in(monkeypatch)
    scan = torch.tensor([[0.5, 0.5, 0.5, 7], [0.6, 0.5, 0.5, 8], [9.0, 0.5, 0.5, 9]])
    voxels, coors, number = ops.voxelization(scan, (1, 1, 1), (0, 0, 0, 4, 4, 4), 3, 10)
    assert voxels[0, :, 3].tolist() == [7, 8, 0]
    assert coors.tolist() == [[0, 0, 0]] and number.tolist() == [2]
    two = torch.tensor([[0.0, 0, 2, 2, 0], [1, 0, 2, 2, 0]])
    torch.testing.assert_close(ops.box_iou_rotated(two, two),
                               torch.tensor([[1, 1 / 3], [1 / 3, 1]]))
    assert ops.nms_rotated(two, torch.tensor([0.1, 0.9]), 0.3)[1].tolist() == [1]
    apart = ops.nms_rotated(two, torch.tensor([0.1, 0.9]), 0.3, labels=torch.tensor([0, 1]))
    assert apart[1].tolist() == [1, 0]
    assert ops.get_compiler_version() == 'not compiled'


@pytest.mark.parametrize('name', ['dynamic_voxelize_forward', 'hard_voxelize_forward',
                                  'box_iou_rotated', 'nms_rotated'])
def test_another_device_is_refused_by_name(name):
    function = getattr(mmcv_ext, name)
    given = [torch.zeros(1, 5, device='meta')] * len(inspect.signature(function).parameters)
    with pytest.raises(NotImplementedError, match=f'{name} on meta: .*--ops'):
        function(*given)
