"""Labelled images: every form they come in, what is refused, and the split whose test stays sealed."""

import gzip
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from orchestrator.data.images import Split, load
from orchestrator.data.images.labelled import labelled
from orchestrator.errors import PrerequisiteError, UsageError

RNG = np.random.default_rng(3)
PIXELS = RNG.integers(0, 256, (120, 8, 8), dtype=np.uint8)
LABELS = np.arange(120) % 3


def saved(image, path, size=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).resize(size or image.shape[1::-1]).save(path)


def test_digits_are_on_every_machine():
    digits = load("digits")
    assert digits.x.shape == (1797, 1, 8, 8)
    assert digits.x.dtype == np.float32
    assert digits.x.min() == 0
    assert digits.x.max() == 1
    assert digits.classes == tuple("0123456789")
    assert digits.outputs == 10
    assert not digits.synthetic


def test_a_folder_of_images_has_a_class_for_each_subfolder(tmp_path):
    for place, image in enumerate(PIXELS[:12]):
        saved(np.stack([image] * 3, axis=2), tmp_path / ("cat" if place % 2 else "dog") / f"{place}.png")
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    found = load(str(tmp_path))
    assert found.classes == ("cat", "dog")
    assert found.x.shape == (12, 3, 8, 8)
    assert sorted(found.y) == [0] * 6 + [1] * 6
    assert np.allclose(found.x[found.y == 0][0], PIXELS[1] / 255)


def test_grey_images_of_different_sizes_are_resized_aloud(tmp_path):
    for place, image in enumerate(PIXELS[:12]):
        saved(image, tmp_path / "ab"[place % 2] / f"{place}.png", size=(8 + place, 9))
    found = load(str(tmp_path), size=16)
    assert found.x.shape == (12, 1, 16, 16)
    assert found.notes == ("images resized to 16x16",)


def test_an_image_that_is_none_is_named(tmp_path):
    for name in "ab":
        saved(PIXELS[0], tmp_path / name / "1.png")
    (tmp_path / "a" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(UsageError, match=r"2\.png cannot be read"):
        load(str(tmp_path))
    saved(PIXELS[0], tmp_path / "alone" / "only" / "1.png")
    with pytest.raises(UsageError, match="1 classes"):
        load(str(tmp_path / "alone"))


def test_a_folder_with_train_and_test_keeps_its_own_test(tmp_path):
    for place, image in enumerate(PIXELS[:40]):
        saved(image, tmp_path / ("test" if place >= 30 else "train") / "ab"[place % 2] / f"{place}.png")
    found = load(str(tmp_path))
    assert (len(found.x), len(found.test_x)) == (30, 10)
    assert np.array_equal(np.sort(found.test_y), [0] * 5 + [1] * 5)


@pytest.mark.parametrize(("shape", "ours"), [((8, 8), (1, 8, 8)), ((8, 8, 3), (3, 8, 8)), ((3, 8, 8), (3, 8, 8)), ((5,), (5,))])
def test_an_npz_is_brought_into_one_form(tmp_path, shape, ours):
    x = RNG.integers(0, 256, (40, *shape), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x_train=x[:30], y_train=LABELS[:30, None], x_test=x[30:], y_test=LABELS[30:40])
    found = load(str(tmp_path / "a.npz"))
    assert found.input_shape == ours
    assert found.x.dtype == np.float32
    assert found.x.flags.c_contiguous
    assert found.y.shape == (30,)
    assert len(found.test_x) == 10
    if len(ours) == 3:
        assert found.x.max() <= 1
    if shape == (8, 8, 3):
        assert np.allclose(found.x[7, 2], x[7, :, :, 2] / 255)


def test_an_npz_with_pickles_or_without_our_names_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([{}, {}], dtype=object), y=np.array([0, 1]))
    with pytest.raises(UsageError, match=r"cannot be read as \.npz"):
        load(str(tmp_path / "a.npz"))
    np.savez(tmp_path / "b.npz", images=PIXELS)
    with pytest.raises(UsageError, match="holds images"):
        load(str(tmp_path / "b.npz"))
    (tmp_path / "c.npz").write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(UsageError, match=r"cannot be read as \.npz"):
        load(str(tmp_path / "c.npz"))


