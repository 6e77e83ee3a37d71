import numpy as np
import pytest

from pipeline.training.fused import stacked


@pytest.mark.parametrize(
    ("shape", "wide"), [((), ()), ((3,), (5,)), ((2, 3), (2, 3)), ((2, 3), (4, 3)), ((1, 2, 3, 4), (1, 2, 5, 6))]
)
def test_cut_takes_away_what_pad_adds(shape, wide):
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    padded = stacked.pad(array, wide)
    assert padded.shape == wide and padded.dtype == array.dtype
    assert np.abs(padded).sum() == pytest.approx(np.abs(array).sum())
    back = stacked.cut(padded, shape)
    np.testing.assert_array_equal(back, array)
    assert not np.shares_memory(back, padded)


def test_masks_are_one_where_a_trial_has_a_weight():
    shapes = [[(2, 3), (4,)], [(1, 4), (4,)]]
    mask, none = stacked.padding_masks(shapes, [(2, 4), (4,)])
    np.testing.assert_array_equal(mask, [[[1, 1, 1, 0], [1, 1, 1, 0]], [[1, 1, 1, 1], [0, 0, 0, 0]]])
    assert none is None
    weights = stacked.stack([np.full(s[0], 7.0, np.float32) for s in shapes], (2, 4))
    np.testing.assert_array_equal(weights, 7 * mask.numpy())
