import zipfile
from io import BytesIO

import pytest
from boxed import document, find, pack, picture, refuses, write_coco
from PIL import Image

from paretonas.data import box_files
from paretonas.data.box_files import Archives, Entry, Pictures, inner_parts, list_archive, stream_places
from paretonas.data.contents import list_contents
from paretonas.errors import DataError, MachineError


@pytest.mark.parametrize("name", ["../1.jpg", "/1.jpg", "a/../../1.jpg", "C:\\1.jpg", "..\\1.jpg"])
def test_archives_whose_names_lead_out_of_them_are_refused(tmp_path, name):
    write_coco(tmp_path, '{"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": [], "categories": []}')
    pack(tmp_path / "images.zip", {"1.jpg": picture(1), name: b"x"})
    refuses(tmp_path, r"entries lie inside of it, but .*images\.zip is not: .*no path within a folder")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x05\x06"])
def test_archives_that_cannot_be_read_are_refused(tmp_path, content):
    (tmp_path / "images.zip").write_bytes(content)
    with pytest.raises(DataError, match="must be a whole zip file"):
        list_archive(tmp_path / "images.zip")


def test_archives_are_opened_only_for_what_is_not_found_outside(tmp_path):
    write_coco(tmp_path)
    (tmp_path / "backup.zip").write_bytes(b"no archive")
    assert len(find(tmp_path).names) == 4
    (tmp_path / "images/0.jpg").unlink()
    refuses(tmp_path, "must be a whole zip file")


def test_files_are_found_by_the_end_of_their_path(tmp_path):
    for name in ("a/1.jpg", "b/1.jpg", "b/2.jpg", "train2017/3.jpg", "val2017/3.jpg", "x/train/4.jpg", "4.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    pictures = Pictures(list_contents(tmp_path))
    assert pictures.find(("a", "1.jpg"), "train").name == "a/1.jpg"
    assert pictures.find(("2.jpg",), "train").name == "b/2.jpg"
    assert pictures.find(("3.jpg",), "val").name == "val2017/3.jpg"
    assert pictures.find(("4.jpg",), "train").name == "4.jpg"
    with pytest.raises(ValueError, match=r"2 times: a/1\.jpg, b/1\.jpg"):
        pictures.find(("1.jpg",), "train")
    for absent in (("c", "1.jpg"), ("5.jpg",)):
        with pytest.raises(ValueError, match="no file of that name"):
            pictures.find(absent, "train")


def test_names_match_in_either_form_of_unicode(tmp_path):
    (tmp_path / "cafe\u0301.jpg").touch()
    assert Pictures(list_contents(tmp_path)).find(("caf\u00e9.jpg",), "train").place.exists()


def test_names_in_archives_may_be_utf_8_that_nobody_says_is(tmp_path):
    """As macOS packs them, in the decomposed form; and as it should be."""
    for umlaut in ("\u0308", "\u00fc"):
        raw = f"Bild u{umlaut}.jpg".encode()
        stand_in = raw.decode("ascii", "replace").replace("\ufffd", "_")
        pack(tmp_path / "images.zip", {f"Zellen/{stand_in}": picture(0)})
        content = (tmp_path / "images.zip").read_bytes().replace(stand_in.encode(), raw)
        (tmp_path / "images.zip").write_bytes(content)
        found = Pictures(list_contents(tmp_path)).find((raw.decode(),), "train")
        with Archives() as archives:
            assert archives.read(found.place) == picture(0)
    pack(tmp_path / "images.zip", {"Zellen/K\u00e4se.jpg": picture(0)})
    assert Pictures(list_contents(tmp_path)).find(("K\u00e4se.jpg",), "train").name == "images.zip/Zellen/K\u00e4se.jpg"


def test_an_archive_gives_what_it_holds_and_says_why_it_does_not(tmp_path):
    file = tmp_path / "images.zip"
    contents = [bytes([65 + i]) * 100 for i in range(3)]
    pack(file, {f"{i}.jpg": content for i, content in enumerate(contents)})
    entries = list_archive(file)
    spoilt = file.read_bytes().replace(b"B" * 100, b"X" * 100)
    file.write_bytes(spoilt)
    first, second, third = stream_places(entries)
    assert (first, third) == (contents[0], contents[2])
    assert isinstance(second, ValueError)
    assert "images.zip does not give it: Bad CRC-32" in str(second)


def test_an_entry_that_is_not_there_is_said(tmp_path):
    pack(tmp_path / "images.zip", {"1.jpg": b"x"})
    with Archives() as archives, pytest.raises(ValueError, match="does not give it"):
        archives.read(Entry(tmp_path / "images.zip", "2.jpg", 1, 0))
    with Archives() as archives, pytest.raises(ValueError, match="does not give it"):
        archives.read(Entry(tmp_path / "gone.zip", "2.jpg", 1, 0))


def test_bombs_are_not_unpacked(tmp_path, monkeypatch):
    pack(tmp_path / "images.zip", {"1.jpg": bytes(10**6)}, zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(box_files, "RATIO_FROM", 10**5)
    with Archives() as archives, pytest.raises(ValueError, match="bytes unpack to 1000000, which no picture's do"):
        archives.read(list_archive(tmp_path / "images.zip")[0])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with Archives() as archives, pytest.raises(ValueError, match="larger than any image of 1000 pixels"):
        archives.read(list_archive(tmp_path / "images.zip")[0])


def test_an_entry_that_lies_about_its_size_is_cut_off(tmp_path):
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("1.jpg", bytes(10**6))
    (tmp_path / "images.zip").write_bytes(buffer.getvalue().replace((10**6).to_bytes(4, "little"), bytes([9, 0, 0, 0])))
    (found,) = stream_places(list_archive(tmp_path / "images.zip"))
    assert isinstance(found, ValueError)


def test_encrypted_entries_are_named(tmp_path):
    write_coco(tmp_path, document(2), images="set")
    pack(tmp_path / "images.zip", {"1.jpg": picture(1)})
    packed = bytearray((tmp_path / "images.zip").read_bytes())
    packed[packed.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "images.zip").write_bytes(packed)
    (tmp_path / "set/1.jpg").unlink()
    refuses(tmp_path, r"images\.zip/1\.jpg: it is encrypted")


def test_what_the_machine_refuses_is_no_fault_of_an_entry(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(24, "Too many open files")

    pack(tmp_path / "images.zip", {"1.jpg": b"x"})
    entries = list_archive(tmp_path / "images.zip")
    monkeypatch.setattr(box_files, "ZipFile", refuse)
    with pytest.raises(MachineError, match=r"1\.jpg of .*images\.zip cannot be read: Too many open files"):
        list(stream_places(entries))


@pytest.mark.parametrize(("name", "parts"), [("a/b.jpg", ("a", "b.jpg")), ("./a//b", ("a", "b")), ("..a", ("..a",))])
def test_paths_are_taken_apart(name, parts):
    assert inner_parts(name) == parts
