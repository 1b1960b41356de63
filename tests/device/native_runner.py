"""The runner compiled for this machine, and the engines' libraries that are found here."""

import importlib.util
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

import paretonas.device

NATIVE = Path(paretonas.device.__file__).parent / "native"


def compiled(folder):
    """The runner's path; skips where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or os.name != "posix":
        pytest.skip("no C compiler here")
    path = folder / "runner"
    warnings = ["-Wall", "-Wextra", "-Wno-format-truncation", "-Werror"]
    sources = sorted(map(str, NATIVE.glob("*.c")))
    subprocess.run([compiler, "-std=c99", *warnings, "-o", str(path), *sources, "-ldl", "-lm"], check=True)
    return path


@cache
def onnxruntime_library():
    """Of the Python package, whose wheels for Linux have it beside the module."""
    found = importlib.util.find_spec("onnxruntime")
    folder = Path(found.origin).parent / "capi" if found and found.origin else None
    libraries = sorted(folder.glob("libonnxruntime.so*")) if folder else []
    if not libraries:
        pytest.skip("no libonnxruntime.so in the package onnxruntime")
    return libraries[0]


@cache
def litert_library():
    """LiteRT's own, of the Python package."""
    found = importlib.util.find_spec("ai_edge_litert")
    path = Path(found.origin).parent / "libLiteRt.so" if found and found.origin else None
    if path is None or not path.exists():
        pytest.skip("no libLiteRt.so in the package ai-edge-litert")
    return path


def tensorflow_lite_library():
    """One with the C API of TensorFlow Lite, which no Python package has; npm's tfjs-tflite-node does."""
    path = os.environ.get("PARETONAS_TFLITE_C")
    if not path:
        pytest.skip("no libtensorflowlite_c.so: set PARETONAS_TFLITE_C")
    return Path(path)
