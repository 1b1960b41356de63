import os
import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from pictures import encode
from PIL import Image, ImageCms, UnidentifiedImageError

from paretonas.data.pixels import guarded, opened, reason, to_bytes, to_pixels

TIFF = {"width": 256, "height": 257, "bits": 258, "compression": 259, "photometric": 262, "offsets": 273,
        "samples": 277, "rows": 278, "sizes": 279, "planes": 284, "extra": 338, "format": 339}  # fmt: skip


def tiff(strips, bits, photometric=1, **more):
    """The bytes of a TIFF file of 8 x 8 pixels: what Pillow itself does not write.

    Args:
        strips: Bytes, one a plane.
        bits: Of each sample.
        photometric: 0: white is zero, 1: black is zero, 2: RGB, 8: L*a*b*.
        more: Further tags.
    """
    places = np.cumsum([8, *map(len, strips)]).tolist()
    tags = {
        "width": [8], "height": [8], "bits": bits, "compression": [1], "photometric": [photometric],
        "samples": [len(bits)], "rows": [8], "offsets": places[:-1], "sizes": list(map(len, strips)), **more,
    }  # fmt: skip
    entries, tail, end = b"", b"", places[-1] + 2 + 12 * len(tags) + 4
    for name in sorted(tags, key=TIFF.get):
        values = struct.pack(f"<{len(tags[name])}I", *tags[name])
        entry = values if len(values) <= 4 else struct.pack("<I", end + len(tail))
        tail += values if len(values) > 4 else b""
        entries += struct.pack("<HHI", TIFF[name], 4, len(tags[name])) + entry
    return (
        b"II*\0"
        + struct.pack("<I", places[-1])
        + b"".join(strips)
        + struct.pack("<H", len(tags))
        + entries
        + bytes(4)
        + tail
    )


def fits(bits, pixels):
    """The bytes of a FITS file of 8 x 8 pixels."""
    cards = {"SIMPLE": "T", "BITPIX": bits, "NAXIS": 2, "NAXIS1": 8, "NAXIS2": 8}
    head = "".join(f"{f'{name:8}= {value:>20}':80}" for name, value in cards.items()) + f"{'END':80}"
    return head.ljust(2880).encode() + pixels.ljust(2880, b"\0")