def test_csv_with_pixels_is_images_and_with_columns_is_features(tmp_path):
    frame = pd.DataFrame(PIXELS.reshape(120, 64), columns=[f"pixel{place}" for place in range(64)])
    frame.assign(label=LABELS).to_csv(tmp_path / "a.csv", index=False)
    found = load(str(tmp_path / "a.csv"))
    assert found.input_shape == (1, 8, 8)
    assert np.allclose(found.x[5, 0], PIXELS[5] / 255)
    rows = pd.DataFrame({"a": RNG.normal(size=120), "b": RNG.normal(size=120), "price": RNG.normal(size=120)})
    rows.to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(UsageError, match="not clear which column"):
        load(str(tmp_path / "b.csv"))
    numbers = load(str(tmp_path / "b.csv"), label="price")
    assert numbers.task == "regression"
    assert numbers.outputs == 1
    assert numbers.y.dtype == np.float32
    rows.assign(c="text").to_csv(tmp_path / "c.csv", index=False)
    with pytest.raises(UsageError, match=r"'c' of .* is not numbers"):
        load(str(tmp_path / "c.csv"), label="price")


def test_labels_decide_the_task_unless_it_is_named():
    x = RNG.normal(size=(120, 4))
    assert labelled("a", "a", x, LABELS).classes == ("0", "1", "2")
    assert labelled("a", "a", x, np.array(["no", "yes"])[LABELS % 2]).classes == ("no", "yes")
    assert labelled("a", "a", x, LABELS, task="regression").classes == ()
    assert labelled("a", "a", x, LABELS + 0.5).task == "regression"
    with pytest.raises(UsageError, match="1 different values"):
        labelled("a", "a", x, LABELS * 0)
    with pytest.raises(UsageError, match="missing or infinite"):
        labelled("a", "a", x, np.where(LABELS, LABELS, np.nan))
    with pytest.raises(UsageError, match="120 rows and 119 labels"):
        labelled("a", "a", x, LABELS[1:])


def test_what_is_too_large_is_refused_with_a_way_out(monkeypatch):
    monkeypatch.setattr("orchestrator.data.images.labelled.MOST_BYTES", 120 * 64 * 4 - 1)
    with pytest.raises(UsageError, match="Take a part of it"):
        labelled("a", "a", PIXELS, LABELS)
    found = labelled("a", "a", PIXELS, LABELS, rows=60, seed=1)
    assert len(found) == 60
    assert found.notes == ("60 of 120 rows, drawn at random",)


@pytest.mark.parametrize("spelling", ["CIFAR10", "cifar10", "cifar-10"])
def test_a_known_name_is_found_in_the_folder_by_any_spelling(tmp_path, spelling):
    (tmp_path / "vision").mkdir()
    np.savez(tmp_path / "vision" / "cifar100_all.npz", x=PIXELS[:, :, :], y=LABELS)
    np.savez(tmp_path / "vision" / "cifar10_small.npz", x=np.stack([PIXELS] * 3, axis=3), y=LABELS)
    found = load(spelling, folder=tmp_path, hub=False)
    assert found.source.endswith("cifar10_small.npz")
    assert found.classes[2] == "bird"
    assert not found.synthetic


