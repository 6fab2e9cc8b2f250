"""Experiments over configs, seeds and label fractions, and their tables.

- ``runs``, ``execution``: what a run is, and running many of them.
- ``ablation``: configs over seeds.
- ``label_efficiency``: fine-tuning on label fractions, and its tables.
- ``detection_ap``, ``tables``: tables in the form of the papers'.
- ``curves``: losses over steps, and recall over thresholds.
"""
