import dataclasses

import numpy as np
import pytest

from pipeline.data.sets.digits import digits
from pipeline.data.splits import Split, Splits, stratified
from pipeline.errors import InputError

# 300 examples of three classes in the proportions 6 : 3 : 1; the input tells which example it is.
LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [180, 90, 30]))
INPUTS = np.arange(600.0).reshape(300, 2)


def split(validation_fraction=0.2, test_fraction=0.1, seed=0, inputs=INPUTS, labels=LABELS):
    fractions = {"validation_fraction": validation_fraction, "test_fraction": test_fraction}
    return stratified(inputs, labels, ("a", "b", "c"), **fractions, seed=seed)


def parts(splits):
    return splits.train, splits.validation, splits.test


def identities(part):
    return (part.inputs[:, 0] / 2).astype(int)


@pytest.mark.parametrize(
    ("validation_fraction", "test_fraction", "sizes"),
    [(0.2, 0.1, (210, 60, 30)), (0.1, 0.3, (180, 30, 90)), (1 / 3, 1 / 3, (100, 100, 100)), (0.04, 0.02, (282, 12, 6))],
)
def test_every_part_has_every_class_in_proportion(validation_fraction, test_fraction, sizes):
    splits = split(validation_fraction, test_fraction)
    assert tuple(map(len, parts(splits))) == sizes
    for part in parts(splits):
        counts = np.bincount(part.labels, minlength=3)
        assert np.abs(counts - len(part) * np.array([0.6, 0.3, 0.1])).max() <= 1


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_parts_are_disjoint_and_together_everything(seed):
    splits = split(seed=seed)
    together = np.concatenate([identities(part) for part in parts(splits)])
    assert sorted(together) == list(range(300))


def test_an_example_keeps_its_label():
    for part in parts(split()):
        np.testing.assert_array_equal(part.labels, LABELS[identities(part)])


def test_types_names_and_shapes():
    splits = split()
    for part in parts(splits):
        assert (part.inputs.dtype, part.labels.dtype) == (np.float32, np.int32)
        assert len(part) == len(part.inputs) == len(part.labels)
    assert (splits.class_names, splits.n_classes, splits.input_shape) == (("a", "b", "c"), 3, (2,))
    images = split(inputs=np.zeros((300, 4, 5, 1)))
    assert images.input_shape == (4, 5, 1)


def test_the_split_follows_from_the_seed():
    one, same, other = split(seed=3), split(seed=3), split(seed=4)
    for part, part_again in zip(parts(one), parts(same), strict=True):
        np.testing.assert_array_equal(part.inputs, part_again.inputs)
        np.testing.assert_array_equal(part.labels, part_again.labels)
    assert one.fingerprint == same.fingerprint
    assert set(identities(one.test)) != set(identities(other.test))
    assert one.fingerprint != other.fingerprint


def test_the_split_does_not_touch_the_global_generator():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    split(seed=9)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize(
    ("validation_fraction", "test_fraction"),
    [(0.001, 0.1), (0.1, 0.001), (0.5, 0.5), (0.6, 0.6), (0.5, 0.4999), (0.005, 0.1)],
)
def test_fractions_that_leave_a_part_too_small_are_refused(validation_fraction, test_fraction):
    with pytest.raises(InputError) as raised:
        split(validation_fraction, test_fraction)
    assert str(raised.value) == (
        f"dataset.validation_fraction={validation_fraction} and dataset.test_fraction={test_fraction} of 300 examples "
        "leave a part with fewer than one example for each of the 3 classes."
    )


def edited(splits, part, inputs=None, labels=None):
    """The same splits with one part replaced."""
    old = getattr(splits, part)
    new = Split(old.inputs if inputs is None else inputs, old.labels if labels is None else labels)
    return dataclasses.replace(splits, **{part: new})


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_the_fingerprint_changes_with_any_pixel_label_or_order(part):
    splits = split()
    old = getattr(splits, part)
    inputs = old.inputs.load()
    pixel, label = inputs.copy(), old.labels.copy()
    pixel[-1, -1] = np.nextafter(pixel[-1, -1], np.float32(np.inf))
    label[0] = (label[0] + 1) % 3
    others = [
        edited(splits, part, inputs=pixel),
        edited(splits, part, labels=label),
        edited(splits, part, inputs=inputs[::-1], labels=old.labels[::-1]),
        edited(splits, part, inputs=inputs[:-1], labels=old.labels[:-1]),
        edited(splits, part, inputs=inputs[:, ::-1]),
        edited(splits, part, inputs=inputs.reshape(-1, 2, 1)),
        edited(splits, part, inputs=inputs.astype(np.float64)),
    ]
    assert len({splits.fingerprint, *(other.fingerprint for other in others)}) == len(others) + 1


def test_the_fingerprint_changes_with_the_parts_the_names_and_the_names_only():
    splits = split()
    swapped = dataclasses.replace(splits, validation=splits.test, test=splits.validation)
    renamed = dataclasses.replace(splits, class_names=("a", "b", "d"))
    assert len({splits.fingerprint, swapped.fingerprint, renamed.fingerprint}) == 3
    copied = Splits(*(Split(part.inputs.load().copy(), part.labels.copy()) for part in parts(splits)), ("a", "b", "c"))
    assert copied.fingerprint == splits.fingerprint
    assert len(splits.fingerprint) == 16


