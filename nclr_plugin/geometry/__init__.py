"""Plain torch geometry: rigid transforms, cameras, pose solvers, correspondences.

Frames: LiDAR x forward, y left, z up; camera x right, y down, z forward. Metres and radians.
``lidar2cam`` maps LiDAR to camera, ``cam2img`` is the 3x3 K, pixels are (u, v) with integers at
pixel centres. Every function takes any number of leading dimensions.
"""
