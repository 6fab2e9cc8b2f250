"""How ``mmcv._ext`` is found, and what spconv imports, in processes of their own."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('mmcv')
ROOT = Path(__file__).resolve().parents[2]


def python(code, *folders):
    path = os.pathsep.join(map(str, [*folders, ROOT]))
    done = subprocess.run([sys.executable, '-c', code], env=dict(os.environ, PYTHONPATH=path),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    return done.stderr.strip() if done.returncode else done.stdout.strip()


@pytest.fixture(scope='module')
def mmcv_lite(tmp_path_factory):
    """A folder with the installed mmcv, less its compiled operators."""
    import mmcv
    folder = tmp_path_factory.mktemp('lite')
    (folder / 'mmcv').mkdir()
    for path in Path(mmcv.__file__).parent.iterdir():
        if not path.name.startswith('_ext'):
            (folder / 'mmcv' / path.name).symlink_to(path)
    return folder


def test_the_stand_in_is_found_where_nothing_is_compiled(mmcv_lite):
    output = python('import nclr_plugin, mmcv._ext, mmcv.ops; print(mmcv._ext.__file__)', mmcv_lite)
    assert output.endswith(os.path.join('nclr_plugin', 'compat', 'mmcv_ext.py'))


def test_a_compiled_module_comes_first(mmcv_lite, tmp_path):
    (tmp_path / 'mmcv').mkdir()
    for path in (mmcv_lite / 'mmcv').iterdir():
        (tmp_path / 'mmcv' / path.name).symlink_to(path)
    (tmp_path / 'mmcv' / '_ext.py').write_text('real = True')
    assert python('import nclr_plugin, mmcv._ext; print(mmcv._ext.real)', tmp_path) == 'True'


def test_mmdet3ds_import_and_a_missing_operator_says_what_to_install(mmcv_lite):
    pytest.importorskip('mmdet3d')
    code = ('import nclr_plugin, torch, mmdet3d.models, mmdet.models, mmcv.ops\n'
            'mmcv.ops.nms(torch.zeros(1, 4), torch.ones(1), 0.5)')
    output = python(code, mmcv_lite)
    assert 'NotImplementedError: mmcv.ops: nms: this mmcv has no compiled operators' in output
    assert 'setup_env.sh --ops' in output


def test_names_with_underscores_are_no_operators():
    from nclr_plugin.compat import mmcv_ext
    assert not hasattr(mmcv_ext, '__path__') and not hasattr(mmcv_ext, '_repr_html_')
    assert hasattr(mmcv_ext, 'roi_align_forward')


def test_no_other_module_is_found_and_repeat_calls_add_nothing():
    code = ('import sys, nclr_plugin\n'
            'from nclr_plugin.compat import ExtensionFinder, make_mmdet3d_importable\n'
            'make_mmdet3d_importable()\n'
            'print(sys.meta_path.count(ExtensionFinder),\n'
            '      [ExtensionFinder.find_spec(name) for name in ("mmcv", "mmcv.ops", "_ext")])')
    assert python(code) == '1 [None, None, None]'


def test_numpy_has_a_long():
    import numpy as np

    import nclr_plugin  # noqa: F401
    assert np.array([1], np.long).dtype.kind == 'i'


@pytest.mark.parametrize('gpu', [False, True])
def test_spconv_describes_its_gpu_kernels_only_where_there_is_a_gpu(gpu):
    pytest.importorskip('spconv.pytorch')
    code = ('import nclr_plugin, torch\n'
            f'torch.cuda.is_available = lambda: {gpu}\n'
            'import spconv.pytorch\nfrom spconv.algo import CONV\n'
            'print(len(CONV.all_desps) > 0)')
    assert python(code).endswith(str(gpu))
