"""Which of torchvision's data sets can be read, and how: those for classification whose readers unpickle nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Arguments = Mapping[str, object]
BY_FLAG: Mapping[str, Arguments] = {"train": {"train": True}, "test": {"train": False}}
TRAIN_TEST: Mapping[str, Arguments] = {name: {"split": name} for name in ("train", "test")}
TRAIN_VAL_TEST: Mapping[str, Arguments] = {name: {"split": name} for name in ("train", "val", "test")}
POOL: Mapping[str, Arguments] = {"train": {}}

MNIST_FILES = tuple(f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
QMNIST_FILES = tuple(f"qmnist-{part}-{kind}" for part in BY_FLAG for kind in ("images-idx3-ubyte", "labels-idx2-int"))
STL10_FILES = ("train_X.bin", "train_y.bin", "unlabeled_X.bin", "test_X.bin", "test_y.bin")

UNPICKLED = ("CIFAR10", "CIFAR100", "ImageNet", "LSUN", "LSUNClass", "PhotoTour")
"""Data sets that torchvision reads with `pickle` or `torch.load`."""


@dataclass(frozen=True)
class TorchvisionData:
    """How one of torchvision's data sets is read.

    Args:
        needs: Files and folders that must lie under its root.
        splits: The reader's arguments for each split.
        flip: Whether a mirrored image still shows its class.
        reader: Class in `torchvision.datasets`; None: the data set's name.
        options: The reader's arguments for all splits.
        files: Paths and labels from a reader; None: the reader holds the pixels of all images.
        cache: Folder whose files the reader would unpickle; it must hold none.
    """

    needs: tuple[str, ...]
    splits: Mapping[str, Arguments]
    flip: bool = True
    reader: str | None = None
    options: Arguments | None = None
    files: Callable[[Any], Iterable[tuple[str | Path, int]]] | None = None
    cache: str | None = None


def by_loader(reader: Any) -> Iterator[tuple[Path, int]]:
    """For readers that take a `loader`, which is `Path`: they give the path in the image's place."""
    return (reader[i] for i in range(len(reader)))


def _pet(reader: Any) -> Iterable[tuple[Path, int]]:
    return zip(reader._images, reader._labels, strict=True)


def _gtsrb(reader: Any) -> Iterable[tuple[str, int]]:
    samples: list[tuple[str, int]] = reader._samples
    return samples


def _caltech101(reader: Any) -> Iterator[tuple[Path, int]]:
    for label, number in zip(reader.y, reader.index, strict=True):
        yield Path(reader.root, "101_ObjectCategories", reader.categories[label], f"image_{number:04d}.jpg"), label


def _caltech256(reader: Any) -> Iterator[tuple[Path, int]]:
    for label, number in zip(reader.y, reader.index, strict=True):
        category = reader.categories[label]
        yield Path(reader.root, "256_ObjectCategories", category, f"{label + 1:03d}_{number:04d}.jpg"), label


def _mnist(folder: str, *, flip: bool = False) -> TorchvisionData:
    needs = tuple(f"{folder}/raw/{file}" for file in MNIST_FILES)
    return TorchvisionData(needs, BY_FLAG, flip, cache=f"{folder}/processed")


def _emnist(split: str) -> TorchvisionData:
    kinds = ("images-idx3", "labels-idx1")
    needs = tuple(f"EMNIST/raw/emnist-{split}-{part}-{kind}-ubyte" for part in BY_FLAG for kind in kinds)
    return TorchvisionData(needs, BY_FLAG, False, "EMNIST", {"split": split}, cache="EMNIST/processed")


def _imagenette(folder: str, size: str) -> TorchvisionData:
    splits = {name: {"split": name} for name in ("train", "val")}
    needs = (f"{folder}/train", f"{folder}/val")
    return TorchvisionData(needs, splits, reader="Imagenette", options={"size": size}, files=by_loader)


