"""Program: one encoder in mmdet3d and in the real OpenPCDet; reports as JSON."""
import preload  # noqa: F401, isort: skip
import json
import logging
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from mmdet3d.models.middle_encoders import SparseEncoder
from mmengine.config import Config
from spconv.pytorch.conv import SparseConvolution
from torch import nn

from nclr_plugin.checkpoints import PretrainedWeightsError, export_backbone, load_pretrained
from nclr_plugin.pcdet import find_openpcdet, register
from nclr_plugin.pcdet.openpcdet import plain
from nclr_plugin.pcdet.launcher import check_pretrained_model, config_loader
from nclr_plugin.utils.devices import set_sparse_algorithm

register()
from easydict import EasyDict  # noqa: E402
from pcdet.config import cfg_from_yaml_file, merge_new_config  # noqa: E402
from pcdet.models import build_network  # noqa: E402
from pcdet.models.backbones_3d.spconv_backbone import VoxelResBackBone8x  # noqa: E402

FOLDER = Path(sys.argv[1])
REPO = Path(__file__).resolve().parents[3]
TOOLS = find_openpcdet() / 'tools'
GRID = [41, 160, 176]  # z, y, x


def randomise(net):
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.weight, 0.5, 2)
    set_sparse_algorithm(net, 'cpu')
    return net.eval()


def config_of(name):
    """OpenPCDet's own."""
    return config_loader(merge_new_config, [TOOLS])(
        str(TOOLS / 'cfgs' / 'kitti_models' / f'{name}.yaml'), EasyDict())


def detector(name, num_features=4, encoder='VoxelBackBone8x'):
    """OpenPCDet's detector of OpenPCDet's YAML, on a smaller range."""
    config = config_of(name)
    config.MODEL.BACKBONE_3D.NAME = encoder
    size, low = np.array([0.05, 0.05, 0.1]), np.array([0., -4., -3.])
    grid = np.array([GRID[2], GRID[1], GRID[0] - 1])
    dataset = SimpleNamespace(
        class_names=config.CLASS_NAMES,
        point_feature_encoder=SimpleNamespace(num_point_features=num_features),
        grid_size=grid, voxel_size=size.tolist(), depth_downsample_factor=None,
        point_cloud_range=np.concatenate([low, low + grid * size]).astype(np.float32))
    return randomise(build_network(config.MODEL, 3, dataset))


def residual():
    """CenterPoint's encoder in mmdet3d."""
    return randomise(SparseEncoder(
        4, GRID, return_middle_feats=True, block_type='basicblock',
        encoder_channels=((16, 16, 32), (32, 32, 64), (64, 64, 128), (128, 128)),
        encoder_paddings=((0, 0, 1), (0, 0, 1), (0, 0, [0, 1, 1]), (0, 0))))


def voxels():
    generator = torch.Generator().manual_seed(0)
    cells = torch.randint(0, GRID[0] * GRID[1] * GRID[2], (2, 3000), generator=generator)
    coors = []
    for batch, cell in enumerate(cells):
        cell = cell.unique()
        zyx = cell // (GRID[1] * GRID[2]), cell // GRID[2] % GRID[1], cell % GRID[2]
        coors.append(torch.stack((torch.full_like(cell, batch), *zyx), 1))
    coors = torch.cat(coors).int()
    return torch.rand(len(coors), 4, generator=generator), coors


def difference(encoder, backbone, stages=(1, 2, 3, 4)):
    """Largest difference of the dense maps, of stages and of the output; and their size."""
    feats, coors = voxels()
    with torch.no_grad():
        bev, middle = encoder(feats, coors, 2)
        batch = backbone(dict(voxel_features=feats, voxel_coords=coors, batch_size=2))
    pairs = [(middle[number - 1].dense(),
              batch['multi_scale_3d_features'][f'x_conv{number}'].dense()) for number in stages]
    pairs.append((bev, batch['encoded_spconv_tensor'].dense().flatten(1, 2)))
    return dict(difference=max(float((one - two).abs().max()) for one, two in pairs),
                largest=min(float(one.abs().max()) for one, _ in pairs),
                pairs=len(pairs))


def load(model, path):
    """OpenPCDet's own loading, and what its log says."""
    lines = []
    logger = logging.Logger('openpcdet')
    logger.addHandler(type('Keep', (logging.Handler, ), dict(
        emit=lambda self, record: lines.append(record.getMessage())))())
    model.load_params_from_file(str(path), logger)
    return lines


def fill(backbone, tensors):
    """All that a backbone has and nothing else; mmdet3d's loader asks for the metadata."""
    state = backbone.state_dict()
    assert {f'backbone_3d.{key}' for key in state} == set(tensors)
    state.update({key[len('backbone_3d.'):]: tensor for key, tensor in tensors.items()})
    backbone.load_state_dict(state)


def log_of(name, path):
    model = detector(name)
    wanted = sum(key.startswith('backbone_3d.') for key in model.state_dict())
    return model, dict(tensors=wanted, log=load(model, path))


torch.manual_seed(0)
report = {}

# From mmdet3d to OpenPCDet.
encoder = randomise(SparseEncoder(4, GRID, return_middle_feats=True))
state = nn.ModuleDict(dict(middle_encoder=encoder)).state_dict()
torch.save(dict(state_dict=state), FOLDER / 'mmdet3d.pth')
export_backbone(str(FOLDER / 'mmdet3d.pth'), 'openpcdet', str(FOLDER / 'exported.pth'))
second, report['second'] = log_of('second', FOLDER / 'exported.pth')
report['to_openpcdet'] = difference(encoder, second.backbone_3d)
report['pv_rcnn'] = log_of('pv_rcnn', FOLDER / 'exported.pth')[1]

