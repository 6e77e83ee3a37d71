"""The 1,797 handwritten digits bundled with scikit-learn (UCI "Optical Recognition of Handwritten Digits")."""

from pipeline.data.splits import Splits, stratified


def digits(*, validation_fraction: float, test_fraction: float, seed: int) -> Splits:
    """Images of 8 x 8 x 1 pixels, each 0..16, of the digits 0 to 9, split by seed and stratified."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images, names = bunch.images[..., None], tuple(map(str, range(10)))
    return stratified(
        images, bunch.target, names, validation_fraction=validation_fraction, test_fraction=test_fraction, seed=seed
    )
