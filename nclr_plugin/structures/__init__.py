"""Data structures passed between data sets, models, metrics and pictures."""
from .calibration_data_sample import CalibrationDataSample, inspection
from .views import Views

__all__ = ['CalibrationDataSample', 'Views', 'inspection']