# What the launcher says of the file, for detectors that it fits and that it does not.
check_pretrained_model(str(FOLDER / 'exported.pth'), second, config_of('second'))
report['refused'] = []
for other in (detector('second', num_features=5),
              detector('second', encoder='VoxelResBackBone8x')):
    try:
        check_pretrained_model(str(FOLDER / 'exported.pth'), other, config_of('second'))
    except PretrainedWeightsError as error:
        report['refused'].append(str(error))

# From OpenPCDet to mmdet3d, the bird's-eye-view network included.
second = detector('second')
torch.save(dict(model_state=second.state_dict()), FOLDER / 'openpcdet.pth')
encoder = randomise(SparseEncoder(4, GRID, return_middle_feats=True))
before = difference(encoder, second.backbone_3d)['difference']
load_pretrained(encoder, str(FOLDER / 'openpcdet.pth'))
report['to_mmdet3d'] = difference(encoder, second.backbone_3d)
report['to_mmdet3d']['before'] = before

export_backbone(str(FOLDER / 'openpcdet.pth'), 'mmdet3d', str(FOLDER / 'second.pth'))
from mmdet3d.registry import MODELS  # noqa: E402
from mmdet3d.utils import register_all_modules  # noqa: E402
import mmdet3d  # noqa: E402, I100

register_all_modules()
config = Config.fromfile(str(
    Path(mmdet3d.__file__).parent / '.mim/configs/_base_/models/second_hv_secfpn_kitti.py'))
bev, neck = MODELS.build(config.model.backbone).eval(), MODELS.build(config.model.neck).eval()
saved = torch.load(FOLDER / 'second.pth')['state_dict']
for net, prefix in ((bev, 'backbone.'), (neck, 'neck.')):
    net.load_state_dict({key[len(prefix):]: tensor for key, tensor in saved.items()
                         if key.startswith(prefix)}, strict=True)
with torch.no_grad():
    image = torch.rand(1, 256, 20, 22)
    expected = second.backbone_2d(dict(spatial_features=image))['spatial_features_2d']
    report['bev'] = dict(difference=float((neck(bev(image))[0] - expected).abs().max()),
                         largest=float(expected.abs().max()))

# CenterPoint's encoder, of residual blocks, both ways; only the last stages end alike.
encoder = residual()
torch.save(dict(state_dict=nn.ModuleDict(dict(middle_encoder=encoder)).state_dict()),
           FOLDER / 'residual.pth')
export_backbone(str(FOLDER / 'residual.pth'), 'openpcdet', str(FOLDER / 'residual_out.pth'))
saved = torch.load(FOLDER / 'residual_out.pth')['model_state']
backbone = randomise(VoxelResBackBone8x({}, 4, np.array([GRID[2], GRID[1], GRID[0] - 1])))
for module in backbone.modules():  # spconv adds biases on a CPU in training only
    module.training = isinstance(module, SparseConvolution)
before = difference(encoder, backbone, [4])['difference']
trained = {f'backbone_3d.{key}': tensor.clone() for key, tensor in backbone.state_dict().items()}
fill(backbone, saved)
report['residual_to_openpcdet'] = dict(difference(encoder, backbone, [4]), before=before)

torch.save(dict(model_state=trained), FOLDER / 'residual.pth')
fill(backbone, trained)
encoder = residual()
before = difference(encoder, backbone, [4])['difference']
load_pretrained(encoder, str(FOLDER / 'residual.pth'))
report['residual_to_mmdet3d'] = dict(difference(encoder, backbone, [4]), before=before)

# The names under which NCLR and ALSO publish their VoxelNet; ALSO before and after its conversion.
CASES = dict(nclr='encoder.', also='backbone.model.', also_converted='model.')
for name, prefix in CASES.items():
    state = {prefix + key: tensor for key, tensor in second.state_dict().items()
             if name != 'nclr' or key.startswith('backbone_3d.')}
    state['img_encoder.encoder.conv1.weight'] = torch.rand(64, 3, 7, 7)
    state['final.weight'] = torch.rand(64, 512, 1, 1)
    torch.save(state if name == 'also_converted' else dict(state_dict=state),
               FOLDER / f'{name}.pth')
    export_backbone(str(FOLDER / f'{name}.pth'), 'openpcdet', str(FOLDER / f'{name}_out.pth'))
    model, report[name] = log_of('second', FOLDER / f'{name}_out.pth')
    report[name]['equal'] = all(
        torch.equal(tensor, second.state_dict()[key]) for key, tensor in model.state_dict().items()
        if key.startswith('backbone_3d.'))

# The YAML for fine-tuning is OpenPCDet's.
os.chdir(TOOLS)
report['configs'] = {}
for name in ('second', 'pv_rcnn'):
    theirs = cfg_from_yaml_file(f'cfgs/kitti_models/{name}.yaml', EasyDict())
    theirs.DATA_CONFIG.pop('_BASE_CONFIG_')
    ours = config_loader(merge_new_config, [TOOLS])(
        str(REPO / 'configs' / 'pcdet' / f'{name}_kitti.yaml'), EasyDict())
    report['configs'][name] = plain(ours) == plain(theirs)
print(json.dumps(report))
