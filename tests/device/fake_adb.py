"""A command line that behaves as `adb` does, with this machine in place of phones: `python fake_adb.py FOLDER ...`.

What it prints and returns was taken from adb 29 and the daemon of Android 11, and, where `old` is set, from phones
before Android 7: return codes are 0, both outputs are one, lines end as terminals end them, and there is no sha256sum.
`FOLDER/state` says which phones there are and what goes wrong; see `FakePhones`.
"""

import os
import sys
import time

OLD_SHELL = "sha256sum() { echo 'sha256sum: not found'; return 127; }; "


class FakePhones:
    """Phones of a folder, and the command that reaches them.

    `states` are those of phones by their serials, `back` what a phone becomes when it is connected anew. `faults` count
    down: `lose` cuts what a shell prints in the middle and leaves the phone offline, `garbage` prints something else,
    `hang` never ends, `full` is a full disk, `cut` leaves half of a pushed file. `only` is what a shell's command has
    in it to be lost or garbled.
    """

    def __init__(self, folder):
        self.folder = folder
        self.write(states={"PHONE1": "device"})
        self.command = folder / "adb"
        self.command.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {__file__} {folder} "$@"\n')
        self.command.chmod(0o755)

    def write(self, **state):
        (self.folder / "state").write_text(repr({"calls": [], **state}))

    def calls(self, first):
        """Those of that command, without the serial."""
        return [call for call in eval((self.folder / "state").read_text())["calls"] if call[0] == first]


def main(folder, words):
    """Modules are imported where they are needed alone: a test calls this a hundred times."""
    path = f"{folder}/state"
    with open(path) as file:
        state = {"states": {}, "back": {}, "faults": {}, "old": False, "only": "", **eval(file.read())}
    serial = None
    if words[:1] == ["-s"]:
        serial, words = words[1], words[2:]
    state["calls"].append(words)
    do = command(state, serial, words)
    with open(path, "w") as file:
        file.write(repr(state))
    sys.stdout.flush()
    return do()


def said(text="", error="", code=0):
    """What prints that later, and its return code."""

    def do():
        sys.stdout.write(text)
        sys.stderr.write(error)
        return code

    return do


def command(state, serial, words):
    states, name = state["states"], words[0]
    if name == "devices":
        rest = "usb:1-1 product:fake model:Fake device:fake transport_id:1"
        return said("List of devices attached\n" + "".join(f"{k:<22} {v} {rest}\n" for k, v in states.items()) + "\n")
    if name in ("connect", "disconnect", "reconnect"):
        one = serial or words[1]
        states.update({one: state["back"][one]} if name != "disconnect" and one in state["back"] else {})
        return said(f"already connected to {one}\n" if name == "connect" else "done\n")
    if states.get(serial) != "device":
        what = f"device {states[serial]}." if serial in states else f"device '{serial}' not found"
        return said(error=f"error: {what}\n" if name == "shell" else f"adb: error: {what}\n", code=1)
    return {"shell": shell, "push": push, "pull": pull}[name](state, serial, words[1:])


def is_due(state, fault):
    """Whether a fault is to happen now, once less."""
    left = state["faults"].get(fault, 0)
    state["faults"][fault] = max(0, left - 1)
    return left > 0


def shell(state, serial, words):
    if state["old"] and words[0].startswith("-"):
        return said(error="error: target doesn't support PTY args -Tt\n", code=1)
    line = " ".join(words)
    if state["only"] in line:
        if is_due(state, "hang"):
            time.sleep(60)
        if is_due(state, "lose"):
            state["states"][serial] = "offline"
            out = output_of(line)
            return said(out[: len(out) // 2])
        if is_due(state, "garbage"):
            out = output_of(line)
            return said("\x00{not json}\nparetonas-end 10\n" + out[out.rfind("paretonas-done") :])
    if state["old"]:
        line = f"{{ {OLD_SHELL} {line}; }} 2>&1 | sed 's/$/\r/'"
    return lambda: os.execv("/bin/sh", ["sh", "-c", line])


def output_of(line):
    import subprocess

    return subprocess.run(["/bin/sh", "-c", line], stdout=subprocess.PIPE, text=True).stdout


def push(state, serial, words):
    import shutil

    source, to = words
    shutil.copyfile(source, to)
    is_full = is_due(state, "full")
    if is_full or is_due(state, "cut"):
        os.truncate(to, os.path.getsize(to) // 2)
    if is_full:
        return said(error=f"adb: error: failed to copy '{source}' to '{to}': remote No space left on device\n", code=1)
    return said(f"{source}: 1 file pushed, 0 skipped.\n")


def pull(state, serial, words):
    import shutil

    source, to = words
    if not os.path.exists(source):
        text = f"adb: error: failed to stat remote object '{source}': No such file or directory\n"
        return said(error=text, code=1)
    shutil.copyfile(source, to)
    return said(f"{source}: 1 file pulled, 0 skipped.\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
