import numpy as np
import pytest
from pictures import coloured, encode, identities, prepare, write_parquet
from PIL import Image

from paretonas.data.decode import decode_images, survey, to_pixels
from paretonas.data.images import open_data
from paretonas.data.listing import list_images
from paretonas.errors import DataError


def pixel(image, kind="PNG", **options):
    pixels, is_grey = to_pixels(encode(image, kind, **options), 8)
    assert pixels.shape == (3, 8, 8)
    assert pixels.dtype == np.uint8
    assert (pixels == pixels[:, :1, :1]).all()
    return pixels[:, 0, 0].tolist(), is_grey


def grey16(value, dtype=np.uint16):
    return Image.fromarray(np.full((8, 8), value, dtype=dtype))


def palette(transparent=False):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    if transparent:
        image.info["transparency"] = 1
    return image


@pytest.mark.parametrize(
    ("image", "kind", "expected", "is_grey"),
    [
        (Image.new("RGB", (8, 8), (1, 2, 3)), "PNG", [1, 2, 3], False),
        (Image.new("L", (8, 8), 77), "PNG", [77] * 3, True),
        (Image.new("1", (8, 8), 1), "PNG", [255] * 3, True),
        (Image.new("LA", (8, 8), (100, 0)), "PNG", [255] * 3, True),
        (Image.new("LA", (8, 8), (100, 255)), "PNG", [100] * 3, True),
        (Image.new("RGBA", (8, 8), (10, 20, 30, 0)), "PNG", [255] * 3, False),
        (Image.new("RGBA", (8, 8), (10, 20, 30, 51)), "PNG", [206, 208, 210], False),  # 255 * 0.8 + c * 0.2
        (palette(), "PNG", [10, 20, 30], False),
        (palette(transparent=True), "PNG", [255] * 3, False),
        (Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "TIFF", [0, 255, 255], False),
        (grey16(0x1234), "PNG", [0x12] * 3, True),
        (grey16(0xFFFF, ">u2"), "TIFF", [0xFF] * 3, True),
        (grey16(0x8000, np.int32), "TIFF", [0x80] * 3, True),
    ],
)
def test_pixels_of_each_mode(image, kind, expected, is_grey):
    assert pixel(image, kind) == (expected, is_grey)


def test_pixels_of_transparent_grey_and_colour_are_white():
    assert pixel(Image.new("L", (8, 8), 9), transparency=9) == ([255] * 3, True)
    assert pixel(Image.new("RGB", (8, 8), (1, 2, 3)), transparency=(1, 2, 3)) == ([255] * 3, False)


def test_pixels_of_palette_with_alpha_per_entry_are_over_white():
    assert pixel(palette(), transparency=bytes([255, 51]))[0] == [206, 208, 210]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM"])
def test_pixels_of_each_format(kind):
    pixels, is_grey = to_pixels(encode(Image.new("RGB", (8, 8), (200, 100, 50)), kind), 8)
    np.testing.assert_allclose(pixels.mean(axis=(1, 2)), [200, 100, 50], atol=3)
    assert not is_grey


@pytest.mark.parametrize("value", [-1, 70_000])
def test_pixels_beyond_16_bits_are_refused(value):
    with pytest.raises(ValueError, match=r"0\.\.65535"):
        pixel(grey16(value, np.int32), "TIFF")


def test_pixels_of_floats_are_refused():
    with pytest.raises(ValueError, match="mode F"):
        pixel(grey16(0.5, np.float32), "TIFF")


def test_pixels_follow_exif_orientation():
    image = Image.new("RGB", (16, 16))
    image.paste((255, 0, 0), (0, 0, 16, 8))  # red above black
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    pixels, _ = to_pixels(encode(image, "PNG", exif=exif), 16)
    assert (pixels[0, :, 8:] == 255).all()
    assert (pixels[0, :, :8] == 0).all()


