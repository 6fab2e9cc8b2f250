"""mmdet3d's panoptic quality, mended, against a brute-force computation."""

import numpy as np
import pytest
import torch
from mmengine.registry import METRICS

pytest.importorskip('mmdet3d')
CLASSES = ('car', 'person', 'road', 'wall', 'tree')
THINGS, IGNORED = (0, 1), 5


@pytest.fixture
def evaluate():
    """Function: scans of (true classes, true ids, predicted classes, predicted ids) -> figures."""

    def run(scans, min_num_points=3):
        metric = build(min_num_points)
        for scan in scans:
            process(metric, scan)
        return metric.compute_metrics(metric.results)

    return run


def build(min_num_points=3):
    import nclr_plugin  # noqa: F401
    metric = METRICS.build(dict(
        type='PanopticMetric', thing_class_inds=THINGS, min_num_points=min_num_points))
    metric.dataset_meta = dict(classes=CLASSES, ignore_index=IGNORED)
    return metric


def process(metric, scan):
    """Hand a scan to a metric as the evaluator does."""
    semantic, instance, found, ids = map(np.asarray, scan)
    metric.process({}, [dict(
        eval_ann_info=dict(pts_semantic_mask=semantic, pts_instance_mask=instance),
        pred_pts_seg=dict(pts_semantic_mask=torch.as_tensor(found),
                          pts_instance_mask=torch.as_tensor(ids)))])


def segments(semantic, instance, labelled):
    """Segments as (class, set of points)."""
    found = {}
    for point in np.flatnonzero(labelled):
        index = semantic[point]
        key = (index, instance[point] if index in THINGS else None)
        found.setdefault(key, set()).add(point)
    return [(key[0], points) for key, points in found.items()]


def brute_force(scans, min_num_points=3):
    """Kirillov et al., "Panoptic segmentation", pair by pair."""
    hits, false, missed, overlap = (np.zeros(len(CLASSES)) for _ in range(4))
    both, either = np.zeros(len(CLASSES)), np.zeros(len(CLASSES))
    for semantic, instance, found, ids in scans:
        labelled = np.asarray(semantic) != IGNORED
        true = segments(semantic, instance, labelled)
        predicted = segments(found, ids, labelled)
        matched = set(), set()
        for i, (index, points) in enumerate(true):
            for j, (other, others) in enumerate(predicted):
                iou = len(points & others) / len(points | others)
                if index == other and iou > 0.5:
                    hits[index] += 1
                    overlap[index] += iou
                    matched[0].add(i)
                    matched[1].add(j)
        for side, parts, errors in ((0, true, missed), (1, predicted, false)):
            for k, (index, points) in enumerate(parts):
                if k not in matched[side] and len(points) >= min_num_points:
                    errors[index] += 1
        for index in range(len(CLASSES)):
            a, b = np.asarray(semantic) == index, (np.asarray(found) == index) & labelled
            both[index] += (a & b).sum()
            either[index] += (a | b).sum()
    counted = hits + (false + missed) / 2
    with np.errstate(invalid='ignore', divide='ignore'):
        pq, rq, iou = overlap / counted, hits / counted, both / either
        sq = np.where(hits > 0, overlap / hits, np.where(counted > 0, 0, np.nan))
    thing = np.isin(np.arange(len(CLASSES)), THINGS)

    def mean(values):
        values = [value for value in values if not np.isnan(value)]
        return sum(values) / len(values) if values else float('nan')

    figures = dict(pq=mean(pq), sq_mean=mean(sq), rq_mean=mean(rq), miou=mean(iou),
                   pq_dagger=mean(np.where(thing, pq, iou)))
    for name, values in dict(pq=pq, sq=sq, rq=rq).items():
        figures[f'{name}_things'] = mean(values[thing])
        figures[f'{name}_stuff'] = mean(values[~thing])
    return figures


