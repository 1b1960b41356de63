"""XML that comes from elsewhere: read without entities, which can fill the memory or reach for other files."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from paretonas.files import is_refusal, open_regular


def read_xml(file: Path) -> Element:
    """The root of an XML file.

    Raises:
        OSError: The machine refuses to read it.
        ValueError: It cannot be read, is no whole XML, or declares entities.
    """
    try:
        with open_regular(file) as opened:
            return parse_xml(opened.read())
    except OSError as error:
        if is_refusal(error):
            raise
        raise ValueError(error.strerror or str(error)) from error


def parse_xml(content: bytes) -> Element:
    """The root of an XML document.

    Raises:
        ValueError: It is not whole, or declares entities.

    >>> parse_xml(b"<annotation><size/></annotation>").tag
    'annotation'
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = parser.ExternalEntityRefHandler = parser.SkippedEntityHandler = _refuse_entity
    try:
        parser.Parse(content, True)
        return builder.close()
    except (expat.ExpatError, LookupError, AssertionError) as error:  # the second: an encoding that nobody knows
        raise ValueError(f"it must be whole XML, but is not: {error}") from error


def _refuse_entity(name: object, *_: object) -> NoReturn:
    raise ValueError(f"its XML must have no entities of its own, but has {name!r}")
