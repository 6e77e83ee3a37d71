import re
import shutil

import numpy as np
import pytest
from PIL import Image

from pipeline.data.formats.images import images
from pipeline.errors import InputError
from tests.conftest import TINY, here

COLORS = {"ants": (200, 40, 30), "bees": (20, 180, 60), "cats": (10, 60, 220)}
SUFFIXES = ("png", "jpg", "bmp", "gif", "tif", "webp", "ppm")


def fill(folder, n=14, classes=COLORS):
    """A folder a class of images of one color, of many sizes and formats."""
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(n):
            picture = Image.new("RGB", (20 + i, 30), COLORS[name])
            picture.save(folder / name / f"{i}.{SUFFIXES[i % len(SUFFIXES)]}")
    return folder


def load(folder, **changes):
    given = {"size": [8, 6], "channels": "rgb", "validation_fraction": 0.2, "test_fraction": 0.2, "memory": "auto"}
    return images(**{"folder": str(folder), "seed": 0} | given | changes)


def counts(splits):
    return [len(part) for part in splits.parts.values()]


def test_an_image_has_the_class_of_its_folder(tmp_path):
    splits = load(fill(tmp_path))
    assert splits.class_names == ("ants", "bees", "cats")
    assert splits.input_shape == (8, 6, 3)
    assert counts(splits) == [26, 8, 8]
    for part in splits.parts.values():
        assert part.inputs.dtype == np.uint8
        colors = np.array(list(COLORS.values()))[part.labels]
        assert np.abs(part.inputs.load().astype(int) - colors[:, None, None]).max() <= 8  # JPEG and WebP lose a little
    assert splits.fingerprint == load(tmp_path).fingerprint != load(tmp_path, seed=1).fingerprint


def test_gray_is_luminance(tmp_path):
    splits = load(fill(tmp_path), channels="gray")
    assert splits.input_shape == (8, 6, 1)
    luminance = np.array([round(0.299 * r + 0.587 * g + 0.114 * b) for r, g, b in COLORS.values()])
    assert np.abs(splits.test.inputs[:, 0, 0, 0].astype(int) - luminance[splits.test.labels]).max() <= 4


@pytest.mark.parametrize(
    ("names", "sizes"),
    [
        (("train", "test"), [34, 8, 42]),
        (("train", "validation"), [34, 42, 8]),
        (("train", "validation", "test"), [42, 42, 42]),
    ],
)
def test_folders_of_parts(tmp_path, names, sizes):
    for name in names:
        fill(tmp_path / name)
    splits = load(tmp_path)
    assert counts(splits) == sizes
    assert splits.class_names == ("ants", "bees", "cats")


def test_a_class_may_be_called_train(tmp_path):
    fill(tmp_path)
    (tmp_path / "ants").rename(tmp_path / "train")
    assert load(tmp_path).class_names == ("bees", "cats", "train")


def test_subfolders_belong_to_their_class_and_hidden_files_to_none(tmp_path):
    fill(tmp_path)
    (tmp_path / "bees/wild/far").mkdir(parents=True)
    shutil.copy(tmp_path / "bees/0.png", tmp_path / "bees/wild/far/0.png")
    (tmp_path / "bees/.DS_Store").write_bytes(b"no image")
    (tmp_path / "bees/.cache").mkdir()
    (tmp_path / "bees/.cache/x.png").write_bytes(b"no image")
    (tmp_path / ".git").mkdir()
    (tmp_path / "README").write_text("no folder")
    assert sum(counts(load(tmp_path))) == 43


def corner(folder, picture, name="0.png", **saved):
    """The image, four quarters, as it is read from a file of that name."""
    for other in ("a", "b"):
        (folder / other).mkdir(parents=True, exist_ok=True)
        for i in range(4):
            picture.save(folder / other / f"{i}{name}", **saved)
    splits = load(folder, size=[2, 2], validation_fraction=0.25, test_fraction=0.25, channels="gray")
    return splits.test.inputs[0, :, :, 0].tolist()


QUARTERS = np.kron(np.array([[0, 100], [200, 255]], np.uint8), np.ones((2, 2), np.uint8))


def test_images_are_read_as_a_person_sees_them(tmp_path):
    picture = Image.fromarray(QUARTERS)
    upright = corner(tmp_path / "plain", picture)
    assert upright[0][0] < upright[0][1] < upright[1][0] < upright[1][1]  # resizing mixes the quarters
    turned = Image.Exif()
    turned[0x0112] = 3  # the camera was upside down
    assert corner(tmp_path / "turned", picture.rotate(180), exif=turned) == upright
    sixteen = Image.fromarray(QUARTERS.astype(np.uint16) * 257)
    assert corner(tmp_path / "sixteen", sixteen) == upright
    palette = picture.convert("P")
    assert corner(tmp_path / "palette", palette) == upright
    clear = Image.merge("LA", (Image.new("L", (4, 4), 0), Image.new("L", (4, 4), 0)))
    assert corner(tmp_path / "clear", clear) == [[255, 255], [255, 255]]
    two = Image.fromarray(255 - QUARTERS)
    assert corner(tmp_path / "moving", picture, ".gif", save_all=True, append_images=[two]) == upright


