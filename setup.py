"""Packaging of nclr_plugin."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent


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


def read_readme():
    """Return the README, which an early checkout may lack."""
    readme = ROOT / 'README.md'
    return readme.read_text(encoding='utf-8') if readme.is_file() else ''


setup(
    name='nclr_plugin',
    version=read_version(),
    description='Self-supervised LiDAR pretraining by 2D-3D neural calibration, '
    'as a plugin for mmdet3d and OpenPCDet',
    long_description=read_readme(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    keywords='lidar self-supervised pretraining calibration mmdet3d OpenPCDet',
    python_requires='>=3.8',
    packages=find_packages(include=['nclr_plugin', 'nclr_plugin.*']),
    # .mim holds links to configs, tools and model-index.yml: OpenMIM looks for them inside the
    # installed package, and a built wheel carries the files themselves.
    package_data={'nclr_plugin': ['.mim/model-index.yml', '.mim/configs/**/*', '.mim/tools/**/*']},
    exclude_package_data={'': ['*.pyc']},
    install_requires=read_requirements('core'),
    extras_require={name: read_requirements(name) for name in ('mmdet3d', 'pcdet', 'tests')},
    zip_safe=False,
)
