import struct
import zlib

import pytest
from boxed import SIDEWAYS, pack, picture
from PIL import Image

from paretonas.data import box_headers
from paretonas.data.box_files import list_archive, stamp
from paretonas.data.box_headers import read_headers
from paretonas.data.pixels import guarded, to_upright
from paretonas.errors import MachineError

KINDS = ("JPEG", "PNG", "WEBP", "TIFF")


def read(place):
    headers = read_headers([place])
    assert headers.lost == {}
    return (*headers.sizes[0].tolist(), int(headers.orientations[0]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize(("orientation", "size"), [(1, (40, 30)), (3, (40, 30)), (6, (30, 40)), (8, (30, 40))])
def test_sizes_are_those_of_the_upright_image(tmp_path, kind, is_packed, orientation, size):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = picture(1, kind=kind, exif=exif)
    (tmp_path / "1").write_bytes(content)
    pack(tmp_path / "images.zip", {"1": content})
    place = list_archive(tmp_path / "images.zip")[0] if is_packed else tmp_path / "1"
    assert read(place)[:2] == size == to_upright(content)[0].size
    assert read(place)[2] == orientation


def test_png_may_tell_its_orientation_after_its_pixels(tmp_path):
    content = picture(1, kind="PNG")
    data = SIDEWAYS.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(data)) + b"eXIf" + data + struct.pack(">I", zlib.crc32(b"eXIf" + data))
    content = content[:-12] + chunk + content[-12:]
    (tmp_path / "1.png").write_bytes(content)
    assert read(tmp_path / "1.png") == (30, 40, 6)
    assert to_upright(content)[0].size == (30, 40)


def test_png_without_orientation_is_not_decoded(tmp_path, monkeypatch):
    (tmp_path / "1.png").write_bytes(picture(1, kind="PNG"))
    monkeypatch.setattr(Image.core, "zip_decoder", lambda *_: pytest.fail("decoded"))
    assert read(tmp_path / "1.png") == (40, 30, 1)


def test_long_headers_in_archives_are_read(tmp_path, monkeypatch):
    pack(tmp_path / "images.zip", {"1.jpg": picture(1, icc_profile=bytes(10_000), exif=SIDEWAYS)})
    monkeypatch.setattr(box_headers, "HEAD", 1000)
    assert read(list_archive(tmp_path / "images.zip")[0]) == (30, 40, 6)


def test_what_cannot_be_read_is_said_by_its_index(tmp_path):
    (tmp_path / "0.jpg").write_bytes(picture(0))
    (tmp_path / "1.jpg").write_bytes(b"no image")
    (tmp_path / "2.jpg").write_bytes(picture(2)[:30])
    headers = read_headers([tmp_path / f"{i}.jpg" for i in range(4)] + [None])
    assert sorted(headers.lost) == [1, 2, 3]
    assert headers.lost[1] == "not an image of a known format"
    assert headers.lost[3] == "No such file or directory"
    assert headers.sizes.tolist() == [[40, 30], [1, 1], [1, 1], [1, 1], [1, 1]]
    assert headers.stamps[0].tolist() == list(stamp(tmp_path / "0.jpg"))


def test_more_pixels_than_are_safe_are_refused(tmp_path):
    (tmp_path / "0.jpg").write_bytes(picture(0))
    with guarded(1000):
        lost = read_headers([tmp_path / "0.jpg"]).lost
    assert lost[0].endswith("allow it with --task detection:max_pixels=N")
    with guarded(1200):
        assert read_headers([tmp_path / "0.jpg"]).lost == {}


def test_what_the_machine_refuses_is_no_fault_of_an_image(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(box_headers, "opened", refuse)
    with pytest.raises(MachineError, match="Too many open files"):
        read_headers([tmp_path / "0.jpg"])


def test_many_images_are_read_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(box_headers, "BATCH", 4)
    for i in range(10):
        (tmp_path / f"{i}.jpg").write_bytes(picture(i, (10 + i, 8)))
    headers = read_headers([tmp_path / f"{i}.jpg" for i in range(10)])
    assert headers.sizes[:, 0].tolist() == list(range(10, 20))