def test_pixels_are_the_centre_of_the_scaled_image():
    image = Image.new("RGB", (64, 32), "black")
    image.paste("white", (16, 0, 48, 32))
    pixels, _ = to_pixels(encode(image), 16)
    assert (pixels[:, :, 1:-1] == 255).all()  # the bilinear filter reaches one pixel beyond each side


def test_pixels_of_the_right_size_are_unchanged():
    values = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    pixels, _ = to_pixels(encode(Image.fromarray(values)), 24)
    np.testing.assert_array_equal(pixels, values.transpose(2, 0, 1))


def test_pixels_shrink_with_antialiasing():
    stripes = np.zeros((64, 64), dtype=np.uint8)
    stripes[:, ::2] = 255
    pixels, _ = to_pixels(encode(Image.fromarray(stripes)), 8)
    assert np.abs(pixels[:, :, 1:-1].astype(int) - 127).max() <= 2


def spoil(tree):
    (tree / "cat" / "0.png").write_bytes(b"not an image")
    whole = encode(Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)), "JPEG")
    (tree / "cat" / "1.png").write_bytes(whole[:-50])
    (tree / "dog" / "60.png").write_bytes(encode(grey16(0.5, np.float32), "TIFF"))


def test_corrupt_images_stop_with_a_list(tree, cache):
    spoil(tree)
    with pytest.raises(DataError, match="3 of 100 are corrupt") as caught:
        prepare(tree, cache)
    message = str(caught.value)
    assert "cat/0.png: not an image of a known format" in message
    assert "cat/1.png: OSError: image file is truncated" in message
    assert "dog/60.png: ValueError: floating-point pixels (mode F)" in message
    assert "--skip-corrupt" in message
    assert list(cache.iterdir()) == []


def test_corrupt_images_are_listed_up_to_twenty(tree, cache):
    for number in range(30):
        (tree / "cat" / f"{number}.png").write_bytes(b"")
    with pytest.raises(DataError, match="30 of 100") as caught:
        prepare(tree, cache)
    assert str(caught.value).count("cat/") == 20


def test_corrupt_images_are_skipped_on_demand(tree, cache):
    spoil(tree)
    prepared = prepare(tree, cache, skip_corrupt=True)
    assert [line.split(":")[0] for line in prepared.skipped] == ["cat/0.png", "cat/1.png", "dog/60.png"]
    assert len(prepared.full_train) + len(prepared.test) == 97
    kept = identities(prepared.full_train) + identities(prepared.test)
    assert sorted(kept) == sorted(set(range(100)) - {0, 1, 60})
    assert open_data(prepared.folder).skipped == prepared.skipped


def test_corrupt_images_of_parquet_are_named_by_row(tmp_path, cache):
    rows = [encode(coloured(row)) for row in range(20)]
    write_parquet(tmp_path / "set.parquet", [0, 1] * 10, encoded=[*rows[:18], None, b"x"])
    with pytest.raises(DataError, match=r"set\.parquet row 18: ValueError: no bytes"):
        prepare(tmp_path / "set.parquet", cache)


@pytest.mark.parametrize(("side", "kind"), [(17, "Warning"), (40, "Error")])  # Pillow raises above twice its limit
def test_decompression_bombs_are_corrupt(tree, cache, monkeypatch, side, kind):
    coloured(0, (side, side)).save(tree / "cat" / "0.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 16 * 16)
    with pytest.raises(DataError, match=rf"1 of 100 are corrupt:\n  cat/0\.png: DecompressionBomb{kind}"):
        prepare(tree, cache)


def test_imagenette_mixes_grey_and_colour(cache, real_data):
    listing = list_images(str(real_data / "imagenette224_5k/val.parquet"))
    out = np.zeros((len(listing.labels), 3, 64, 64), dtype=np.uint8)
    is_grey, corrupt = decode_images(listing, out)
    assert corrupt == {}
    assert 0 < is_grey.mean() < 0.05
    assert survey(listing)[0] == [224] * 500
    assert listing.classes[0] == "tench"
