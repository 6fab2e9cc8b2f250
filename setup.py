"""Packaging of nclr_plugin.

OpenMIM (``mim train nclr_plugin <config>``) looks for a folder ``.mim`` with the configs, the tools
and the model index beside the installed package. In a checkout it holds links, which a wheel turns
into files. An editable install leaves the package in the checkout, where OpenMIM does not look:
there ``.mim`` is made of one-line files that lead to the checkout.
"""

from pathlib import Path

from setuptools import Command, find_packages, setup
from setuptools.command.build import build

ROOT = Path(__file__).resolve().parent

# mmdet3d can be imported before this package, by its own tools, say. So where mmcv has no compiled
# operators, `mmcv._ext` is found from the start; nothing is imported until it is asked for.
START_UP = (
    'import sys; sys.meta_path.append(type("NCLRStartUp", (), dict(find_spec=staticmethod('
    'lambda name, *_: __import__("nclr_plugin").compat.ExtensionFinder.find_spec(name) '
    'if name == "mmcv._ext" else None))))\n')


def read_version():
    """Return the version without importing the package (torch may not be installed yet)."""
    namespace = {}
    exec((ROOT / 'nclr_plugin' / 'version.py').read_text(encoding='utf-8'), namespace)
    return namespace['__version__']


def read_requirements(name):
    """Return the requirement lines of ``requirements/<name>.txt`` without comments."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    lines = (line.split('#')[0].strip() for line in lines)
    return [line for line in lines if line]


class EditableMim(Command):
    """Gives an editable install its ``.mim`` in site-packages."""

    user_options = []
    editable_mode = False  # set by setuptools

    def initialize_options(self):
        """No options."""

    def finalize_options(self):
        """No options."""

    def run(self):
        """Write the folder into the wheel being built, for an editable install only."""
        if not self.editable_mode:
            return
        target = Path(self.get_finalized_command('install').install_lib, 'nclr_plugin', '.mim')
        sources = [ROOT / 'model-index.yml']
        sources += (ROOT / 'configs').rglob('*.*')
        sources += (ROOT / 'tools').glob('*.py')
        for source in sources:
            relative = source.relative_to(ROOT)
            if not {'_base_', '__pycache__'} & set(relative.parts):
                (target / relative).parent.mkdir(parents=True, exist_ok=True)
                (target / relative).write_text(self.lead_to(source), encoding='utf-8')

    @staticmethod
    def lead_to(source):
        """Return the text of a file that stands for ``source``."""
        if source.suffix != '.py':
            return source.read_text(encoding='utf-8')
        if ROOT / 'configs' in source.parents:
            return f'_base_ = {str(source)!r}\n'
        return f'import runpy\n\nrunpy.run_path({str(source)!r}, run_name="__main__")\n'


class StartUp(Command):
    """Gives an installation the line that Python runs when it starts."""

    user_options = []
    editable_mode = False  # set by setuptools

    def initialize_options(self):
        """No options."""

    def finalize_options(self):
        """No options."""

    def run(self):
        """Write it beside the package."""
        command, folder = ('install', 'install_lib') if self.editable_mode else (
            'build', 'build_lib')
        target = Path(getattr(self.get_finalized_command(command), folder))
        target.mkdir(parents=True, exist_ok=True)
        (target / 'nclr_plugin_start_up.pth').write_text(START_UP, encoding='utf-8')


class Build(build):
    """The usual build, :class:`EditableMim` and :class:`StartUp`."""

    sub_commands = build.sub_commands + [('editable_mim', None), ('start_up', None)]


readme = ROOT / 'README.md'

setup(
    name='nclr_plugin',
    version=read_version(),
    description='Self-supervised LiDAR pretraining by 2D-3D neural calibration, '
    'as a plugin for mmdet3d and OpenPCDet',
    long_description=readme.read_text(encoding='utf-8') if readme.is_file() else '',
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    keywords='lidar self-supervised pretraining calibration mmdet3d OpenPCDet',
    python_requires='>=3.8',
    packages=find_packages(include=['nclr_plugin', 'nclr_plugin.*']),
    # Said outright, this makes an editable install put the checkout on the path rather than an
    # import hook, which the folder of .mim in site-packages would hide.
    package_dir={'': '.'},
    package_data={'nclr_plugin': ['.mim/model-index.yml', '.mim/configs/**/*', '.mim/tools/**/*']},
    exclude_package_data={'': ['*.pyc']},
    cmdclass=dict(build=Build, editable_mim=EditableMim, start_up=StartUp),
    install_requires=read_requirements('core'),
    extras_require=dict(
        {name: read_requirements(name) for name in ('bags', 'mmdet3d', 'pcdet', 'tests', 'timm')},
        light=read_requirements('mmdet3d') + read_requirements('light')),
    zip_safe=False,
)
