# runtime settings
custom_imports = dict(imports=['nclr_plugin'], allow_failed_imports=False)