def random_scan(seed, number=300, highest=4, agreement=0.8):
    """A random partition, and a prediction that agrees with it in part."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 12, number)
    semantic = rng.integers(0, len(CLASSES) + 1, 12)[blocks]
    instance = rng.integers(0, highest, 12)[blocks]
    kept = rng.random(number) < agreement
    found = np.where(kept & (semantic != IGNORED), semantic, rng.integers(0, 5, number))
    # Instances have other numbers in a prediction.
    ids = np.where(kept, highest - instance, rng.integers(0, highest, number))
    return semantic, instance, found, ids


@pytest.mark.parametrize('seed', range(6))
def test_random_partitions(evaluate, seed):
    scans = [random_scan(10 * seed + k, agreement=(0.5, 0.8, 0.95)[k]) for k in range(3)]
    assert evaluate(scans) == pytest.approx(brute_force(scans), nan_ok=True)


@pytest.mark.parametrize('name, scan', [
    ('no things', ([2, 2, 2, 3, 3, 3], [0] * 6, [2, 2, 2, 3, 3, 2], [0] * 6)),
    ('no things found', ([0, 0, 0, 3, 3, 3], [7, 7, 7, 0, 0, 0], [3] * 6, [0] * 6)),
    ('one point', ([0], [1], [0], [5])),
    ('one wrong point', ([0], [1], [1], [5])),
    ('all ignored', ([IGNORED] * 4, [0, 1, 2, 3], [0, 1, 2, 3], [1, 2, 3, 4])),
    ('stuff with ids', ([2] * 6, [1, 1, 2, 2, 3, 3], [2] * 6, [0, 0, 0, 5, 5, 5])),
    ('below the minimum', ([0, 0, 2, 2, 2], [1, 2, 0, 0, 0], [1, 0, 2, 2, 2], [1, 1, 0, 0, 0])),
    ('negative ids', ([0] * 6, [-3, -3, -3, 4, 4, 4], [0] * 6, [1, 1, 1, -1, -1, -1])),
])
def test_edge_cases(evaluate, name, scan):
    for min_num_points in (1, 3):
        assert evaluate([scan], min_num_points) == pytest.approx(
            brute_force([scan], min_num_points), nan_ok=True)


@pytest.mark.parametrize('scale', [2**16, 2**16 - 1, 2**31, 2**40])
def test_ids_over_16_bits(evaluate, scale):
    """Ids that are equal modulo a power of two stay different."""
    scans = []
    for seed in range(3):
        semantic, instance, found, ids = random_scan(seed)
        scans.append((semantic, instance * scale, found, ids * scale))
    assert evaluate(scans) == pytest.approx(brute_force(scans), nan_ok=True)
    assert evaluate(scans) == pytest.approx(evaluate([random_scan(seed) for seed in range(3)]))


def test_as_mmdet3d_where_mmdet3d_is_right(evaluate):
    """All classes occur, none is ignored, stuff has one id, ids are small."""
    from mmdet3d.evaluation import panoptic_seg_eval
    scans = []
    for seed in range(4):
        semantic, instance, found, ids = random_scan(seed, number=600)
        semantic = np.where(semantic == IGNORED, 3, semantic)
        scans.append((semantic, np.where(semantic < 2, instance, 0), found,
                      np.where(found < 2, ids, 0)))
    reference = panoptic_seg_eval(
        [dict(pts_semantic_mask=s, pts_instance_mask=i) for s, i, _, _ in scans],
        [dict(pts_semantic_mask=s, pts_instance_mask=i) for _, _, s, i in scans],
        [*CLASSES, 'unlabelled'], CLASSES[:2], CLASSES[2:], 3, 2**16, {}, [IGNORED])
    assert evaluate(scans) == pytest.approx(reference)


def test_what_mmdet3d_gets_wrong(evaluate):
    """The reasons for the adapter: if these hold no more, it can go."""
    from mmdet3d.evaluation import panoptic_seg_eval

    def reference(scan, classes=(*CLASSES, 'unlabelled')):
        semantic, instance, found, ids = map(np.asarray, scan)
        return panoptic_seg_eval(
            [dict(pts_semantic_mask=semantic, pts_instance_mask=instance)],
            [dict(pts_semantic_mask=found, pts_instance_mask=ids)],
            list(classes), classes[:2], classes[2:5], 1, 2**16, {}, [IGNORED])

    with pytest.raises(IndexError):  # a point without a label
        reference(([0, IGNORED], [1, 0], [0, 0], [1, 0]), CLASSES)
    apart = [0] * 4, [1, 1, 1, 1], [0] * 4, [2**16, 2**16, 2**16, 2**16]
    with pytest.raises(KeyError):  # an id over 16 bits
        reference(apart)
    assert evaluate([apart], 1)['pq'] == 1
    perfect = [0] * 4, [1] * 4, [0] * 4, [1] * 4
    assert reference(perfect)['pq'] == pytest.approx(1 / len(CLASSES))  # absent classes count as 0
    assert evaluate([perfect], 1)['pq'] == 1


def test_labels_without_instances_are_reported():
    metric = METRICS.build(dict(type='PanopticMetric', thing_class_inds=[0], min_num_points=1))
    metric.dataset_meta = dict(classes=CLASSES, ignore_index=IGNORED)
    masks = dict(pts_semantic_mask=torch.zeros(3), pts_instance_mask=torch.zeros(3))
    with pytest.raises(ValueError, match='eval_ann_info.*LoadPanopticLabels'):
        metric.process({}, [dict(pred_pts_seg=masks,
                                 eval_ann_info=dict(pts_semantic_mask=np.zeros(3)))])


def test_two_batches_equal_one(evaluate):
    scans = [random_scan(seed) for seed in range(4)]
    assert evaluate(scans) == pytest.approx(evaluate(scans[::-1]))


def evaluate_half(rank, scans):
    """Evaluate every second scan, around the end as mmengine's sampler does it."""
    metric = build()
    for index in range(rank, len(scans) + 1, 2):
        process(metric, scans[index % len(scans)])
    return metric.evaluate(len(scans))


def test_two_processes_find_what_one_finds(evaluate, tmp_path, monkeypatch, in_two_processes):
    monkeypatch.chdir(tmp_path)  # where the results are collected
    scans = [random_scan(seed) for seed in range(3)]
    found = in_two_processes(evaluate_half, scans)
    expected = evaluate(scans)
    assert expected == pytest.approx(brute_force(scans), nan_ok=True)
    assert found[0] == pytest.approx(expected, nan_ok=True)
    assert found[1] == pytest.approx(expected, nan_ok=True)
