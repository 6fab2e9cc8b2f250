"""CorrI2P's recipe from NCLR's parts: overlap, cosine similarity, hard match, RANSAC with EPnP."""
_base_ = ['./nclr_demo.py']

# model settings
model = dict(
    matching_head=dict(alignment=False, match='hard'),
    pose_head=dict(solver='ransac_epnp', max_iterations=500),
    loss_weights=dict(pose=0.))
