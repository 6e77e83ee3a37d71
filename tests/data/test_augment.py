import numpy as np
import pytest
import tensorflow as tf

from pipeline.data.augment import augmentation
from pipeline.data.input_pipeline import training_batches
from pipeline.data.splits import Split
from pipeline.errors import InputError
from pipeline.schema import Augment

IMAGES = np.random.default_rng(0).random((64, 6, 5, 2), np.float32)
SEED = tf.constant([0, 0])


def test_nothing_is_done_unless_asked_for():
    assert augmentation(Augment(False, 0), (8, 8, 1)) is None
    assert augmentation(Augment(False, 0), (8,)) is None


def test_about_half_of_the_images_are_mirrored_and_the_others_stay():
    found = augmentation(Augment(True, 0), IMAGES.shape[1:])(IMAGES, SEED).numpy()
    mirrored = [np.array_equal(new, old[:, ::-1]) for new, old in zip(found, IMAGES)]
    same = [np.array_equal(new, old) for new, old in zip(found, IMAGES)]
    assert all(a != b for a, b in zip(mirrored, same))
    assert 20 < sum(mirrored) < 44


def test_every_shift_occurs_and_what_comes_in_repeats_the_edge():
    found = augmentation(Augment(False, 1), IMAGES.shape[1:])(IMAGES, SEED).numpy()
    seen = set()
    for new, old in zip(found, IMAGES):
        padded = np.pad(old, ((1, 1), (1, 1), (0, 0)), mode="edge")
        places = [(y, x) for y in range(3) for x in range(3) if np.array_equal(new, padded[y : y + 6, x : x + 5])]
        assert len(places) == 1
        seen.update(places)
    assert len(seen) == 9


def test_it_is_a_pure_function_of_its_seed():
    augment = augmentation(Augment(True, 2), IMAGES.shape[1:])
    np.testing.assert_array_equal(augment(IMAGES, SEED), augment(IMAGES, SEED))
    assert not np.array_equal(augment(IMAGES, SEED), augment(IMAGES, tf.constant([0, 1])))


def test_each_epoch_has_images_of_its_own_and_a_resumed_one_the_same():
    split = Split(IMAGES, np.zeros(64, np.int32))
    augment = augmentation(Augment(True, 1), IMAGES.shape[1:])

    def batches(start, n):
        found = training_batches(split, batch_size=10, seed=3, start_epoch=start, augment=augment)
        return [inputs.numpy() for inputs, _ in found.take(n)]

    both = batches(0, 14)
    for one, other in zip(batches(1, 7), both[7:], strict=True):
        np.testing.assert_array_equal(one, other)
    plain = [inputs.numpy() for inputs, _ in training_batches(split, batch_size=10, seed=3).take(14)]
    changed = [np.mean([not np.array_equal(a, b) for a, b in zip(x, y)]) for x, y in zip(both, plain)]
    assert np.mean(changed) > 0.8


@pytest.mark.parametrize(
    ("settings", "shape", "message"),
    [
        (Augment(True, 0), (64,), r"train.augment is for images .*an example here is \(64,\)"),
        (Augment(False, 8), (8, 8, 1), "train.augment.shift=8 moves images of 8 x 8 out of view"),
    ],
)
def test_what_can_not_be_augmented(settings, shape, message):
    with pytest.raises(InputError, match=message):
        augmentation(settings, shape)