def of_training(inputs):
    """Splits whose training inputs are these; the other parts are far away and must not matter."""
    far = Split(np.full((1, *inputs.shape[1:]), 1e6, np.float32), np.zeros(1, np.int32))
    return Splits(Split(inputs.astype(np.float32), np.zeros(len(inputs), np.int32)), far, far, ("a",))


@pytest.mark.parametrize(
    ("inputs", "mean", "variance"),
    [
        ([[0, 1], [2, 5]], [1, 3], [1, 4]),
        ([[7, 1], [7, 5]], [7, 3], [1, 4]),  # a constant feature is only centred
        ([[0.1], [0.1], [0.1]], [0.1], [1]),
        ([[1e4 + 1], [1e4 - 1]], [1e4], [1]),
        ([[[[0.0], [2.0]]], [[[4.0], [6.0]]]], [3], [5]),  # over all pixels of all images, a number a channel
        ([[[1, 10], [3, 10]]], [2, 10], [1, 1]),
    ],
)
def test_normalization(inputs, mean, variance):
    found_mean, found_variance = of_training(np.array(inputs)).normalization()
    np.testing.assert_allclose(found_mean, np.float32(mean), rtol=1e-6)
    np.testing.assert_allclose(found_variance, np.float32(variance), rtol=1e-6)
    assert found_mean.dtype == found_variance.dtype == np.float32


def test_normalization_of_many_large_numbers_does_not_lose_digits():
    rng = np.random.default_rng(0)
    inputs = (1e4 + rng.normal(0, 1, (50_000, 1))).astype(np.float32)
    mean, variance = of_training(inputs).normalization()
    assert mean[0] == pytest.approx(inputs.astype(np.float64).mean(), rel=1e-7)
    assert variance[0] == pytest.approx(inputs.astype(np.float64).var(), rel=1e-6)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-30, 123456.789])
def test_a_constant_feature_has_variance_one_however_many_examples(value):
    assert of_training(np.full((10_007, 1), value)).normalization()[1] == [1]


def test_digits():
    splits = digits(validation_fraction=0.1, test_fraction=0.1, seed=0)
    assert tuple(map(len, parts(splits))) == (1437, 180, 180)
    assert splits.input_shape == (8, 8, 1)
    assert splits.class_names == tuple("0123456789")
    for part in parts(splits):
        assert (np.min(part.inputs), np.max(part.inputs)) == (0, 16)
        assert set(part.labels) == set(range(10))
    # Label and picture belong together: the mean 0 has a hole, the mean 1 has none.
    centre = [splits.train.inputs[splits.train.labels == c, 3:5, 3:5].mean() for c in (0, 1)]
    assert centre[0] < 4 < 12 < centre[1]


@pytest.mark.parametrize(
    ("rare", "message"), [(1, "the class 'b' has 1 example;"), (3, "has no example of 1 of the 2 classes, first 'b'")]
)
def test_a_class_too_rare_for_every_part_is_refused(rare, message):
    labels = np.array([0] * (100 - rare) + [1] * rare)
    with pytest.raises(InputError, match=message):
        stratified(np.zeros((100, 2)), labels, ("a", "b"), validation_fraction=0.1, test_fraction=0.1, seed=0)


LABELS_OF_20 = np.arange(20) % 2
# labels for 20 examples of 2 classes, what is said of them
WRONG_LABELS = [
    (LABELS_OF_20[:-1], "labels have the shape (19,); wanted is one for each of the 20 inputs."),
    (LABELS_OF_20[:, None], "labels have the shape (20, 1); wanted is one"),
    (LABELS_OF_20 / 2, "labels are float64; wanted are the numbers of the classes, from 0, as integers."),
    (np.array(["a", "b"])[LABELS_OF_20], "labels are <U1; wanted are the numbers of the classes"),
    (LABELS_OF_20 - 1, "labels have -1; the 2 classes have the numbers 0 to 1."),
    (LABELS_OF_20 * 2, "labels have 2; the 2 classes have the numbers 0 to 1."),
]


@pytest.mark.parametrize(("labels", "message"), WRONG_LABELS)
def test_labels_that_are_none_are_refused(labels, message):
    with pytest.raises(InputError) as raised:
        stratified(np.zeros((20, 2)), labels, ("a", "b"), validation_fraction=0.2, test_fraction=0.2, seed=0)
    assert str(raised.value).startswith(f"stratified(): {message}")


@pytest.mark.parametrize("labels", [LABELS_OF_20.tolist(), LABELS_OF_20 == 1, LABELS_OF_20.astype(np.uint8)])
def test_inputs_and_labels_may_be_lists_and_labels_yes_or_no(labels):
    inputs = [[float(label), 1.0] for label in labels]
    splits = stratified(inputs, labels, ("a", "b"), validation_fraction=0.2, test_fraction=0.2, seed=0)
    assert [len(part) for part in parts(splits)] == [12, 4, 4]
    for part in parts(splits):
        assert part.labels.dtype == np.int32
        np.testing.assert_array_equal(part.inputs[:, 0], part.labels)
