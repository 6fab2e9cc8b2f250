"""Program: two processes train, the loss of one is not finite; reports what each raises."""
import preload  # noqa: F401, isort: skip
import json
import multiprocessing
import sys

import torch
from torch import nn

from nclr_plugin.pcdet import register

register()
from nclr_plugin.pcdet.pretrain_detector import NCLRPretrain  # noqa: E402


class Pretrainer(nn.Module):
    """A pretrainer of one weight whose loss is what it is told."""

    def __init__(self, value):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.value = value

    def forward(self, mode):
        return dict(loss_point=self.weight * 1., loss_pose=self.weight * self.value)

    def parse_losses(self, losses):
        return sum(losses.values()), dict(losses, loss=None)


class Detector(NCLRPretrain):
    """Without OpenPCDet's networks, which take no part in this."""

    def __init__(self, value):
        nn.Module.__init__(self)
        self.nclr = Pretrainer(value)
        self._reported = set()

    def _preprocess(self, batch_dict):
        return {}


def train(rank, folder, values, queue):
    """Two steps with the losses of this process."""
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/meeting', rank=rank, world_size=2)
    try:
        for step, value in enumerate(values[rank]):
            detector = nn.parallel.DistributedDataParallel(Detector(value))
            loss = detector(dict(points=torch.zeros(1, 5), data_samples=[],
                                 frame_id=[f'frame_{rank}_{step}']))[0]['loss']
            loss.backward()
        queue.put((rank, 'finished'))
    except FloatingPointError as error:
        queue.put((rank, str(error)))


if __name__ == '__main__':
    folder, values = sys.argv[1], json.loads(sys.argv[2])
    context = multiprocessing.get_context('fork')
    queue = context.Queue()
    processes = [context.Process(target=train, args=(rank, folder, values, queue), daemon=True)
                 for rank in range(2)]
    for process in processes:
        process.start()
    print(json.dumps(dict(queue.get(timeout=60) for _ in processes)))