def test_the_files_that_mnist_came_in_are_read(tmp_path):
    def idx(array):
        return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()

    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, rows in (("train", slice(0, 100)), ("t10k", slice(100, 120))):
        (raw / f"{name}-images-idx3-ubyte").write_bytes(idx(PIXELS[rows]))
        (raw / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS[rows])))
    found = load("FashionMNIST", folder=tmp_path, hub=False)
    assert np.allclose(found.x[:, 0], PIXELS[:100] / 255)
    assert np.array_equal(found.test_y, LABELS[100:])
    assert found.classes[0] == "T-shirt/top"
    (raw / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03")
    with pytest.raises(UsageError, match="no IDX file"):
        load("FashionMNIST", folder=tmp_path, hub=False)


class Hub:
    """A hub with MNIST, as Parquet files in a folder."""

    def __init__(self, folder):
        self.folder = folder
        for split, rows in (("train", range(60)), ("test", range(60, 80))):
            images = []
            for place in rows:
                file = io.BytesIO()
                Image.fromarray(PIXELS[place]).save(file, "PNG")
                images.append({"bytes": file.getvalue(), "path": ""})
            pd.DataFrame({"image": images, "label": LABELS[rows]}).to_parquet(folder / f"{split}-00000-of-00001.parquet")

    def list_repo_files(self, repo, repo_type):
        assert (repo, repo_type) == ("ylecun/mnist", "dataset")
        return [".gitattributes", *(f"mnist/{path.name}" for path in self.folder.iterdir())]

    def hf_hub_download(self, repo, file, repo_type):
        return str(self.folder / file.rpartition("/")[2])


def test_a_known_name_comes_from_the_hub(tmp_path):
    found = load("MNIST", api=Hub(tmp_path))
    assert np.allclose(found.x[:, 0], PIXELS[:60] / 255)
    assert np.array_equal(found.test_y, LABELS[60:80])
    assert found.source == "ylecun/mnist"
    assert not found.synthetic


def test_a_known_name_that_is_nowhere_is_made_up_aloud_and_only_then():
    found = load("mnist", hub=False, rows=200)
    assert "not on this machine" in found.synthetic
    assert found.described().startswith("SYNTHETIC DATA.")
    assert found.name == "synthetic (mnist)"
    assert found.x.shape == (200, 1, 28, 28)
    assert Split(found).described().startswith("SYNTHETIC DATA.")
    assert Split(found).facts.synthetic == found.synthetic
    with pytest.raises(PrerequisiteError, match="FUMEHOOD_DATA"):
        load("mnist", hub=False, fallback=False)
    with pytest.raises(UsageError, match="no such file"):
        load("mnits", hub=False)


def test_a_hub_that_refuses_is_said_in_the_data(tmp_path):
    class Closed:
        def list_repo_files(self, *_, **__):
            raise ConnectionError("no route")

    assert "could not be fetched from the hub (ConnectionError)" in load("cifar10", api=Closed(), rows=50).synthetic


def test_a_file_that_is_given_must_have_the_data(tmp_path):
    with pytest.raises(UsageError, match="holds no mnist"):
        load("mnist", data=tmp_path)


def test_made_up_images_can_be_learnt_and_repeat_by_seed():
    from sklearn.linear_model import LogisticRegression

    first, again, other = (Split(load("synthetic", rows=600, seed=seed)) for seed in (0, 0, 1))
    assert np.array_equal(first.train_x, again.train_x)
    assert not np.array_equal(first.train_x, other.train_x)
    model = LogisticRegression(max_iter=200).fit(first.train_x.reshape(len(first.train_x), -1), first.train_y)
    reached = model.score(first.validation_x.reshape(len(first.validation_x), -1), first.validation_y)
    assert 0.3 < reached < 1


def test_a_split_has_each_row_once_and_each_class_everywhere():
    split = Split(labelled("a", "a", PIXELS, LABELS), seed=5)
    test_x, test_y = split.open_test()
    assert split.opened == 1
    assert (len(split.train_x), len(split.validation_x), len(test_x)) == (76, 20, 24)
    for y in (split.train_y, split.validation_y, test_y):
        assert np.bincount(y).max() - np.bincount(y).min() <= 1
    every = np.concatenate([split.train_x, split.validation_x, test_x])
    assert len(np.unique(every.reshape(120, -1), axis=0)) == 120
    assert abs(split.train_x.mean()) < 1e-5
    assert abs(split.train_x.std() - 1) < 1e-4
    same, other = Split(split.data, seed=5), Split(split.data, seed=6)
    assert np.array_equal(split.train_x, same.train_x)
    assert not np.array_equal(split.train_y, other.train_y)


def test_identical_rows_stay_on_one_side_and_those_in_a_given_test_are_counted():
    twice = labelled("a", "a", np.concatenate([PIXELS, PIXELS]), np.concatenate([LABELS, LABELS]))
    split = Split(twice)
    sides = [{row.tobytes() for row in part} for part in (split.train_x, split.validation_x, split.open_test()[0])]
    assert len(sides[0] | sides[1] | sides[2]) == sum(map(len, sides)) == len(PIXELS)
    assert split.facts.repeated == 0
    given = Split(labelled("a", "a", PIXELS[:100], LABELS[:100], test=(PIXELS[90:], LABELS[90:])))
    assert given.facts.repeated == 10
    assert "10 of the 30 test rows are also among the others" in given.described()


def test_numbers_are_split_by_their_size():
    x = RNG.normal(size=(200, 3))
    split = Split(labelled("a", "a", x, x[:, 0] * 10))
    assert abs(split.validation_y.mean() - split.train_y.mean()) < 2
    with pytest.raises(UsageError, match=r"too few|cannot be split"):
        Split(labelled("a", "a", x[:12], x[:12, 0]))
