import numpy as np
from sklearn.decomposition import PCA

from nclr_plugin.visualization.principal import principal_axes


def test_axes_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(100, 6)) @ np.diag([5, 1, 4, 2, 3, 6]) + rng.normal(size=6)
    mean, axes = principal_axes(features, 3)
    expected = PCA(3).fit(features)
    assert np.allclose(mean, expected.mean_)
    assert np.allclose(np.abs(axes.T @ expected.components_.T), np.eye(3), atol=1e-8)


def test_signs_are_settled():
    features = np.random.default_rng(1).normal(size=(50, 5)).astype(np.float32)
    _, axes = principal_axes(features, 5)
    assert (axes[np.abs(axes).argmax(axis=0), range(5)] > 0).all()
    assert np.allclose(principal_axes(-features, 5)[1], axes)
