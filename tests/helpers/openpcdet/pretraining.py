"""Program: pretraining with the real OpenPCDet on a demo world; reports as JSON."""
import preload  # noqa: F401, isort: skip
import json
import logging
import sys
from pathlib import Path

import torch
from mmengine.evaluator import Evaluator

from nclr_plugin.pcdet import find_openpcdet, register
from nclr_plugin.pcdet.launcher import config_loader

register()
register()  # again does no harm
from easydict import EasyDict  # noqa: E402
from pcdet import datasets  # noqa: E402
from pcdet.config import merge_new_config  # noqa: E402
from pcdet.models import (build_network, detectors, load_data_to_gpu,  # noqa: E402
                          model_fn_decorator)

DATA, YAML = Path(sys.argv[1]), Path(sys.argv[2])
TOOLS = find_openpcdet() / 'tools'
sys.path.insert(0, str(TOOLS))
from train_utils.optimization import build_optimizer  # noqa: E402

logger = logging.getLogger('openpcdet')
config = config_loader(merge_new_config, [TOOLS])(str(YAML), EasyDict())
config.DATA_CONFIG.DATA_PATH = str(DATA)
config.MODEL.NCLR.image_branch.update(depth=18, out_channels=32, weights='')
config.MODEL.NCLR.data_preprocessor.max_voxels = 2000


def loader(training, batch_size):
    return datasets.build_dataloader(
        config.DATA_CONFIG, config.CLASS_NAMES, batch_size, dist=False, workers=0, logger=logger,
        training=training)[:2]


report = dict(registered=[
    'NCLRCalibrationDataset' in datasets.__all__, 'NCLRPretrain' in detectors.__all__])
torch.manual_seed(0)
train_set, train_loader = loader(True, 2)
batch = next(iter(train_loader))
report['batch'] = dict(
    points=list(batch['points'].shape[1:]), scans=sorted(set(batch['points'][:, 0].tolist())),
    camera_imgs=list(batch['camera_imgs'].shape), dtype=str(batch['camera_imgs'].dtype),
    frames=len(batch['frame_id']), size=batch['batch_size'])
first, again = train_set[0], train_set[0]
report['passes_differ'] = not torch.equal(first['data_samples'].lidar2cam,
                                          again['data_samples'].lidar2cam)

torch.manual_seed(0)
model = build_network(config.MODEL, 0, train_set).cuda()
model.train()
optimizer = build_optimizer(model, config.OPTIMIZATION)
optimizer.lr, optimizer.mom = 1e-3, 0.9
found = {id(p) for group in optimizer.opt.param_groups for p in group['params']}
report['not_optimised'] = [n for n, p in model.named_parameters() if id(p) not in found]
before = {name: p.detach().clone() for name, p in model.named_parameters()}
step, losses = model_fn_decorator(), []
for _ in range(2):
    optimizer.zero_grad()
    loss, logged, _ = step(model, dict(batch))
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
report['losses'], report['logged'] = losses, sorted(logged)
report['terms_add_up'] = abs(sum(logged.values()) - losses[-1])
report['backbone'] = [name for name in model.state_dict() if name.startswith('backbone_3d.')]
report['unmoved'] = [name for name, p in model.named_parameters() if torch.equal(p, before[name])]
report['steps'] = int(model.global_step)
# The pose loss alone.
weights = dict(model.nclr.loss_weights)
model.nclr.loss_weights.update({name: 0. for name in weights if name != 'pose'})
model.nclr.pose_head.max_reprojection_error = 1e3  # an untrained network's matches disagree
optimizer.zero_grad()
loss, logged, _ = step(model, dict(batch))
loss.backward()
gradient = torch.cat([p.grad.flatten() for p in model.backbone_3d.parameters()])
report['pose_loss'] = [logged['loss_pose'], loss.item()]
report['pose_gradient'] = float(gradient.abs().max())
optimizer.step()
report['finite_after_pose'] = all(bool(p.isfinite().all()) for p in model.parameters())
model.nclr.loss_weights.update(weights)

weight = model.nclr.loss_weights['yaw']
model.nclr.loss_weights['yaw'] = float('nan')
try:
    model(dict(batch, points=torch.as_tensor(batch['points'])))
except FloatingPointError as error:
    report['not_finite'] = str(error)
    report['frames'] = batch['frame_id'].tolist()
model.nclr.loss_weights['yaw'] = weight

test_set, test_loader = loader(False, 2)
same = [torch.equal(test_set[i]['inputs']['points'], test_set[i]['inputs']['points'])
        for i in range(2)]
report['test_is_deterministic'] = all(same)
model.eval()
annos, samples = [], []
with torch.no_grad():
    for batch in test_loader:
        load_data_to_gpu(batch)
        predictions, _ = model(batch)
        annos += test_set.generate_prediction_dicts(batch, predictions, [], YAML.parent)
        samples += [prediction['data_sample'] for prediction in predictions]
text, figures = test_set.evaluation(annos, [], eval_metric='calibration')
evaluator = Evaluator([dict(type=name) for name in config.DATA_CONFIG.METRICS])
evaluator.process(samples)
report['figures'], report['expected'] = figures, evaluator.evaluate(len(samples))
report['text'] = text
report['saved'] = sorted(path.name for path in YAML.parent.glob('*.txt'))

try:
    model._load_state_dict({'foreign.weight': torch.zeros(1)}, strict=False)
except ValueError as error:
    report['foreign'] = str(error)
other = dict(model.state_dict(), voxel_size=torch.ones(3))
model._load_state_dict(other, strict=True)
report['voxels'] = [*model.state_dict()['voxel_size'].tolist(),
                    *model.state_dict()['point_cloud_range'].tolist()]
print(json.dumps(report))
