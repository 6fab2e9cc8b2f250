"""Scans with labels as mmdet3d's data loader hands them over."""
import pytest
import torch


@pytest.fixture
def batch():
    """Function: a batch of two scans with some unlabelled points (index 3)."""
    from mmdet3d.structures import Det3DDataSample, PointData

    def make(labelled=True, sizes=(300, 200)):
        generator = torch.Generator().manual_seed(0)
        points, samples = [], []
        for size in sizes:
            points.append(torch.rand(size, 4, generator=generator) * 8 - 4)
            sample = Det3DDataSample()
            sample.gt_pts_seg = PointData()
            if labelled:
                sample.gt_pts_seg.pts_semantic_mask = torch.randint(
                    0, 4, (size, ), generator=generator)
            samples.append(sample)
        return dict(inputs=dict(points=points), data_samples=samples)

    return make
