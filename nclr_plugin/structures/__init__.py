"""Data structures passed between data sets, models, metrics and visualisers."""
from .calibration_data_sample import CalibrationDataSample

__all__ = ['CalibrationDataSample']
