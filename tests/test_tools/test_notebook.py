"""The notebook of tools/, run from the first cell to the last in small sizes."""
import os
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip('nbformat')
nbclient = pytest.importorskip('nbclient')
ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / 'tools' / 'demo.ipynb'


def test_it_is_committed_without_outputs():
    notebook = nbformat.read(str(NOTEBOOK), as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.outputs or cell.execution_count for cell in notebook.cells
                   if cell.cell_type == 'code')


def test_it_runs_to_the_end(tmp_path, monkeypatch):
    for module in ('mmdet3d', 'spconv', 'ipykernel'):
        pytest.importorskip(module)
    sizes = dict(SCENES='8', VAL_SCENES='2', SAMPLES='4', PROBE_STEPS='2')
    for name, value in dict(sizes, OUT=str(tmp_path), NCLR_PYTHON_READY=sys.executable,
                            PYTHONPATH=str(ROOT), IPYTHONDIR=str(tmp_path / 'ipython'),
                            JUPYTER_RUNTIME_DIR=str(tmp_path / 'runtime')).items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(str(NOTEBOOK), as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=900, kernel_name='python3',
                                     resources=dict(metadata=dict(path=str(ROOT))))
    client.execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == 'code'
               for output in cell.outputs]
    printed = ''.join(output.text for output in outputs if output.output_type == 'stream')
    assert f'Python                  {sys.version.split()[0]}' in printed
    assert '10 scenes in' in printed and printed.count('The best checkpoint with') == 2
    assert any('image/png' in output.get('data', {}) for output in outputs)
    assert (tmp_path / 'calibration' / 'extrinsics.yaml').is_file()
    assert not os.path.exists(ROOT / 'work_dirs' / 'notebook')
