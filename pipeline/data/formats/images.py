"""Pictures in folders, a folder a class; or a single one."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.data import parts
from pipeline.data.examples import Examples
from pipeline.data.formats.reader import FOLDER, reader
from pipeline.data.rows import InMemory
from pipeline.data.splits import Splits
from pipeline.data.trainable import check_memory, trainable
from pipeline.errors import InputError, first_line, first_of, one_of

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # Pillow has others, some of which start programs
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
MODES = {"rgb": ("RGB", 3), "gray": ("L", 1)}  # Pillow's name, and how many numbers a pixel
BLOCK = 64  # files that a thread is given at once
BITS = (
    8,
    10,
    12,
    14,
    16,
)  # that a pixel of a file of 16 bits may use: cameras and microscopes fill less than there are
NO_IMAGES = ("thumbs.db", "desktop.ini")  # what systems leave in folders, besides hidden files


def images(
    *,
    folder: str,
    size: Sequence[int],
    channels: str,
    validation_fraction: float,
    test_fraction: float,
    memory: str,
    seed: int,
    bits: int | None = None,
) -> Splits:
    """Images uint8 [n, *size, 3 or 1] of the files in `folder`; its subfolders, sorted, are the classes.

    A folder that has none but `train` and `test`, `validation` or both has those parts, each with a folder a class;
    what it lacks is split off the training part by seed. Subfolders of a class belong to it, hidden files to nothing.
    size: [height, width] to which all are resized, whatever their proportions, upright as the camera held them;
    channels: `rgb`, or `gray` for one of luminance. What is transparent is white; of a moving picture the first frame
    counts.
    bits: how many of the 16 that a pixel of some files has are used; without it all, and files that would be nearly
    black then are refused.
    memory: `always` to hold images that take more than a sixteenth of the memory.
    Raises InputError with the file that is no image, or the folder that has none.
    """
    _check_size(size)
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"dataset.folder={folder}: there is no such folder.")
    places = {name: root / name for name in in_parts(root)} or {"train": root}
    n = sum(len(paths) for place in places.values() for paths in _classes(place).values())
    check_memory(folder, n * size[0] * size[1] * MODES[channels][1], memory, "images")
    own = {name: trainable(read(place, size=size, channels=channels, bits=bits)) for name, place in places.items()}
    return parts.divide(own, {"validation": validation_fraction, "test": test_fraction}, seed)


def in_parts(path: Path) -> dict[str, dict[str, str]]:
    """The folders of parts, where a folder has nothing else."""
    inside = {path.name for path in _visible(path) if path.is_dir()} if path.is_dir() else set()
    divided = "train" in inside and len(inside) > 1 and inside <= set(parts.NAMES)
    return {name: {"key": name} for name in parts.NAMES if name in inside} if divided else {}


@reader(FOLDER, *SUFFIXES, parts=in_parts)
def read(
    path: Path,
    *,
    size: Sequence[int] = (64, 64),
    channels: str = "rgb",
    bits: int | None = None,
    key: str | None = None,
    labelled: bool = True,
    memory: str = "always",
) -> Examples:
    """The images of a folder, whose subfolders are the classes; where no labels are needed also those right in it, or
    a single file. key: the subfolder of a part."""
    _check_size(size)
    if bits is not None and bits not in BITS:
        raise one_of("dataset.bits", bits, ["null", *BITS])
    root = path / key if key else path
    if not root.exists():
        raise InputError(f"{root}: there is no such file or folder.")
    classes = {} if root.is_file() else _classes(root, labelled)
    files = [file for inside in classes.values() for file in inside]
    if not classes:
        files = [root] if root.is_file() else [p for p in _visible(root) if p.suffix.lower() in SUFFIXES]
    if not files:
        raise InputError(f"{root}: there are no images in it.")
    mode, depth = MODES[channels]
    check_memory(str(path), len(files) * size[0] * size[1] * depth, memory, "images")
    pixels, brightest = _decoded(files, (size[0], size[1], depth), mode, bits or 16)
    _check_bits(root, files, brightest, bits)
    labels = np.repeat(np.array(list(classes), object), [len(inside) for inside in classes.values()])
    return Examples(
        str(root),
        InMemory(pixels),
        labels if classes else None,
        tuple(classes) or None,
        names=[str(file.relative_to(root)) if file != root else file.name for file in files],
        key="its images",
        label_key="the folder",
    )


def _check_size(size: Sequence[int]) -> None:
    if not isinstance(size, Sequence) or len(size) != 2:
        raise InputError(f"dataset.size={size} must be [height, width].")


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _classes(folder: Path, needed: bool = True) -> dict[str, list[Path]]:
    """The files of each class, both sorted by name. Raises InputError for a class without files, and if classes are
    `needed` for none."""
    classes = {}
    for path in _visible(folder):
        if path.is_dir():
            inside = sorted(path.rglob("*"))
            classes[path.name] = [p for p in inside if p.is_file() and not _hidden(p.relative_to(path))]
    if needed and not classes:
        raise InputError(f"{folder}: there is no folder in it; wanted is a folder of images for each class.")
    if empty := [name for name, paths in classes.items() if not paths]:
        raise InputError(f"{folder / empty[0]}: there are no images in this folder of a class.")
    return classes


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts) or path.name.lower() in NO_IMAGES


def _decoded(files: Sequence[Path], shape: tuple[int, int, int], mode: str, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """The images of some files, uint8 [n, *shape], decoded side by side: Pillow lets go of Python's lock; and what
    _image() says of each. Raises InputError that names the files that are none."""
    images, brightest = np.empty((len(files), *shape), np.uint8), np.zeros(len(files), int)
    problems: dict[int, str] = {}

    def fill(start: int) -> None:
        for at in range(start, min(start + BLOCK, len(files))):
            try:
                images[at], brightest[at] = _image(files[at], shape, mode, bits)
            # Damaged files make Pillow's decoders raise nearly anything.
            except Exception as error:
                problems[at] = first_line(error)

    threads = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    try:
        list(threads.map(fill, range(0, len(files), BLOCK)))
    finally:
        threads.shutdown(cancel_futures=True)
    if problems:
        first, *others = sorted(problems)
        more = f" {len(others):,} more are none: {first_of(str(files[i]) for i in others)}." if others else ""
        which = "it" if not others else "them"
        raise InputError(
            f"{files[first]}: not an image that can be read ({problems[first]}); remove or replace {which}.{more}"
        )
    return images, brightest


def _image(path: Path, shape: tuple[int, int, int], mode: str, bits: int) -> tuple[np.ndarray, int]:
    """An image uint8 [*shape], and the largest number in it if it has 16 bits a channel, else 0; negative if it has
    colors, of which Pillow reads the upper 8 bits."""
    from PIL import Image

    height, width, _ = shape
    with Image.open(path, formats=FORMATS) as image:
        sixteen = any(";16" in str(tile) for tile in getattr(image, "tile", ()))
        image.draft(mode, (2 * width, 2 * height))  # a JPEG is decoded at an eighth, say, if that is enough
        brightest = 0
        if image.mode.startswith("I;16"):
            pixels = np.asarray(image)
            brightest = int(pixels.max())
            plain = Image.fromarray(np.minimum(pixels >> (bits - 8), 255).astype(np.uint8))
        else:
            plain = _plain(image)
            if sixteen:
                brightest = -256 * int(np.asarray(plain.convert("RGB")).max()) - 255
        return np.asarray(plain.convert(mode).resize((width, height), Image.Resampling.BILINEAR)).reshape(
            shape
        ), brightest


def _check_bits(root: Path, files: Sequence[Path], brightest: np.ndarray, bits: int | None) -> None:
    """Raises InputError for images of 16 bits that are nearly black or too bright as they are read; for a user who has
    not said how many bits are used: then dark ones are taken neither for that nor for bright ones of fewer bits."""
    most, colored = np.abs(brightest).max(), (brightest < 0).any()
    if bits and most >= 2**bits:
        at = int(np.abs(brightest).argmax())
        raise InputError(f"{files[at]}: a pixel is {most:,}, more than {bits} bits hold; dataset.bits=16 holds all.")
    if not most or (bits == 16 or (bits and not colored)) or (not bits and most >= 2**14):
        return
    if colored:
        what, change = "with 16 bits a color", "save them with 8 bits a color"
    else:
        used = next(known for known in BITS if most < 2**known)
        what, change = "of 16 bits a pixel", f"dataset.bits={used} takes {2**used - 1:,} as white"
    raise InputError(
        f"{root}: its images {what} have no value above {most:,}, so that they would be nearly black; {change}, "
        "dataset.bits=16 leaves them as they are."
    )


def _plain(image: "PillowImage") -> "PillowImage":
    """The same picture upright, without transparency, in 8 bits a channel; Pillow itself would cut 16 off at 255."""
    from PIL import Image, ImageOps

    if image.mode in ("I", "F"):
        raise ValueError("32 bits a pixel, whose black and white are unknown")
    upright = ImageOps.exif_transpose(image)
    if not upright.has_transparency_data:
        return upright
    upright = upright.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