def png(depth, colour, row, transparent=b""):
    """The bytes of a PNG file of 8 x 8 pixels, eight times the row."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, depth, colour, 0, 0, 0))]
    parts += [chunk(b"tRNS", transparent)] if transparent else []
    parts += [chunk(b"IDAT", zlib.compress((b"\0" + row) * 8)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def level(content):
    """The one value that all pixels have."""
    pixels, _ = to_pixels(content, 8)
    assert (pixels == pixels[:, :1, :1]).all()
    return pixels[:, 0, 0].tolist()


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


# What a file declares


def of12bits(value):
    """64 numbers of 12 bits, packed."""
    return bytes([value >> 4, (value & 15) << 4 | value >> 8, value & 255]) * 32


def all_are(value, dtype, shape=64):
    return np.full(shape, value, dtype).tobytes()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (tiff([of12bits(0xABC)], [12]), 0xAB),
        (tiff([all_are(0xABCD, "<u2")], [16]), 0xAB),
        (tiff([all_are(0xABCD, "<u2")], [16], photometric=0), 255 - 0xAB),
        (tiff([all_are(0x4000, "<i2")], [16], format=[2]), 0x80),  # of 15 bits and a sign
        (tiff([all_are(0xABCD, "<u4")], [32]), 0xAB),
        (tiff([all_are(0xF0, "u1")], [8], photometric=0), 0x0F),
        (tiff([all_are(0x77, "u1", 32)], [4]), 0x77),
        (tiff([all_are(0x0F, "u1", 8)], [1]), None),
        (encode(Image.new("I", (8, 8), 0x8000), "PPM"), 0x80),
        (encode(Image.fromarray(np.full((8, 8), 0xABCD, np.uint16)), "JPEG2000"), 0xAB),
        (fits(8, all_are(0x77, "u1")), 0x77),
        (b"P2 8 8 1023 " + b"512 " * 64, 0x80),  # Pillow scales by the largest value that is declared
    ],
)
def test_grey_is_scaled_by_the_depth_that_is_declared(content, expected):
    pixels, is_grey = to_pixels(content, 8)
    assert is_grey
    assert sorted(set(pixels.ravel().tolist())) == ([0, 255] if expected is None else [expected])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (tiff([all_are([0x1234, 0x5678, 0x9ABC], "<u2", (64, 3))], [16] * 3, 2), [0x12, 0x56, 0x9A]),
        (tiff([all_are(value, "u1") for value in (1, 2, 3)], [8] * 3, 2, planes=[2]), [1, 2, 3]),
        (tiff([all_are([1, 2, 3, 4], "u1", (64, 4))], [8] * 4, 2, extra=[0]), [1, 2, 3]),  # a fourth band, no alpha
        (tiff([all_are([0xFFFF, 0, 0, 0], "<u2", (64, 4))], [16] * 4, 5), [0, 255, 255]),  # CMYK
        (tiff([all_are([128, 0, 0], "u1", (64, 3))], [8] * 3, 8), [119, 119, 119]),  # L* = 50
        (png(16, 2, all_are([0x1234, 0x5678, 0x9ABC], ">u2", (8, 3))), [0x12, 0x56, 0x9A]),
        (png(16, 4, all_are([0x1234, 0xFFFF], ">u2", (8, 2))), [0x12] * 3),
    ],
)
def test_colours_are_those_that_are_declared(content, expected):
    assert level(content) == expected


@pytest.mark.parametrize(
    "content",
    [
        png(16, 0, all_are(0x1234, ">u2", 8), struct.pack(">H", 0x1234)),
        png(16, 2, all_are([0x1234, 0x5678, 0x9ABC], ">u2", (8, 3)), struct.pack(">HHH", 0x1234, 0x5678, 0x9ABC)),
        png(2, 0, all_are(0b01010101, "u1", 2), struct.pack(">H", 1)),
        png(4, 0, all_are(0x77, "u1", 4), struct.pack(">H", 7)),
        png(1, 0, all_are(0, "u1", 1), struct.pack(">H", 0)),
        png(8, 0, all_are(7, "u1", 8), struct.pack(">H", 7)),
    ],
)
def test_transparent_colour_of_any_depth_is_white(content):
    assert level(content) == [255] * 3


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr"])
def test_jpeg_of_print_has_the_colours_of_the_image(mode):
    image = Image.new("RGB", (8, 8), (200, 100, 50)).convert(mode)
    np.testing.assert_allclose(level(encode(image, "JPEG", quality=95)), [200, 100, 50], atol=4)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (tiff([all_are(0.5, "<f4")], [32], format=[3]), "mode F"),
        (tiff([all_are(-3, "i1")], [8], format=[2]), "signed pixels of 8 bits"),
        (fits(16, all_are(-3, ">i2")), "FITS of more than 8 bits"),
        (tiff([all_are(-3, "<i2")], [16], format=[2]), r"in 0\.\.32767, but reach from -3"),
        (tiff([all_are(2**31, "<u4")], [32]), r"in 0\.\.65535"),
        (tiff([all_are(v, "<u2") for v in (1, 2, 3)], [16] * 3, 2, planes=[2]), "planes of their own"),
        (tiff([np.arange(64, dtype="<u2").tobytes()], [16]), "from 0 to 63 where they could reach 65535"),
        (
            tiff([np.arange(0, 4096, 64, "<u2").tobytes()], [16]),
            "from 0 to 4032 where",
        ),  # 12 bits that are not declared
        (tiff([np.arange(30000, 30064, dtype="<u2").tobytes()], [16]), "from 30000 to 30063 where"),
        (
            encode(Image.fromarray(np.arange(64, dtype=np.int32).reshape(8, 8)), "TIFF"),
            "next to nothing is left of them: stretch them",
        ),
    ],
)
def test_pixels_whose_range_is_not_known_or_lost_are_refused(content, match):
    with pytest.raises(ValueError, match=match):
        to_pixels(content, 8)


def frames(kind):
    first, second = Image.new("RGB", (8, 8), (200, 100, 50)), Image.new("RGB", (8, 8), (0, 0, 255))
    options = {"lossless": True} if kind == "WEBP" else {}
    return encode(first, kind, save_all=True, append_images=[second], **options)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_is_taken(kind):
    assert Image.open(BytesIO(frames(kind))).n_frames == 2
    assert level(frames(kind)) == [200, 100, 50]


def test_colour_profiles_are_not_applied():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    image = Image.new("RGB", (8, 8), (200, 100, 50))
    assert level(encode(image, "PNG", icc_profile=profile)) == [200, 100, 50]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_upright_in_every_format(kind, orientation):
    """The transposition of the EXIF standard, undone by the one that Pillow names for it."""
    values = np.zeros((16, 16, 3), np.uint8)
    values[:8, :, 0] = values[:, :8, 1] = 255
    stored = {
        1: values, 2: values[:, ::-1], 3: values[::-1, ::-1], 4: values[::-1], 5: values.transpose(1, 0, 2),
        6: np.rot90(values), 7: np.rot90(values, 2).transpose(1, 0, 2), 8: np.rot90(values, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {"subsampling": 0, "quality": 100} if kind == "JPEG" else {}
    content = encode(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif, **options)
    found = to_pixels(content, 16)[0].transpose(1, 2, 0)
    assert np.abs(found.astype(int) - values).max() < 10


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("exif", [b"", b"II*\0\xff\xff\xff\xff", b"MM\0*" + b"\xff" * 60, b"nonsense" * 5])
def test_image_with_broken_exif_is_as_it_is_stored(kind, exif):
    content = encode(Image.new("RGB", (8, 8), (200, 100, 50)), kind, exif=b"Exif\0\0" + exif)
    with guarded(None):
        np.testing.assert_allclose(to_pixels(content, 8)[0].mean((1, 2)), [200, 100, 50], atol=3)


# What is opened


def why(encoded, max_pixels=None):
    with pytest.raises(Exception) as caught, guarded(max_pixels):  # noqa: PT011 - Pillow's raise what they like
        to_pixels(encoded, 8)
    return reason(caught.value)


@pytest.fixture
def odd(tmp_path):
    """Entries of a folder that are no images."""
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "dangling.jpg").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("<html>")
    (tmp_path / "cut.jpg").write_bytes(encode(Image.new("RGB", (99, 99), "red"), "JPEG")[:-20])
    return tmp_path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("folder.jpg", "no regular file"),
        ("dangling.jpg", "No such file"),
        ("pipe.jpg", "no regular file"),
        ("device.jpg", "no regular file"),
        ("empty.jpg", "not an image of a known format"),
        ("text.jpg", "not an image of a known format"),
        ("cut.jpg", "truncated"),
    ],
)
def test_what_is_no_image_has_a_reason_and_nothing_blocks(odd, name, expected):
    assert expected in why(odd / name)


@pytest.mark.parametrize("name", ["pipe.jpg", "device.jpg", "folder.jpg"])
def test_bytes_are_of_regular_files_alone(odd, name):
    with pytest.raises(ValueError, match="no regular file"):
        to_bytes(odd / name)


def test_file_larger_than_any_image_is_not_read(tmp_path):
    with (tmp_path / "endless.jpg").open("wb") as file:
        file.truncate(10**12)
    assert "is larger than any image of 256 pixels" in why(tmp_path / "endless.jpg", 256)
    with pytest.raises(ValueError, match="larger than any image of 89478485 pixels"):
        to_bytes(tmp_path / "endless.jpg")


@pytest.mark.parametrize("side", [17, 40])  # Pillow warns, and raises above twice its limit
def test_image_of_too_many_pixels_is_not_decoded_unless_that_is_allowed(side):
    content = encode(Image.new("RGB", (side, side), (1, 2, 3)))
    said = why(content, 256)
    assert said.startswith(f"Image size ({side * side} pixels) is more than is safe")
    assert "--task classification:max_pixels=N" in said
    with guarded(side * side):
        assert level(content) == [1, 2, 3]
    assert Image.MAX_IMAGE_PIXELS == 89478485


def test_no_other_program_is_run_for_an_image():
    with (
        pytest.raises(UnidentifiedImageError),
        opened(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n"),
    ):
        pass
