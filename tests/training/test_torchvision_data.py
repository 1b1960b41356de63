"""Each data set is written in its own format, with images that tell their numbers, and read through torchvision."""

import bz2
import inspect
import json
import re
import struct

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

from paretonas.errors import DataError
from paretonas.training.data import DataSource, prepare_data
from paretonas.training.images import to_pixels
from paretonas.training.listing import list_images
from paretonas.training.torchvision_table import DATA_SETS, UNPICKLED


def _idx(file, values, kind=8):
    """The format of MNIST: magic number, sizes, values; all big-endian."""
    file.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">{1 + values.ndim}I", kind * 256 + values.ndim, *values.shape)
    file.write_bytes(header + values.astype({8: ">u1", 12: ">i4"}[kind]).tobytes())


def _grey(numbers, side=28):
    return np.broadcast_to(np.array(numbers, dtype=np.uint8)[:, None, None], (len(numbers), side, side))


def _jpeg(file, number):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16), (number,) * 3).save(file, "JPEG" if file.suffix != ".ppm" else "PPM", quality=100)


def _text(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def _mat(file, **values):
    file.parent.mkdir(parents=True, exist_ok=True)
    savemat(file, values)


def mnist(root, name, monkeypatch):
    for part, first in (("train", 0), ("t10k", 100)):
        numbers = [first + i for i in range(6)]
        _idx(root / f"{name}/raw/{part}-images-idx3-ubyte", _grey(numbers))
        _idx(root / f"{name}/raw/{part}-labels-idx1-ubyte", np.arange(6) % 3)
    return {"train": [(i, i % 3) for i in range(6)], "test": [(100 + i, i % 3) for i in range(6)]}


def emnist(root, name, monkeypatch):
    for part, number in (("train", 3), ("test", 9)):
        stem = f"emnist-{name.removeprefix('EMNIST-')}-{part}"
        _idx(root / f"EMNIST/raw/{stem}-images-idx3-ubyte", _grey([number, number + 1]))
        _idx(root / f"EMNIST/raw/{stem}-labels-idx1-ubyte", np.array([1, 0]))
    return {"train": [(3, 1), (4, 0)], "test": [(9, 1), (10, 0)]}


def qmnist(root, name, monkeypatch):
    for part, number in (("train", 3), ("test", 9)):
        _idx(root / f"QMNIST/raw/qmnist-{part}-images-idx3-ubyte", _grey([number, number + 1]))
        labels = np.array([[5, *range(7)], [0, *range(7)]])
        _idx(root / f"QMNIST/raw/qmnist-{part}-labels-idx2-int", labels, kind=12)
    return {"train": [(3, 5), (4, 0)], "test": [(9, 5), (10, 0)]}


def usps(root, name, monkeypatch):
    for file, value in (("usps.bz2", "-1.0"), ("usps.t.bz2", "1.0")):
        pixels = " ".join(f"{i}:{value}" for i in range(1, 257))
        (root / file).write_bytes(bz2.compress(f"10 {pixels} \n1 {pixels} \n".encode()))
    return {"train": [(0, 9), (0, 0)], "test": [(255, 9), (255, 0)]}


def svhn(root, name, monkeypatch):
    expected = {}
    for split, number in (("train", 20), ("test", 40)):
        pixels = np.full((32, 32, 3, 2), number, dtype=np.uint8)
        pixels[..., 1] += 1
        _mat(root / f"{split}_32x32.mat", X=pixels, y=np.array([[10], [9]], dtype=np.uint8))
        expected[split] = [(number, 0), (number + 1, 9)]
    files = {split: ["", f"{split}_32x32.mat", None] for split in ("train", "test")}
    monkeypatch.setattr(datasets.SVHN, "split_list", files)  # without the checksums of the published files
    return expected


def stl10(root, name, monkeypatch):
    folder = root / "stl10_binary"
    folder.mkdir()
    for part, number in (("train", 20), ("test", 40)):
        pixels = np.repeat(np.array([number, number + 1], dtype=np.uint8), 3 * 96 * 96)
        (folder / f"{part}_X.bin").write_bytes(pixels.tobytes())
        (folder / f"{part}_y.bin").write_bytes(bytes([3, 1]))
    (folder / "unlabeled_X.bin").write_bytes(b"")
    (folder / "class_names.txt").write_text("airplane\nbird\ncar\n")
    train = [[file, None] for file in ("train_X.bin", "train_y.bin", "unlabeled_X.bin")]
    monkeypatch.setattr(datasets.STL10, "train_list", train)
    monkeypatch.setattr(datasets.STL10, "test_list", [["test_X.bin", None], ["test_y.bin", None]])
    return {"train": [(20, 2), (21, 0)], "test": [(40, 2), (41, 0)]}


def semeion(root, name, monkeypatch):
    rows = [" ".join([f"{value}.0000"] * 256 + ["1" if i == digit else "0" for i in range(10)])
            for value, digit in ((0, 4), (1, 9))]  # fmt: skip
    _text(root / "semeion.data", "\n".join(rows) + "\n")
    monkeypatch.setattr(datasets.SEMEION, "md5_checksum", None)
    return {"train": [(0, 4), (255, 9)]}


def fer2013(root, name, monkeypatch):
    rows = [
        f"{emotion},{' '.join([str(value)] * 48**2)},{usage}"
        for emotion, value, usage in ((6, 10, "Training"), (0, 11, "Training"), (6, 12, "PrivateTest"))
    ]
    _text(root / "fer2013/fer2013.csv", "\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    monkeypatch.setattr(datasets.FER2013, "_RESOURCES", {"fer": ("fer2013.csv", None)})
    return {"train": [(10, 6), (11, 0)], "test": [(12, 6)]}


def food101(root, name, monkeypatch):
    expected = {}
    for split, first in (("train", 10), ("test", 50)):
        listed = {kind: [f"{kind}/{first + 10 * i}"] for i, kind in enumerate(("apple_pie", "waffles"))}
        _text(root / f"food-101/meta/{split}.json", json.dumps(listed))
        for i, kind in enumerate(listed):
            _jpeg(root / f"food-101/images/{kind}/{first + 10 * i}.jpg", first + 10 * i)
        expected[split] = [(first, 0), (first + 10, 1)]
    return expected


def flowers102(root, name, monkeypatch):
    for number in range(1, 7):
        _jpeg(root / f"flowers-102/jpg/image_{number:05d}.jpg", 10 * number)
    _mat(root / "flowers-102/setid.mat", trnid=[[5, 1]], valid=[[2, 3]], tstid=[[4, 6]])
    _mat(root / "flowers-102/imagelabels.mat", labels=[[102, 1, 102, 1, 1, 102]])
    named = datasets.Flowers102._file_dict
    monkeypatch.setattr(datasets.Flowers102, "_file_dict", {kind: (file, None) for kind, (file, _) in named.items()})
    return {"train": [(10, 101), (50, 0)], "val": [(20, 0), (30, 101)], "test": [(40, 0), (60, 101)]}


def oxford_pet(root, name, monkeypatch):
    for split, number in (("trainval", 10), ("test", 20)):
        _text(root / f"oxford-iiit-pet/annotations/{split}.txt",
              f"Bengal_{number} 1 1 1\nbeagle_{number + 1} 2 2 1\n")  # fmt: skip
        _jpeg(root / f"oxford-iiit-pet/images/Bengal_{number}.jpg", number)
        _jpeg(root / f"oxford-iiit-pet/images/beagle_{number + 1}.jpg", number + 1)
    return {"train": [(10, 0), (11, 1)], "test": [(20, 0), (21, 1)]}


def gtsrb(root, name, monkeypatch):
    for kind, number in ((0, 10), (2, 12), (1, 11)):
        _jpeg(root / f"gtsrb/GTSRB/Training/{kind:05d}/{number}.ppm", number)
    _jpeg(root / "gtsrb/GTSRB/Final_Test/Images/00000.ppm", 20)
    _text(root / "gtsrb/GT-final_test.csv", "Filename;Width;ClassId\n00000.ppm;16;2\n")
    return {"train": [(10, 0), (11, 1), (12, 2)], "test": [(20, 2)]}


def dtd(root, name, monkeypatch):
    expected = {}
    for first, split in ((10, "train"), (20, "val"), (30, "test")):
        names = [f"{kind}/{kind}_{first + i}.jpg" for i, kind in enumerate(("banded", "zigzagged"))]
        _text(root / f"dtd/dtd/labels/{split}1.txt", "\n".join(names) + "\n")
        for i, file in enumerate(names):
            _jpeg(root / "dtd/dtd/images" / file, first + i)
        expected[split] = [(first, 0), (first + 1, 1)]
    return expected


def aircraft(root, name, monkeypatch):
    folder, expected = root / "fgvc-aircraft-2013b/data", {}
    _text(folder / "variants.txt", "707-320\nBoeing 717\n")
    for first, split in ((10, "train"), (20, "val"), (30, "test")):
        _text(folder / f"images_variant_{split}.txt", f"{first} Boeing 717\n{first + 1} 707-320\n")
        for number in (first, first + 1):
            _jpeg(folder / f"images/{number}.jpg", number)
        expected[split] = [(first, 1), (first + 1, 0)]
    return expected


def cars(root, name, monkeypatch):
    folder = root / "stanford_cars"
    _mat(folder / "devkit/cars_meta.mat", class_names=np.array([["AM General Hummer", "Acura RL"]], dtype=object))
    for split, file, number in (("train", "devkit/cars_train_annos.mat", 10),
                                ("test", "cars_test_annos_withlabels.mat", 20)):  # fmt: skip
        rows = [(f"{number + i}.jpg", 2 - i) for i in range(2)]
        _mat(folder / file, annotations=_records(rows))
        for i in range(2):
            _jpeg(folder / f"cars_{split}/{number + i}.jpg", number + i)
    return {"train": [(10, 1), (11, 0)], "test": [(20, 1), (21, 0)]}


def _records(rows):
    records = np.empty((1, len(rows)), dtype=[("fname", object), ("class", object)])
    for i, row in enumerate(rows):
        records[0, i] = row
    return records


def caltech101(root, name, monkeypatch):
    folder = root / "caltech101/101_ObjectCategories"
    (folder / "BACKGROUND_Google").mkdir(parents=True)
    _jpeg(folder / "ant/image_0001.jpg", 10)
    _jpeg(folder / "ant/image_0002.jpg", 20)
    _jpeg(folder / "wrench/image_0001.jpg", 30)
    return {"train": [(10, 0), (20, 0), (30, 1)]}


def caltech256(root, name, monkeypatch):
    folder = root / "caltech256/256_ObjectCategories"
    _jpeg(folder / "001.ak47/001_0001.jpg", 10)
    _jpeg(folder / "002.flag/002_0001.jpg", 20)
    return {"train": [(10, 0), (20, 1)]}


def eurosat(root, name, monkeypatch):
    _jpeg(root / "eurosat/2750/Forest/1.jpg", 10)
    _jpeg(root / "eurosat/2750/River/1.jpg", 20)
    return {"train": [(10, 0), (20, 1)]}


def folders(base, names, kinds, suffix=".jpg"):
    """Writes folders of classes for each split."""

    def write(root, name, monkeypatch):
        expected = {}
        for first, (split, folder) in enumerate(names.items()):
            for i, kind in enumerate(kinds):
                _jpeg(root / base.format(name=name) / folder / kind / f"a{suffix}", 10 + 40 * first + 10 * i)
            expected[split] = [(10 + 40 * first + 10 * i, i) for i in range(len(kinds))]
        return expected

    return write


def imagenette(root, name, monkeypatch):
    base = "imagenette2" + name.removeprefix("Imagenette").removesuffix("px")
    return folders(base, {"train": "train", "val": "val"}, ["n01440764", "n02102040"], ".JPEG")(root, name, monkeypatch)


def sun397(root, name, monkeypatch):
    _text(root / "SUN397/ClassName.txt", "/a/abbey\n/a/apartment/outdoor\n")
    _jpeg(root / "SUN397/a/apartment/outdoor/sun_b.jpg", 20)
    _jpeg(root / "SUN397/a/abbey/sun_a.jpg", 10)
    return {"train": [(10, 0), (20, 1)]}


THREE = {"train": "train", "val": "valid", "test": "test"}
WRITERS = {
    "Caltech101": caltech101,
    "Caltech256": caltech256,
    "Country211": folders("country211", THREE, ["AD", "ZW"]),
    "DTD": dtd,
    "EMNIST-balanced": emnist,
    "EMNIST-byclass": emnist,
    "EMNIST-bymerge": emnist,
    "EMNIST-digits": emnist,
    "EuroSAT": eurosat,
    "FER2013": fer2013,
    "FGVCAircraft": aircraft,
    "FashionMNIST": mnist,
    "Flowers102": flowers102,
    "Food101": food101,
    "GTSRB": gtsrb,
    "Imagenette": imagenette,
    "Imagenette-160px": imagenette,
    "Imagenette-320px": imagenette,
    "KMNIST": mnist,
    "MNIST": mnist,
    "OxfordIIITPet": oxford_pet,
    "QMNIST": qmnist,
    "RenderedSST2": folders("rendered-sst2", THREE, ["negative", "positive"], ".png"),
    "SEMEION": semeion,
    "STL10": stl10,
    "SUN397": sun397,
    "SVHN": svhn,
    "StanfordCars": cars,
    "USPS": usps,
}
CLASSES = {
    "Caltech101": ("ant", "wrench"),
    "EMNIST-digits": tuple("0123456789"),
    "FGVCAircraft": ("707-320", "Boeing 717"),
    "GTSRB": ("0", "1", "2"),
    "Imagenette": ("tench, Tinca tinca", "English springer, English springer spaniel"),
    "OxfordIIITPet": ("Bengal", "Beagle"),
    "STL10": ("airplane", "bird", "car"),
    "SUN397": ("abbey", "apartment/outdoor"),
    "SVHN": tuple("0123456789"),
    "StanfordCars": ("AM General Hummer", "Acura RL"),
}


def _list(name, root):
    return list_images(f"torchvision:{name}@{root}")


def _fails(name, root, match):
    with pytest.raises(DataError, match=match) as caught:
        _list(name, root)
    return str(caught.value)


def test_every_data_set_of_the_table_has_a_test():
    assert WRITERS.keys() == DATA_SETS.keys()


@pytest.mark.parametrize("name", WRITERS)
def test_images_labels_and_splits_are_those_of_the_files(tmp_path, monkeypatch, name):
    expected = WRITERS[name](tmp_path, name, monkeypatch)
    listing = _list(name, tmp_path)
    found = {split: [] for split in expected}
    for split, label, encoded in zip(listing.splits, listing.labels, listing.encoded(), strict=True):
        found[split].append((int(np.median(to_pixels(encoded, 8)[0][0])), int(label)))
    assert found == expected
    assert len(set(listing.names)) == len(listing.names) == len(listing.labels)
    assert max(listing.labels) < len(listing.classes)
    assert all(isinstance(kind, str) for kind in listing.classes)
    assert listing.classes == CLASSES.get(name, listing.classes)
    assert [a == b for a, b in zip(listing.encoded(), listing.encoded(), strict=True)]  # a second pass gives as many


@pytest.mark.parametrize("name", WRITERS)
def test_missing_files_are_named_and_nothing_is_written(tmp_path, monkeypatch, name):
    message = _fails(name, tmp_path, "must lie under")
    assert all(file in message for file in DATA_SETS[name].needs)
    assert list(tmp_path.iterdir()) == []
    WRITERS[name](tmp_path, name, monkeypatch)
    gone = tmp_path / DATA_SETS[name].needs[0]
    gone.rename(gone.with_name("elsewhere"))
    _fails(name, tmp_path, f"there is no {re.escape(DATA_SETS[name].needs[0])}")


@pytest.mark.parametrize("name", DATA_SETS)
def test_reader_of_the_table_unpickles_nothing(name):
    """What is stored in torchvision's module, apart from the old cache of MNIST, which must be empty."""
    reader = getattr(datasets, DATA_SETS[name].reader or name)
    source = inspect.getsource(inspect.getmodule(reader))
    assert "pickle" not in source
    assert not re.search(r"np\.load\(|read_pickle", source)
    assert ("torch.load" in source) == (DATA_SETS[name].cache is not None)


@pytest.mark.parametrize("name", UNPICKLED)
def test_data_that_would_be_unpickled_are_refused(tmp_path, name):
    _fails(name, tmp_path, f"unpickles the files of {name}.*Parquet")


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST", "QMNIST", "EMNIST-digits"])
def test_old_cache_is_not_unpickled(tmp_path, monkeypatch, name):
    WRITERS[name](tmp_path, name, monkeypatch)
    folder = tmp_path / name.partition("-")[0] / "processed"
    folder.mkdir()
    _list(name, tmp_path)
    for file in ("training.pt", "test.pt", "train.pt", "training_digits.pt", "test_digits.pt"):
        (folder / file).write_bytes(b"cos\nsystem\n(S'touch unpickled'\ntR.")
    _fails(name, tmp_path, r"would unpickle .*test.*\.pt.*Delete")


@pytest.mark.parametrize(("asked", "match"), [
    ("FashionMNITS@x", "Did you mean 'FashionMNIST'"),
    ("mnist@x", "Did you mean 'MNIST'"),
    ("cifar10@x", "Did you mean 'CIFAR10'"),
    ("@x", "Known: Caltech101"),
    ("MNIST", "written torchvision:NAME@ROOT"),
    ("MNIST@", "written torchvision:NAME@ROOT"),
])  # fmt: skip
def test_other_names_and_forms_are_refused(asked, match):
    with pytest.raises(DataError, match=match):
        list_images(f"torchvision:{asked}")


@pytest.mark.parametrize(
    "content", [b"", b"\x00\x00\x08", b"\x00\x00\x08\x03" + b"\xff" * 12, b"\x00\x00\x0e\x03" + bytes(20)]
)
def test_damaged_files_are_our_error(tmp_path, monkeypatch, content):
    mnist(tmp_path, "MNIST", monkeypatch)
    (tmp_path / "MNIST/raw/train-images-idx3-ubyte").write_bytes(content)
    _fails("MNIST", tmp_path, "as it was published, but reading it failed")


def test_checksums_of_torchvision_are_kept(tmp_path, monkeypatch):
    svhn(tmp_path, "SVHN", monkeypatch)
    monkeypatch.undo()
    _fails("SVHN", tmp_path, "corrupted")


def test_labels_beyond_the_classes_are_our_error(tmp_path, monkeypatch):
    mnist(tmp_path, "MNIST", monkeypatch)
    _idx(tmp_path / "MNIST/raw/train-labels-idx1-ubyte", np.array([0, 1, 2, 3, 4, 10]))
    _fails("MNIST", tmp_path, "one of 10 classes, but .* one is 10")


def test_content_changes_with_the_files_and_the_data_set(tmp_path, monkeypatch):
    emnist(tmp_path, "EMNIST-digits", monkeypatch)
    emnist(tmp_path, "EMNIST-balanced", monkeypatch)
    found = [_list("EMNIST-digits", tmp_path).content, _list("EMNIST-balanced", tmp_path).content]
    assert _list("EMNIST-digits", tmp_path).content == found[0]
    _idx(tmp_path / "EMNIST/raw/emnist-digits-train-labels-idx1-ubyte", np.array([1, 1]))
    found.append(_list("EMNIST-digits", tmp_path).content)
    (tmp_path / "unrelated").write_text("x")
    assert _list("EMNIST-digits", tmp_path).content == found[2]
    assert len(set(found)) == 3


FLIPPED = {
    "FashionMNIST": True, "Food101": True, "MNIST": False, "SVHN": False, "GTSRB": False, "RenderedSST2": False,
    "EMNIST-digits": False,
}  # fmt: skip


@pytest.mark.parametrize(("name", "flip"), FLIPPED.items())
def test_digits_letters_and_signs_are_not_mirrored(tmp_path, monkeypatch, name, flip):
    WRITERS[name](tmp_path, name, monkeypatch)
    assert _list(name, tmp_path).flip is flip


@pytest.mark.parametrize("stream", [False, True])
def test_data_are_prepared_from_the_published_splits(tmp_path, stream):
    numbers = np.arange(200)
    for part in ("train", "t10k"):
        _idx(tmp_path / f"MNIST/raw/{part}-images-idx3-ubyte", _grey(numbers))
        _idx(tmp_path / f"MNIST/raw/{part}-labels-idx1-ubyte", numbers % 10)
    prepared = prepare_data(
        DataSource(f"torchvision:MNIST@{tmp_path}", resolution=28, stream=stream), tmp_path / "cache"
    )
    assert [len(split) for split in (prepared.train, prepared.val, prepared.test)] == [160, 40, 200]
    assert (prepared.channels, prepared.resolution, prepared.flip, prepared.is_streamed) == (1, 28, False, stream)
    images = prepared.test.images
    found = [int((images.pixels(i) if stream else images[i])[0, 3, 3]) for i in range(200)]
    assert sorted(found) == list(range(200))
    assert [number % 10 for number in found] == prepared.test.labels.tolist()
    assert prepared.classes[0] == "0 - zero"
