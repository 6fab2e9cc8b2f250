"""Utilities: optional imports, sparse convolutions by device, wrappers of data sets."""
