"""Helpers without a room of their own: optional imports, devices, wrappers of data sets."""
