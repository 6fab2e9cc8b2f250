"""PV-RCNN: the pretrained encoder inside, a step of training and a prediction."""
from pathlib import Path

import numpy as np
import point_operations as reference
import pytest
import torch

CONFIG = Path(__file__).resolve().parents[2] / 'configs' / 'detection' / 'pv_rcnn_kitti.py'


@pytest.fixture
def cloud():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(400, 3, generator=generator) * 4


def test_furthest_points(cloud):
    rows = reference.furthest_point_sample(torch.stack((cloud, cloud.flip(0))), 12)
    assert rows.shape == (2, 12) and rows.dtype == torch.int32
    for points, mine in zip((cloud.numpy(), cloud.numpy()[::-1]), rows.tolist()):
        chosen = [0]
        while len(chosen) < 12:
            chosen.append(int(np.argmax([
                min(np.sum((point - points[row])**2) for row in chosen) for point in points])))
        assert mine == chosen


def test_balls(cloud):
    spatial = pytest.importorskip('scipy.spatial')
    centres = torch.cat((cloud[::9], torch.full((1, 3), 99.)))
    sizes = torch.tensor([250, 150]), torch.tensor([20, len(centres) - 20])
    found = reference.ball_query(0, 0.6, 8, cloud, centres, *sizes)
    assert found.dtype == torch.int32
    for scan in (0, 1):
        points = cloud.split([250, 150])[scan]
        asking = centres.split(sizes[1].tolist())[scan]
        tree = spatial.cKDTree(points.numpy())
        for centre, mine in zip(asking, found.split(sizes[1].tolist())[scan].tolist()):
            inside = sorted(tree.query_ball_point(centre.numpy(), 0.6))
            if not inside:
                assert mine[0] == -1
                continue
            assert mine == (inside + [inside[0]] * 8)[:8]
    assert found[-1, 0] == -1 and (found[:, 0] >= 0).sum() > 10


def test_groups():
    features = torch.arange(10.).view(5, 2).requires_grad_()
    rows = torch.tensor([[0, 1], [2, 2], [1, 0]])
    grouped = reference.grouping_operation(
        features, rows, torch.tensor([3, 2]), torch.tensor([2, 1]))
    assert grouped.tolist() == [[[0., 2.], [1., 3.]], [[4., 4.], [5., 5.]], [[8., 6.], [9., 7.]]]
    grouped.sum().backward()
    assert features.grad[:, 0].tolist() == [1., 1., 2., 1., 1.]


def test_points_in_boxes(cloud):
    """Against mmcv's operation for the CPU, which mmdet3d does not call."""
    mmcv_ops = pytest.importorskip('mmcv.ops')
    boxes = torch.tensor([[1., 2, 0.5, 2, 1, 1, 0.4], [3, 3, 1, 1, 2, 2, -1.2],
                          [1.2, 2, 0.6, 1, 1, 1, 0]])
    inside = reference.points_in_boxes_all(cloud[None], boxes[None])
    try:
        expected = mmcv_ops.points_in_boxes_cpu(cloud[None], boxes[None])
    except NotImplementedError as error:
        pytest.skip(str(error))
    assert inside.sum() > 30 and torch.equal(inside, expected)
    part = reference.points_in_boxes_part(cloud[None], boxes[None])[0]
    first = [next((box for box, hit in enumerate(row) if hit), -1) for row in expected[0].tolist()]
    assert part.tolist() == first and part.dtype == torch.int32


@pytest.fixture
def scene():
    """Street and two cars in front of the sensor: points (N, 4), boxes (2, 7), labels."""
    generator = torch.Generator().manual_seed(1)
    ground = torch.rand(1500, 3, generator=generator) * torch.tensor([22., 24, 0.1])
    ground += torch.tensor([2., -12, -1.8])
    boxes = torch.tensor([[12., 3, -1.7, 3.9, 1.6, 1.5, 0.1], [18, -4, -1.7, 3.9, 1.6, 1.5, 1.4]])
    cars = []
    for box in boxes:
        inside = (torch.rand(300, 3, generator=generator) - torch.tensor([.5, .5, 0])) * box[3:6]
        cos, sin = box[6].cos(), box[6].sin()
        turned = torch.stack((inside[:, 0] * cos - inside[:, 1] * sin,
                              inside[:, 0] * sin + inside[:, 1] * cos, inside[:, 2]), 1)
        cars.append(turned + box[:3])
    xyz = torch.cat((ground, *cars))
    return torch.cat((xyz, torch.rand(len(xyz), 1, generator=generator)), 1), boxes, \
        torch.tensor([2, 2])


