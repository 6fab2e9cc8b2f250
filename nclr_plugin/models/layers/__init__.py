"""Parts that backbones, necks and heads share: batches, voxels, position codes, attention."""
