"""The version of nclr_plugin; ``setup.py`` reads it from here without importing the package."""

__version__ = '0.1.0'