def _encoder_checkpoint(path):
    """As an NCLR run writes it; returns the weights of the encoder."""
    from nclr_plugin.models.backbones.voxelnet import SplitSparseEncoder
    torch.manual_seed(7)
    state = {f'point_backbone.{key}': value
             for key, value in SplitSparseEncoder().state_dict().items()}
    torch.save(dict(meta={}, state_dict=state), path)
    return state


def _shrink(model, limits, grid):
    """A smaller range in front of the sensor, for a quick test."""
    model.data_preprocessor.voxel_layer.point_cloud_range = limits
    model.points_encoder.point_cloud_range = limits
    model.middle_encoder.sparse_shape = grid
    model.rpn_head.anchor_generator.ranges = [
        [*limits[:2], anchors[2], *limits[3:5], anchors[5]]
        for anchors in model.rpn_head.anchor_generator.ranges]


@pytest.mark.parametrize('device', ['cpu', pytest.param('cuda', marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason='no GPU'))])
def test_builds_with_the_encoder_trains_and_predicts(device, scene, monkeypatch, tmp_path):
    """On a GPU mmdet3d's own operations, elsewhere the references."""
    from mmdet3d.structures import Det3DDataSample, LiDARInstance3DBoxes
    from mmengine.config import Config
    from mmengine.registry import MODELS, init_default_scope
    from mmengine.structures import InstanceData

    from nclr_plugin.utils.devices import set_sparse_algorithm
    path = tmp_path / 'nclr.pth'
    weights = _encoder_checkpoint(path)
    if device == 'cpu':
        reference.replace_in_mmdet3d(monkeypatch)
    config = Config.fromfile(str(CONFIG))
    config.model.init_cfg.checkpoint = str(path)
    init_default_scope(config.default_scope)
    _shrink(config.model, [0, -12.8, -3, 25.6, 12.8, 1], [41, 512, 512])
    config.model.points_encoder.num_keypoints = 256
    config.model.train_cfg.rpn_proposal.update(nms_pre=200, nms_post=40, max_num=40)
    config.model.test_cfg.rpn.update(nms_pre=100, nms_post=20, max_num=20)
    config.model.test_cfg.rcnn.score_thr = 0.
    config.model.train_cfg.rcnn.sampler.num = 16
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    model.to(device)
    set_sparse_algorithm(model, device)
    loaded = model.middle_encoder.state_dict()
    assert len(loaded) > 50
    assert all(torch.equal(value.cpu(), weights[f'point_backbone.{key}'])
               for key, value in loaded.items())

    points, boxes, labels = scene
    sample = Det3DDataSample(metainfo=dict(box_type_3d=LiDARInstance3DBoxes))
    sample.gt_instances_3d = InstanceData(
        bboxes_3d=LiDARInstance3DBoxes(boxes), labels_3d=labels)
    optimizer = torch.optim.AdamW(model.middle_encoder.parameters(), lr=1e-3)
    batch = model.data_preprocessor(dict(inputs=dict(points=[points]), data_samples=[sample]), True)
    losses, _ = model.parse_losses(model.train()(**batch, mode='loss'))
    losses.backward()
    optimizer.step()
    assert losses.isfinite()
    moved = [key for key, value in model.middle_encoder.state_dict().items()
             if key.endswith('weight')
             and not torch.equal(value.cpu(), weights[f'point_backbone.{key}'])]
    assert len(moved) == sum(key.endswith('weight') for key in loaded)

    with torch.no_grad():
        batch = model.data_preprocessor(dict(inputs=dict(points=[points]), data_samples=[sample]))
        found = model.eval()(**batch, mode='predict')[0].pred_instances_3d
    assert len(found) > 0 and found.bboxes_3d.tensor.isfinite().all()
    assert set(found.labels_3d.tolist()) <= {0, 1, 2}
