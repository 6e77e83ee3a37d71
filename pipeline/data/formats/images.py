"""Pictures in folders, a folder a class."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.data import parts
from pipeline.data.splits import Splits
from pipeline.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # Pillow has others, some of which start programs
MODES = {"rgb": ("RGB", 3), "gray": ("L", 1)}  # Pillow's name, and how many numbers a pixel
BLOCK = 64  # files that a thread is given at once


def images(
    *,
    folder: str,
    size: Sequence[int],
    channels: str,
    validation_fraction: float,
    test_fraction: float,
    memory: str,
    seed: int,
) -> Splits:
    """Images uint8 [n, *size, 3 or 1] of the files in `folder`; its subfolders, sorted, are the classes.

    A folder that has none but `train` and `test`, `validation` or both has those parts, each with a folder a class;
    what it lacks is split off the training part by seed. Subfolders of a class belong to it, hidden files to nothing.
    size: [height, width] to which all are resized, whatever their proportions, upright as the camera held them;
    channels: `rgb`, or `gray` for one of luminance. What is transparent is white; of a moving picture the first frame
    counts.
    memory: `always` to hold images that take more than a sixteenth of the memory.
    Raises InputError with the file that is no image, or the folder that has none.
    """
    if not isinstance(size, Sequence) or len(size) != 2:
        raise InputError(f"dataset.size={size} must be [height, width].")
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"dataset.folder={folder}: there is no such folder.")
    inside = {path.name for path in _visible(root) if path.is_dir()}
    divided = "train" in inside and len(inside) > 1 and inside <= set(parts.NAMES)
    places = {name: root / name for name in parts.NAMES if name in inside} if divided else {"train": root}
    files = {name: _files(place) for name, place in places.items()}
    mode, depth = MODES[channels]
    n = sum(len(paths) for classes in files.values() for paths in classes.values())
    parts.check_memory(folder, n * size[0] * size[1] * depth, memory, "images")
    names = tuple(files["train"])
    own = {}
    for name, classes in files.items():
        listed = [path for paths in classes.values() for path in paths]
        labels = np.repeat(np.array(list(classes), object), [len(paths) for paths in classes.values()])
        read = partial(_decoded, listed, (size[0], size[1], depth), mode)
        own[name] = parts.Part(str(places[name]), "its images", "the folder", read, labels, names)
    fractions = {"validation": validation_fraction, "test": test_fraction}
    return parts.divide(own, fractions, seed)


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _files(folder: Path) -> dict[str, list[Path]]:
    """The files of each class, both sorted by name. Raises InputError for no classes and a class without files."""
    found = {}
    for path in _visible(folder):
        if path.is_dir():
            inside = sorted(path.rglob("*"))
            found[path.name] = [p for p in inside if p.is_file() and not _hidden(p.relative_to(path))]
    if not found:
        raise InputError(f"{folder}: there is no folder in it; wanted is a folder of images for each class.")
    if empty := [name for name, paths in found.items() if not paths]:
        raise InputError(f"{folder / empty[0]}: there are no images in this folder of a class.")
    return found


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _decoded(files: Sequence[Path], shape: tuple[int, int, int], mode: str, rows: np.ndarray) -> np.ndarray:
    """The images of some files, uint8 [n, *shape], decoded side by side: Pillow lets go of Python's lock."""
    found = np.empty((len(rows), *shape), np.uint8)

    def fill(start: int) -> None:
        for at in range(start, min(start + BLOCK, len(rows))):
            found[at] = _image(files[rows[at]], shape, mode)

    threads = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    try:
        list(threads.map(fill, range(0, len(rows), BLOCK)))
    finally:
        threads.shutdown(cancel_futures=True)
    return found


def _image(path: Path, shape: tuple[int, int, int], mode: str) -> np.ndarray:
    from PIL import Image

    height, width, _ = shape
    try:
        with Image.open(path, formats=FORMATS) as image:
            image.draft(mode, (2 * width, 2 * height))  # a JPEG is decoded at an eighth, say, if that is enough
            resized = _plain(image).convert(mode).resize((width, height), Image.Resampling.BILINEAR)
            return np.asarray(resized).reshape(shape)
    # Damaged files make Pillow's decoders raise nearly anything.
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: not an image that can be read ({reason}); remove or replace it.") from None


def _plain(image: "PillowImage") -> "PillowImage":
    """The same picture upright, without transparency, in 8 bits a channel; Pillow itself would cut 16 off at 255."""
    from PIL import Image, ImageOps

    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("32 bits a pixel, whose black and white are unknown")
    upright = ImageOps.exif_transpose(image)
    if not upright.has_transparency_data:
        return upright
    upright = upright.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
