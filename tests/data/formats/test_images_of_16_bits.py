"""Pixels of 16 bits, of which cameras and microscopes use fewer: scaled as the user says, never silently black."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.data.formats.images import images, read
from pipeline.errors import InputError


def png(pixels):
    """A PNG file of colors with 16 bits each [h, w, 3], which Pillow itself does not write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = pixels.shape
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = (b"IHDR", head), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in parts)


def fill(folder, brightest, suffix="png", colors=False):
    """Two classes of plain images, the last of which has the brightest value; what the values are."""
    values = [brightest * (i + 1) // 10 for i in range(10)]
    for i, value in enumerate(values):
        place = folder / ("even", "odd")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.full((4, 4), value, np.uint16)
        if colors:
            (place / f"{i}.png").write_bytes(png(np.stack([pixels] * 3, axis=2)))
        else:
            Image.fromarray(pixels).save(place / f"{i}.{suffix}")
    return values


def load(folder, **changes):
    settings = {"size": [2, 2], "channels": "gray", "validation_fraction": 0.2, "test_fraction": 0.2, "memory": "auto"}
    return images(**{"folder": str(folder), "seed": 0} | settings | changes)


def shades(splits):
    return sorted(int(image[0, 0, 0]) for part in splits.parts.values() for image in part.inputs.load())


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize(("brightest", "bits"), [(255, 8), (1000, 10), (4095, 12), (16383, 14)])
def test_dark_images_are_refused_and_read_with_the_bits_that_they_use(tmp_path, brightest, bits, suffix):
    values = fill(tmp_path / "images", brightest, suffix)
    with pytest.raises(InputError) as raised:
        load(tmp_path / "images")
    assert f"images: its images of 16 bits a pixel have no value above {brightest:,}" in str(raised.value)
    assert f"dataset.bits={bits} takes {2**bits - 1:,} as white" in str(raised.value)
    assert shades(load(tmp_path / "images", bits=bits)) == [value >> (bits - 8) for value in values]
    assert shades(load(tmp_path / "images", bits=16)) == [value >> 8 for value in values]


def test_images_that_use_all_bits_need_no_key(tmp_path):
    values = fill(tmp_path, 65535)
    assert shades(load(tmp_path)) == [value >> 8 for value in values]


def test_more_bits_than_the_user_says_are_refused(tmp_path):
    fill(tmp_path, 5000)
    with pytest.raises(InputError, match=r"9\.png: a pixel is 5,000, more than 12 bits hold; dataset\.bits=16"):
        load(tmp_path, bits=12)
    with pytest.raises(InputError, match=r"dataset\.bits=9 is not known. Allowed: null, 8, 10, 12, 14, 16"):
        load(tmp_path, bits=9)


def test_one_image_is_no_other_than_among_many(tmp_path):
    fill(tmp_path, 4095)
    one = tmp_path / "odd/9.png"
    assert read(one, size=[2, 2], channels="gray", bits=12, labelled=False).inputs[:, 0, 0, 0].tolist() == [255]
    with pytest.raises(InputError, match=r"dataset\.bits=12"):  # never as if it were black
        read(one, size=[2, 2], channels="gray", labelled=False)


def test_of_colors_pillow_keeps_the_upper_eight_bits(tmp_path):
    fill(tmp_path, 4095, colors=True)
    for bits in (None, 12):
        with pytest.raises(InputError, match=r"with 16 bits a color have no value above 4,095.*save them with 8 bits"):
            load(tmp_path, bits=bits, channels="rgb")
    assert max(shades(load(tmp_path, bits=16))) == 15
    values = fill(tmp_path, 65535, colors=True)
    assert shades(load(tmp_path)) == [value >> 8 for value in values]


def test_black_images_are_black(tmp_path):
    fill(tmp_path, 0)
    assert set(shades(load(tmp_path))) == {0}


def test_what_systems_leave_in_folders_is_no_image_and_all_others_are_named_at_once(tmp_path):
    fill(tmp_path / "images", 65535)
    for name in ("even/Thumbs.db", "odd/desktop.ini", "odd/.DS_Store"):
        (tmp_path / "images" / name).write_bytes(b"no image")
    assert len(shades(load(tmp_path / "images"))) == 10
    for name in ("even/notes.txt", "odd/list.csv", "odd/x.png"):
        (tmp_path / "images" / name).write_bytes(b"no image")
    with pytest.raises(InputError) as raised:
        load(tmp_path / "images")
    assert "even/notes.txt: not an image that can be read (" in str(raised.value)
    assert "remove or replace them. 2 more are none: " in str(raised.value)
    assert "odd/list.csv, " in str(raised.value)
    assert "odd/x.png." in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
