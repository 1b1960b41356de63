import os

import pytest

from paretonas.data.box_xml import parse_xml, read_xml

BOMB = '<!DOCTYPE a [<!ENTITY b "x"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>'


def test_elements_are_read():
    root = parse_xml(b'<?xml version="1.0" encoding="latin-1"?><a><b>caf\xe9</b><b/></a>')
    assert (root.tag, [item.text for item in root]) == ("a", ["café", None])


@pytest.mark.parametrize(
    "document",
    [
        BOMB,
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        '<!DOCTYPE a [<!ENTITY % b SYSTEM "file:///etc/passwd"> %b;]><a/>',
        '<!DOCTYPE a [<!ENTITY b "never used">]><a/>',
        '<!DOCTYPE a SYSTEM "elsewhere.dtd"><a>&b;</a>',
    ],
)
def test_entities_are_refused(document):
    with pytest.raises(ValueError, match="no entities of its own"):
        parse_xml(document.encode())


def test_a_document_type_without_entities_is_harmless():
    assert parse_xml(b'<!DOCTYPE a SYSTEM "elsewhere.dtd"><a>&lt;</a>').text == "<"


def test_depth_is_no_danger():
    root = parse_xml(b"<a>" * 50_000 + b"</a>" * 50_000)
    assert root.tag == "a"


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.xml")
    with pytest.raises(ValueError, match="no regular file"):
        read_xml(tmp_path / "pipe.xml")
    with pytest.raises(ValueError, match="No such file"):
        read_xml(tmp_path / "nowhere.xml")
