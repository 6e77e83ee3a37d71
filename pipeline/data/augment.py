"""Other images of the same class: flipped and shifted ones, new in every epoch."""

from typing import TYPE_CHECKING

from pipeline.errors import InputError
from pipeline.schema import Augment

if TYPE_CHECKING:
    import tensorflow as tf

    from pipeline.data.input_pipeline import Augmentation


def check(settings: Augment, input_shape: tuple[int, ...]) -> None:
    """Raises InputError if `train.augment` asks for what can't be done to such examples: those that are no images, or
    smaller than the shift. The parent asks, which does without TensorFlow."""
    shift = int(settings.shift)
    if not (settings.flip or shift):
        return
    if len(input_shape) != 3:
        raise InputError(f"train.augment is for images [height, width, channels]; an example here is {input_shape}.")
    if shift >= min(input_shape[:2]):
        raise InputError(
            f"train.augment.shift={shift} moves images of {input_shape[0]} x {input_shape[1]} out of view."
        )


def augmentation(settings: Augment, input_shape: tuple[int, ...]) -> "Augmentation | None":
    """What `train.augment` asks for, as a function of a batch of images [b, height, width, channels] and a seed; None
    if it asks for nothing.

    flip: mirror left and right, half of the images. shift: move by up to so many pixels in each direction; what comes
    in repeats the edge. Raises InputError as check() does.
    """
    import tensorflow as tf

    check(settings, input_shape)
    flip, shift = bool(settings.flip), int(settings.shift)
    if not (flip or shift):
        return None

    def augment(images: "tf.Tensor", seed: "tf.Tensor") -> "tf.Tensor":
        n, height, width = tf.shape(images)[0], input_shape[0], input_shape[1]
        if flip:
            mirrored = tf.random.stateless_uniform([n, 1, 1, 1], seed) < 0.5
            images = tf.where(mirrored, images[:, :, ::-1], images)
        if shift:
            by = tf.random.stateless_uniform([n, 2], seed + tf.constant([0, 1 << 30]), -shift, shift + 1, tf.int32)
            rows = tf.clip_by_value(tf.range(height) + by[:, :1], 0, height - 1)
            columns = tf.clip_by_value(tf.range(width) + by[:, 1:], 0, width - 1)
            images = tf.gather(images, rows, axis=1, batch_dims=1)
            images = tf.gather(images, columns, axis=2, batch_dims=1)
        return images

    return augment
