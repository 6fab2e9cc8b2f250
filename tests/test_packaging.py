"""What gets installed: wheel, source archive, editable install, and what the import needs."""
from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]
PARTS = ('setup.py', 'pyproject.toml', 'MANIFEST.in', 'LICENSE', 'README.md', 'model-index.yml',
         'requirements', 'configs', 'tools', 'nclr_plugin')
FRAMEWORKS = {'mmdet3d', 'mmdet', 'mmcv', 'spconv', 'scipy', 'pcdet'}
MARKER = r'python_version ([<>]=?|==) "3\.\d+"'
PINNED = re.compile(rf'[\w.-]+==[\w.]+(; {MARKER}( and {MARKER})?)?$')
OPTIONAL = FRAMEWORKS | {'matplotlib', 'torchvision', 'PIL', 'skimage', 'open3d', 'nuscenes',
                    'pandas', 'tabulate', 'rosbags'}


def run(*args, cwd, **environment):
    """Run a command away from the network and return its output."""
    result = subprocess.run(
        args, cwd=cwd, env=dict(os.environ, **environment), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    assert result.returncode == 0, result.stdout
    return result.stdout


def build(hook, source, out):
    """Build with the hook of setuptools that pip calls, without build isolation."""
    out.mkdir()
    run(sys.executable, '-c',
        f'from setuptools import build_meta; build_meta.{hook}({str(out)!r})', cwd=source)
    archive, = out.iterdir()
    return archive


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """A copy of the checkout, so that building leaves nothing behind in it."""
    folder = tmp_path_factory.mktemp('packaging') / 'checkout'
    folder.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(
                str(ROOT / part), str(folder / part), symlinks=True,
                ignore=shutil.ignore_patterns('__pycache__'))
        elif (ROOT / part).exists():
            shutil.copy(str(ROOT / part), str(folder))
    return folder


@pytest.fixture(scope='module')
def sdist(source, tmp_path_factory):
    return build('build_sdist', source, tmp_path_factory.mktemp('sdist') / 'out')


def files_below(folder, *patterns):
    """Names of the files below ``folder`` relative to it, sorted."""
    found = (path for pattern in patterns for path in folder.rglob(pattern))
    return sorted(path.relative_to(folder).as_posix() for path in found if path.is_file())


def wheel_names(wheel):
    with zipfile.ZipFile(str(wheel)) as archive:
        return sorted(name for name in archive.namelist() if '.dist-info/' not in name)


def expected_in_wheel(source):
    package = [f'nclr_plugin/{name}' for name in files_below(source / 'nclr_plugin', '*.py')
               if not name.startswith('.mim/')]
    mim = ['model-index.yml']
    mim += [f'configs/{name}' for name in files_below(
        source / 'configs', '*.py', '*.yml', '*.yaml', '*.md')]
    mim += [f'tools/{name}' for name in files_below(source / 'tools', '*.py', '*.sh', '*.ipynb')]
    return sorted(package + [f'nclr_plugin/.mim/{name}' for name in mim]
                  + ['nclr_plugin_start_up.pth'])


def test_wheel_holds_the_package_and_real_files_for_openmim(source, tmp_path):
    wheel = build('build_wheel', source, tmp_path / 'out')
    assert wheel_names(wheel) == expected_in_wheel(source)
    with zipfile.ZipFile(str(wheel)) as archive:
        config = archive.read('nclr_plugin/.mim/configs/nclr/nclr_minkunet_demo.py')
        metadata = archive.read('nclr_plugin-0.1.0.dist-info/METADATA').decode()
    assert config == (ROOT / 'configs/nclr/nclr_minkunet_demo.py').read_bytes()
    requires = re.findall(r'^Requires-Dist: ([\w-]+)(?![^\n]*extra)', metadata, re.MULTILINE)
    assert sorted(requires) == ['mmengine', 'numpy', 'torch']
    assert re.search(r'^Requires-Dist: torch *\(?>=2\.1\)?$', metadata, re.MULTILINE), \
        'attention with a mask under mixed precision needs it'
    extras = re.findall(r'^Provides-Extra: (\w+)', metadata, re.MULTILINE)
    assert sorted(extras) == ['bags', 'light', 'mmdet3d', 'pcdet', 'tests', 'timm']


def test_source_archive_builds_the_same_wheel(source, sdist, tmp_path):
    with tarfile.open(str(sdist)) as archive:
        archive.extractall(str(tmp_path))
    unpacked, = (path for path in tmp_path.iterdir() if path.is_dir())
    assert not any(path.is_symlink() for path in unpacked.rglob('*'))
    assert (unpacked / 'LICENSE').read_bytes() == (ROOT / 'LICENSE').read_bytes()
    wheel = build('build_wheel', unpacked, tmp_path / 'out')
    assert wheel_names(wheel) == expected_in_wheel(source)


@pytest.fixture(scope='module')
def editable(source, tmp_path_factory):
    """The folder that an editable install unpacks into site-packages."""
    folder = tmp_path_factory.mktemp('editable')
    wheel = build('build_editable', source, folder / 'out')
    with zipfile.ZipFile(str(wheel)) as archive:
        archive.extractall(str(folder / 'site-packages'))
    return folder / 'site-packages'


def test_editable_install_leads_to_the_checkout(editable, source):
    pth, = editable.glob('__editable__*.pth')
    assert Path(pth.read_text().strip()) == source
    # A regular package later on the path wins over the folder that only holds .mim.
    assert not (editable / 'nclr_plugin' / '__init__.py').exists()
    output = run(
        sys.executable, '-S', '-c',
        'import importlib.machinery as m; print(m.PathFinder.find_spec("nclr_plugin").origin)',
        cwd=str(editable.parent), PYTHONPATH=os.pathsep.join([str(editable), str(source)]))
    assert Path(output.strip()) == source / 'nclr_plugin' / '__init__.py'


def test_an_installation_finds_the_operators_of_mmcv_before_this_package_is_imported(editable):
    line = (editable / 'nclr_plugin_start_up.pth').read_text()
    code = (f'import sys; exec({line!r}); assert "nclr_plugin" not in sys.modules\n'
            'finder = sys.meta_path[-1]\n'
            'print(finder.find_spec("mmcv"), finder.find_spec("mmcv._ext", None).origin)')
    output = run(sys.executable, '-W', 'ignore', '-c', code, cwd=str(ROOT))
    assert output.split() == ['None', str(ROOT / 'nclr_plugin' / 'compat' / 'mmcv_ext.py')]


def test_editable_install_has_every_config_for_openmim(editable, source):
    mim = editable / 'nclr_plugin' / '.mim'
    names = [name for name in files_below(source / 'configs', '*.py') if '_base_' not in name]
    assert files_below(mim / 'configs', '*.py') == names
    assert (mim / 'model-index.yml').read_text() == (source / 'model-index.yml').read_text()
    for name in names:
        path = source / 'configs' / name
        assert (mim / 'configs' / name).read_text() == f"_base_ = '{path}'\n"
    for name in {Path(name).parent: name for name in names}.values():  # one of each folder
        assert Config.fromfile(str(mim / 'configs' / name))._cfg_dict == Config.fromfile(
            str(source / 'configs' / name))._cfg_dict


def test_editable_install_has_working_tools_for_openmim(editable, source, tmp_path):
    pytest.importorskip('mmdet3d')
    tools = editable / 'nclr_plugin' / '.mim' / 'tools'
    scripts = [sorted(path.name for path in folder.glob('*.py'))
               for folder in (tools, source / 'tools')]
    assert scripts[0] == scripts[1] and 'train.py' in scripts[0]
    assert 'usage: train.py' in run(
        sys.executable, str(tools / 'train.py'), '--help', cwd=str(tmp_path))


IMPORT = '''
import json, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {frameworks}:
            raise ImportError(f'{{name}} is blocked')

sys.meta_path.insert(0, Block())
import nclr_plugin
print(json.dumps([m.__file__ for n, m in sys.modules.items() if n.startswith('nclr_plugin')]))
'''


def imports_at_load(path):
    """Top-level names that a module imports outside functions, ``try`` and ``if`` blocks."""
    for node in ast.parse(Path(path).read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Import):
            yield from (alias.name.split('.')[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split('.')[0]


def test_import_needs_no_framework():
    output = run(sys.executable, '-c', IMPORT.format(frameworks=FRAMEWORKS), cwd=str(ROOT))
    loaded = json.loads(output.splitlines()[-1])
    assert len(loaded) > 10
    # mmengine itself imports OpenCV and matplotlib, so for these the source is looked at.
    for path in loaded:
        assert not OPTIONAL & set(imports_at_load(path)), path


def headings(page):
    """Anchors of the headings of a page, as GitHub makes them."""
    text = re.sub(r'^```.*?^```', '', page.read_text(), flags=re.M | re.S)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-')
            for heading in re.findall(r'^#+ (.*)$', text, re.M)}


def test_links_between_pages_lead_somewhere():
    pages = [ROOT / 'README.md', *(page for folder in ('configs', 'nclr_plugin', 'requirements')
                                   for page in (ROOT / folder).rglob('*.md'))]
    links = [(page, target) for page in pages
             for target in re.findall(r'\]\(([^)\s]+)\)', page.read_text()) if '://' not in target]
    assert len(links) > 50
    for page, target in links:
        path, _, anchor = target.partition('#')
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f'{page}: {target}'
        assert not anchor or anchor in headings(found), f'{page}: {target}'


def test_model_index_lists_models_with_results_alone():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    for model in index['Models']:
        assert (ROOT / model['Config']).is_file() and model['Results']


def test_a_config_that_readmes_give_to_openmim_is_found_by_its_name_alone():
    """OpenMIM refuses a name that several files of ``configs`` have."""
    names = [path.name for path in (ROOT / 'configs').rglob('*.py')]
    named = {name for path in [ROOT / 'README.md', *(ROOT / 'configs').rglob('*.md')]
             for name in re.findall(r'mim (?:train|test) nclr_plugin (\S+)', path.read_text())}
    assert named and all(names.count(name) == 1 for name in named)


def test_no_base_file_has_the_name_of_a_config():
    """A wheel has both, and OpenMIM does not know that the base file is none to run."""
    paths = list((ROOT / 'configs').rglob('*.py'))
    bases = {path.name for path in paths if '_base_' in path.parts}
    assert bases and not bases & {path.name for path in paths if '_base_' not in path.parts}


@pytest.mark.parametrize('name', ['common', 'gold', 'modern', 'cuda'])
def test_environment_is_pinned_and_names_no_index(name):
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    lines = [line for line in lines if line and not line.startswith('#')]
    assert lines
    for line in lines:
        assert line == '-r common.txt' or PINNED.match(line), line


def test_no_version_of_the_environment_is_stated_twice():
    pins = [line.partition(';')[0] for name in ('common', 'gold', 'modern', 'cuda')
            for line in (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
            if '==' in line and not line.startswith('#')]
    assert len(set(pins)) == len(pins) > 200
    for path in [ROOT / 'README.md', *(ROOT / 'tools').glob('*.*')]:
        for package, _, version in (pin.partition('==') for pin in pins):
            words = rf'{re.escape(package)}\W{{1,4}}{re.escape(version)}(?![\w.])'
            assert not re.search(words, path.read_text()), f'{path.name}: {package} {version}'
