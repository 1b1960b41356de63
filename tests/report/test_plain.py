import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretonas.report.plain import shown, shown_lines


@pytest.mark.parametrize(
    ("text", "as_shown"),
    [
        ("out [v2]/äöü 猫.png", "out [v2]/äöü 猫.png"),
        ("a\tb\r\n", "a\\tb\\r\\n"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("gnp\u202egpj", "gnp\\u202egpj"),
        ("\u2028\x85", "\\u2028\\x85"),
        ("caf\udce9", "caf\\udce9"),  # a name of a file that is no UTF-8
        ("👩\u200d🔬", "👩\u200d🔬"),
    ],
)
def test_what_is_not_seen_is_an_escape(text, as_shown):
    assert shown(text) == as_shown


@given(st.text(st.characters()))
def test_whatever_is_shown_can_be_written_and_is_one_line(text):
    assert len(shown(text).splitlines()) <= 1
    shown(text).encode()


def test_lines_of_a_traceback_stay_lines():
    assert shown_lines("a\n  b\x1b\n") == ["a", "  b\\x1b"]
