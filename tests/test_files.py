"""Files that are written whole or not at all."""

import errno
import os
import stat
import subprocess
import sys

import pytest

from paretonas.errors import MachineError
from paretonas.files import (
    open_regular,
    refusal,
    refusals,
    rename_folder,
    scratch_folder,
    sweep,
    write_text,
    written_aside,
)


def test_file_is_replaced_whole(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("before")
    with written_aside(path) as draft:
        draft.write_text("after")
        assert path.read_text() == "before"
        assert draft.parent == tmp_path
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


def test_error_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "trial-0.onnx"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError), written_aside(path) as draft:
        draft.write_text(f"half {1 / 0}")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_mode_is_what_umask_says(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        with written_aside(tmp_path / "a") as draft:
            draft.touch(0o600)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode


def test_folder_is_refused(tmp_path):
    with pytest.raises(MachineError, match=r"it is a folder\. Give the file a name"):
        write_text(tmp_path, "text")


def test_pipe_or_device_is_refused_and_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MachineError, match=r"pipe cannot be written: it is no regular file\. Give a file's name"):
        write_text(tmp_path / "pipe", "text")
    assert (tmp_path / "pipe").is_fifo()
    assert list(tmp_path.iterdir()) == [tmp_path / "pipe"]


def test_missing_folder_is_said(tmp_path):
    path = tmp_path / "nowhere" / "a.txt"
    with pytest.raises(MachineError, match=f"{path} cannot be written: No such file or directory"):
        write_text(path, "text")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="of Linux")
def test_full_disk_is_said_with_a_remedy():
    said = r"X cannot be written: No space left on device\. Free some space"
    with pytest.raises(MachineError, match=said), refusals("X cannot be written"), open("/dev/full", "w") as full:
        full.write("text")


def test_every_known_refusal_has_a_remedy():
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.EIO, errno.EACCES):
        assert refusal("X", OSError(number, os.strerror(number))).endswith(", then go on.")


def test_scratch_folder_goes_with_its_contents(tmp_path):
    with scratch_folder(tmp_path / "cache") as folder:
        (folder / "a").touch()
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_a_killed_process_left_is_swept_and_nothing_else(tmp_path):
    code = (
        "import os, pathlib, sys; from paretonas.files import scratch_folder, written_aside\n"
        "here = pathlib.Path(sys.argv[1])\n"
        "with scratch_folder(here / 'cache') as folder, written_aside(here / 'a.json') as draft:\n"
        "    draft.touch(); (folder / 'b').touch(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    (tmp_path / "mine.part").touch()
    with scratch_folder(tmp_path) as own:
        assert sweep(tmp_path) == 2
        assert own.exists()
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["cache", "mine.part"]


def test_sweep_of_what_is_not_there(tmp_path):
    assert sweep(tmp_path / "nowhere") == 0


def test_only_regular_files_are_opened_and_a_pipe_does_not_block(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    with open_regular(tmp_path / "link") as file:
        assert file.read() == b"content"
    for name in ("pipe", "device", "."):
        with pytest.raises(ValueError, match="no regular file"):
            open_regular(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "absent")


def test_folder_gets_its_name_only_where_no_other_has_it(tmp_path):
    for name in ("draft", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    rename_folder(tmp_path / "draft", tmp_path / "folder")
    assert (tmp_path / "folder" / "file").read_text() == "draft"
    with pytest.raises(OSError, match="not empty"):
        rename_folder(tmp_path / "other", tmp_path / "folder")
    assert (tmp_path / "folder" / "file").read_text() == "draft"
