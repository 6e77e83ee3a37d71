import numpy as np
import pytest

from pipeline.data.sets.planar import blobs, spirals
from pipeline.errors import InputError

BLOBS = {"n_classes": 3, "examples_per_class": 100, "spread": 0.1}
SPIRALS = {"n_classes": 3, "examples_per_class": 100, "noise": 0.0, "turns": 1.0}


def make(source, seed=0, **changes):
    base = BLOBS if source is blobs else SPIRALS
    return source(**{**base, "validation_fraction": 0.2, "test_fraction": 0.2, **changes}, seed=seed)


def everything(splits):
    parts = (splits.train, splits.validation, splits.test)
    return np.concatenate([p.inputs for p in parts]), np.concatenate([p.labels for p in parts])


@pytest.mark.parametrize("source", [blobs, spirals])
@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_classes_are_of_equal_size_and_named(source, n_classes):
    splits = make(source, n_classes=n_classes)
    inputs, labels = everything(splits)
    assert inputs.shape == (100 * n_classes, 2)
    assert np.bincount(labels).tolist() == [100] * n_classes
    assert splits.class_names == tuple(f"class {c}" for c in range(n_classes))
    assert [len(p) for p in (splits.train, splits.validation, splits.test)] == [n_classes * n for n in (60, 20, 20)]


@pytest.mark.parametrize("source", [blobs, spirals])
def test_the_points_follow_from_the_seed(source):
    noisy = {"noise": 0.2} if source is spirals else {}
    assert make(source, seed=1, **noisy).fingerprint == make(source, seed=1, **noisy).fingerprint
    one, other = (everything(make(source, seed=seed, **noisy))[0] for seed in (1, 2))
    assert len(np.intersect1d(one[:, 0], other[:, 0])) == 0  # other points, not only another split


@pytest.mark.parametrize("spread", [0.0, 0.1, 0.3])
def test_blobs_lie_around_points_of_the_unit_circle(spread):
    inputs, labels = everything(make(blobs, n_classes=4, spread=spread, examples_per_class=500))
    for c, centre in enumerate([(1, 0), (0, 1), (-1, 0), (0, -1)]):
        cloud = inputs[labels == c]
        np.testing.assert_allclose(cloud.mean(0), centre, atol=0.05 * (spread > 0) + 1e-6)
        np.testing.assert_allclose(cloud.std(0), spread, rtol=0.15, atol=1e-6)


def test_a_line_separates_two_narrow_blobs():
    inputs, labels = everything(make(blobs, n_classes=2))
    np.testing.assert_array_equal(inputs[:, 0] < 0, labels == 1)


@pytest.mark.parametrize("turns", [0.5, 1.0, 2.0])
def test_an_arm_winds_around_the_origin(turns):
    inputs, labels = everything(make(spirals, turns=turns))
    radius = np.hypot(*inputs.T)
    assert radius.min() == pytest.approx(0.05, rel=1e-5) and radius.max() == pytest.approx(1, rel=1e-5)
    # Without noise the angle says the class: a third of a turn from arm to arm.
    angle = np.arctan2(inputs[:, 1], inputs[:, 0]) / (2 * np.pi) - turns * radius
    np.testing.assert_allclose(np.exp(2j * np.pi * angle), np.exp(2j * np.pi * labels / 3), atol=1e-4)


def test_noise_moves_points_along_the_circle_only():
    still, noisy = (everything(make(spirals, noise=noise))[0] for noise in (0.0, 0.3))
    np.testing.assert_allclose(np.sort(np.hypot(*noisy.T)), np.sort(np.hypot(*still.T)), rtol=1e-5)
    assert not np.allclose(np.sort(noisy[:, 0]), np.sort(still[:, 0]), atol=1e-2)


@pytest.mark.parametrize("source", [blobs, spirals])
def test_too_few_examples_are_refused(source):
    with pytest.raises(InputError, match="leave a part with fewer than one example for each of the 3 classes"):
        make(source, examples_per_class=4)