def test_height_comes_before_width(tmp_path):
    tall = Image.new("L", (10, 40))
    tall.paste(255, (0, 20, 10, 40))  # white below
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(4):
            tall.save(tmp_path / name / f"{i}.png")
    splits = load(tmp_path, size=[4, 2], channels="gray", validation_fraction=0.25, test_fraction=0.25)
    assert splits.input_shape == (4, 2, 1)
    assert splits.test.inputs[0, [0, -1], :, 0].tolist() == [[0, 0], [255, 255]]


def test_more_images_than_a_thread_is_given_at_once_keep_their_places(tmp_path):
    for name, start in (("dark", 0), ("light", 100)):
        (tmp_path / name).mkdir()
        for i in range(150):
            Image.new("L", (4, 4), start + i % 100).save(tmp_path / name / f"{i:03}.png")
    splits = load(tmp_path, channels="gray", size=[1, 1])
    found = np.concatenate([part.inputs[:, 0, 0, 0] // 100 for part in splits.parts.values()])
    assert found.tolist() == np.concatenate([part.labels for part in splits.parts.values()]).tolist()


@pytest.mark.parametrize(
    ("spoil", "changes", "message"),
    [
        (
            lambda f: (f / "bees/5.webp").write_bytes(b"no image"),
            {},
            "FOLDER/bees/5.webp: not an image that can be read (",
        ),
        (lambda f: (f / "bees/x.png").touch(), {}, "FOLDER/bees/x.png: not an image that can be read ("),
        (lambda f: (f / "ants/notes.txt").write_text("!"), {}, "FOLDER/ants/notes.txt: not an image that can be read"),
        (lambda f: cut(f / "cats/0.png"), {}, "FOLDER/cats/0.png: not an image that can be read ("),
        (lambda f: cut(f / "cats/1.jpg"), {}, "FOLDER/cats/1.jpg: not an image that can be read ("),
        (lambda f: (f / "ants/x.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n"), {}, "FOLDER/ants/x.eps: not an image"),
        (lambda f: Image.new("F", (4, 4)).save(f / "ants/x.tif"), {}, "(32 bits a pixel, whose black and white are "),
        (lambda f: (f / "dogs").mkdir(), {}, "FOLDER/dogs: there are no images in this folder of a class."),
        (lambda f: keep(f, "ants"), {}, "FOLDER: the folder has one class only, ants; wanted are at least two."),
        (lambda f: keep(f), {}, "FOLDER: there is no folder in it; wanted is a folder of images for each class."),
        (shutil.rmtree, {}, "FOLDER: there is no such folder."),
        (lambda f: None, {"size": [8]}, "dataset.size=[8] must be [height, width]."),
        (lambda f: None, {"size": 8}, "dataset.size=8 must be [height, width]."),
        (lambda f: None, {"memory": "never"}, "dataset.memory=never: dataset=images is held in memory"),
        (lambda f: None, {"validation_fraction": 0.01}, "FOLDER: the folder: dataset.validation_fraction=0.01 and"),
    ],
)
def test_what_can_not_be_trained_on_is_refused(tmp_path, spoil, changes, message):
    spoil(fill(tmp_path / "pictures"))
    with pytest.raises(InputError) as raised:
        load(tmp_path / "pictures", **changes)
    assert message in re.sub(r"\S*?/pictures", "FOLDER", str(raised.value)).replace("dataset.folder=FOLDER", "FOLDER")
    assert len(str(raised.value).splitlines()) <= 2


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def keep(folder, *names):
    for name in set(COLORS) - set(names):
        shutil.rmtree(folder / name)


def test_a_class_of_the_test_part_alone_is_refused(tmp_path):
    fill(tmp_path / "train", classes=("ants", "bees"))
    fill(tmp_path / "test")
    with pytest.raises(InputError, match=r"test: the folder has the label 'cats', which is none of the classes"):
        load(tmp_path)


def test_images_too_large_for_every_worker_are_refused_before_they_are_read(tmp_path, machine):
    fill(tmp_path)
    machine(16 * (42 * 8 * 6 * 3 - 1))
    with pytest.raises(InputError, match="python -m pipeline convert dataset=images"):
        load(tmp_path)
    assert sum(counts(load(tmp_path, memory="always"))) == 42


def test_a_run(tmp_path):
    fill(tmp_path / "pictures")
    data = ("dataset=images", "dataset.folder=pictures", "dataset.size=[8,8]")
    result = here(*TINY[1:], *data, "tracking=none", "executor=inline", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("data: 34 + 4 + 4 examples (train, validation, test) of 8 x 8 x 3 uint8, 3 classes")
