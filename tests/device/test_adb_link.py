"""The connection: what adb says of phones that are not there, and files on their way."""

import subprocess

import pytest
from fake_adb import FakePhones

from paretonas.device.transport import adb_link
from paretonas.device.transport.adb_link import Adb, LostError, quoted
from paretonas.device.transport.adb_phone import Phone, Settings
from paretonas.errors import MachineError, MeasureError
from paretonas.files import is_refusal


@pytest.fixture
def phones(tmp_path, monkeypatch):
    monkeypatch.setattr(adb_link, "BACK_WITHIN", 0.3)
    return FakePhones(tmp_path)


def link(phones, serial="PHONE1", retries=0):
    return Adb(str(phones.command), serial, retries)


def phone(phones, folder, retries=0):
    return Phone(link(phones, retries=retries), Settings("", "", "", str(folder), "", 60.0, 0.0, 1.0, 30.0))


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ({}, "No phone is attached, but PHONE1 is asked for.*USB debugging"),
        ({"OTHER": "device", "THIRD": "device"}, "PHONE1 is not attached, but OTHER, THIRD"),
        ({"PHONE1": "unauthorized"}, "PHONE1 is unauthorized.*allow USB debugging"),
        ({"PHONE1": "offline"}, "PHONE1 is offline.*adb kill-server"),
        ({"PHONE1": "no permissions (user in plugdev group; are your udev rules wrong?)"}, "permissions.*udev rules"),
        ({"PHONE1": "recovery"}, "PHONE1 is recovery.*start as usual"),
        ({"PHONE1": "strange"}, "PHONE1 is strange.*Look at its screen"),
    ],
)
def test_a_phone_that_cannot_be_used_says_what_helps(phones, states, said):
    phones.write(states=states)
    with pytest.raises(MachineError, match=said) as raised:
        link(phones).steadily(lambda: link(phones).shell("true"))
    assert "phones.md" in str(raised.value)
    assert is_refusal(raised.value)


def test_a_phone_on_the_network_is_connected_anew(phones):
    serial = "192.168.1.5:5555"
    phones.write(states={}, back={serial: "device"})
    there = link(phones, serial, retries=1)
    assert there.steadily(lambda: there.shell("echo here")).text == "here\n"
    assert phones.calls("connect") == [["connect", serial]]


@pytest.mark.parametrize("old", [False, True], ids=["new", "old"])
def test_a_shell_gives_text_and_code_of_old_phones_too(phones, old):
    phones.write(states={"PHONE1": "device"}, old=old)
    ran = link(phones).shell("echo one; echo two >&2; (exit 7)")
    assert (ran.code, ran.text.startswith("one\n")) == (7, True)
    assert "two" in ran.text + ran.errors


def test_nothing_of_a_users_or_a_phones_is_read_as_syntax(phones, tmp_path):
    name = "a b'; touch hacked; $(touch hacked) `touch hacked` *"
    (tmp_path / "file").write_text("contents")
    folder = tmp_path / name
    (pushed,) = phone(phones, folder).push([tmp_path / "file"])
    assert (folder / pushed).read_text() == "contents"
    assert not list(tmp_path.glob("**/hacked"))
    assert link(phones).shell(quoted(["echo", name])).text == f"{name}\n"


def test_a_command_that_hangs_is_given_up(phones):
    phones.write(states={"PHONE1": "device"}, faults={"hang": 1})
    with pytest.raises(MeasureError, match=r"answers within 0\.3 s, but did not"):
        link(phones).shell("true", seconds=0.3)


def test_a_hanging_adb_server_is_not_waited_for(phones, monkeypatch):
    def hang(*_, **given):
        raise subprocess.TimeoutExpired("adb", given["timeout"])

    monkeypatch.setattr(adb_link.subprocess, "run", hang)
    with pytest.raises(MachineError, match="No phone is attached"):
        link(phones).shell("true")


@pytest.mark.parametrize("old", [False, True], ids=["new", "old"])
def test_a_file_is_pushed_once_by_its_contents(phones, tmp_path, old):
    phones.write(states={"PHONE1": "device"}, old=old)
    for name in ("one.onnx", "same.onnx", "other.so.1.2-3"):
        (tmp_path / name).write_text(name if name != "same.onnx" else "one.onnx")
    there = phone(phones, tmp_path / "there")
    paths = [tmp_path / name for name in ("one.onnx", "same.onnx", "other.so.1.2-3")]
    one, same, other = there.push(paths)
    assert one == same != other
    assert (len(one), len(other)) == (64 + len(".onnx"), 64)
    assert there.push(paths) == [one, same, other]
    assert len(phones.calls("push")) == 2
    assert {path.name for path in (tmp_path / "there").iterdir()} == {one, other}
    (tmp_path / "one.onnx").write_text("changed")
    assert there.push(paths)[0] != one


@pytest.mark.parametrize("old", [False, True], ids=["new", "old"])
def test_a_file_that_arrives_damaged_is_pushed_again(phones, tmp_path, old):
    (tmp_path / "file").write_text("contents")
    there = phone(phones, tmp_path / "there")
    phones.write(states={"PHONE1": "device"}, old=old, faults={"cut": 1})
    with pytest.raises(LostError, match="did not arrive whole"):
        there.push([tmp_path / "file"])
    assert list((tmp_path / "there").iterdir()) == []
    phones.write(states={"PHONE1": "device"}, old=old, faults={"cut": 1})
    (name,) = link(phones, retries=1).steadily(lambda: there.push([tmp_path / "file"]))
    assert (tmp_path / "there" / name).read_text() == "contents"


def test_a_full_phone_ends_the_session_and_keeps_nothing_half(phones, tmp_path):
    phones.write(states={"PHONE1": "device"}, faults={"full": 1})
    (tmp_path / "file").write_text("contents")
    with pytest.raises(MachineError, match=r"No space left on device\. Free some space on the phone"):
        phone(phones, tmp_path / "there").push([tmp_path / "file"])
    assert list((tmp_path / "there").iterdir()) == []


def test_a_folder_that_cannot_be_is_said(phones, tmp_path):
    (tmp_path / "file").write_text("contents")
    with pytest.raises(MachineError, match=r"has no folder .*Give another folder=PATH"):
        phone(phones, tmp_path / "file" / "within").push([tmp_path / "file"])


def test_a_file_that_does_not_come_back_whole_is_lost(phones, tmp_path):
    (tmp_path / "there").write_text("contents")
    link(phones).pull(str(tmp_path / "there"), tmp_path / "here", 8, 5.0)
    assert (tmp_path / "here").read_text() == "contents"
    with pytest.raises(LostError):
        link(phones).pull(str(tmp_path / "there"), tmp_path / "here", 9, 5.0)
    with pytest.raises(LostError, match="No such file"):
        link(phones).pull(str(tmp_path / "nowhere"), tmp_path / "new", 8, 5.0)