DATA_SETS: Mapping[str, TorchvisionData] = {
    "Caltech101": TorchvisionData(("caltech101/101_ObjectCategories",), POOL, files=_caltech101),
    "Caltech256": TorchvisionData(("caltech256/256_ObjectCategories",), POOL, files=_caltech256),
    "Country211": TorchvisionData(
        ("country211/train", "country211/valid", "country211/test"),
        {"train": {"split": "train"}, "val": {"split": "valid"}, "test": {"split": "test"}},
        files=by_loader,
    ),
    "DTD": TorchvisionData(("dtd/dtd/images", "dtd/dtd/labels"), TRAIN_VAL_TEST, files=by_loader),
    "EMNIST-balanced": _emnist("balanced"),
    "EMNIST-byclass": _emnist("byclass"),
    "EMNIST-bymerge": _emnist("bymerge"),
    "EMNIST-digits": _emnist("digits"),
    "EuroSAT": TorchvisionData(("eurosat/2750",), POOL, files=by_loader),
    "FER2013": TorchvisionData(("fer2013",), TRAIN_TEST),
    "FGVCAircraft": TorchvisionData(("fgvc-aircraft-2013b/data",), TRAIN_VAL_TEST, files=by_loader),
    "FashionMNIST": _mnist("FashionMNIST", flip=True),
    "Flowers102": TorchvisionData(
        ("flowers-102/jpg", "flowers-102/setid.mat", "flowers-102/imagelabels.mat"), TRAIN_VAL_TEST, files=by_loader
    ),
    "Food101": TorchvisionData(
        ("food-101/images", "food-101/meta/train.json", "food-101/meta/test.json"), TRAIN_TEST, files=by_loader
    ),
    "GTSRB": TorchvisionData(
        ("gtsrb/GTSRB/Training", "gtsrb/GTSRB/Final_Test/Images", "gtsrb/GT-final_test.csv"),
        TRAIN_TEST,
        flip=False,  # a mirrored arrow is another sign
        files=_gtsrb,
    ),
    "Imagenette": _imagenette("imagenette2", "full"),
    "Imagenette-160px": _imagenette("imagenette2-160", "160px"),
    "Imagenette-320px": _imagenette("imagenette2-320", "320px"),
    "KMNIST": _mnist("KMNIST"),
    "MNIST": _mnist("MNIST"),
    "OxfordIIITPet": TorchvisionData(
        tuple(f"oxford-iiit-pet/{part}" for part in ("images", "annotations/trainval.txt", "annotations/test.txt")),
        {"train": {"split": "trainval"}, "test": {"split": "test"}},
        files=_pet,
    ),
    "QMNIST": TorchvisionData(
        tuple(f"QMNIST/raw/{file}" for file in QMNIST_FILES), BY_FLAG, False, cache="QMNIST/processed"
    ),
    "RenderedSST2": TorchvisionData(
        ("rendered-sst2/train", "rendered-sst2/valid", "rendered-sst2/test"), TRAIN_VAL_TEST, False, files=by_loader
    ),
    "SEMEION": TorchvisionData(("semeion.data",), POOL, False),
    "STL10": TorchvisionData(tuple(f"stl10_binary/{file}" for file in STL10_FILES), TRAIN_TEST),
    "SUN397": TorchvisionData(("SUN397/ClassName.txt", "SUN397"), POOL, files=by_loader),
    "SVHN": TorchvisionData(("train_32x32.mat", "test_32x32.mat"), TRAIN_TEST, False),
    "StanfordCars": TorchvisionData(
        (
            "stanford_cars/devkit/cars_meta.mat",
            "stanford_cars/devkit/cars_train_annos.mat",
            "stanford_cars/cars_test_annos_withlabels.mat",
            "stanford_cars/cars_train",
            "stanford_cars/cars_test",
        ),
        TRAIN_TEST,
        files=by_loader,
    ),
    "USPS": TorchvisionData(("usps.bz2", "usps.t.bz2"), BY_FLAG, False),
}
