"""Errors of every view in a file, from which curves and analyses can be made again."""
from __future__ import annotations

import csv
from pathlib import Path
from typing import List, Union

CONFIDENCES = ('pred_inlier_ratio', 'pred_reprojection_error')


def check_view_file(path: Union[str, Path]) -> Path:
    """The path, if it can be the one of a table of views.

    Raises:
        ValueError: When its name does not end in ``.csv``.
    """
    path = Path(path)
    if path.suffix != '.csv':
        raise ValueError(f'out_file: expected the path of a .csv file, found "{path}".')
    return path


def write_views(path: Union[str, Path], results: List[dict]) -> None:
    """Write a CSV file with a row for each view; its folder is made if it does not exist.

    Columns: ``frame_id``, ``view`` (name of the camera), ``wrong_image`` and ``valid`` (0 or 1),
    ``rre_geodesic_deg``, ``rre_euler_deg``, ``rte_m`` of the prediction, the same with
    ``identity_`` before it of the identity placement, ``pred_inlier_ratio`` and
    ``pred_reprojection_error`` (empty when the samples have none). Where ``valid`` is 0 the errors
    of the prediction are those of the identity placement.

    Args:
        path: Of the file; an existing one is replaced.
        results: Records of :class:`~nclr_plugin.evaluation.CalibrationMetric`, one a frame.

    Raises:
        OSError: When the file cannot be written.
    """
    path = Path(path)
    rows = [row for result in results for row in _rows(result)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, 'w', encoding='utf-8', newline='') as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise OSError(f'{path}: the errors of the views could not be written ({error}); is the '
                      'folder writable?') from error


def _rows(result: dict) -> List[dict]:
    rows = []
    for index, (view, valid) in enumerate(zip(result['view'], result['valid'])):
        rows.append(
            dict(frame_id=result['frame_id'], view=view, wrong_image=int(result['wrong_image']),
                 valid=int(valid),
                 **{name: values[index] for name, values in result['predicted'].items()},
                 **{f'identity_{name}': values[index]
                    for name, values in result['identity'].items()},
                 **{name: result[name][index] if name in result else '' for name in CONFIDENCES}))
    return rows
