"""What is said on the standard error while something is quiet, in processes of their own."""

import subprocess
import sys

import pytest

BEGIN = """
import faulthandler, os, sys, threading
from paretonas.quiet import quiet
def say(text):
    os.write(2, text.encode())
"""
NOISE = "".join(
    f"{line}\n"
    for line in (
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
        "I0000 00:00:1796010176.061320   28391 flatbuffer_export.cc:4410] Estimated count of arithmetic ops: 0.016 M",
        "W1130 04:19:57.590000 9142 torch/utils/_pytree.py:630] <enum 'X'> is an Enum subclass",
        "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
        "[cpuinfo_utils.cpp:71] Reading file /sys/devices/soc0/image_version",
        "Applying Transformations to tensors:: 100%|██████████| 198/198 [00:00<00:00, 10022.11it/s]",
    )
)


def said(code, **options):
    """By a process; its return code too."""
    done = subprocess.run([sys.executable, "-c", BEGIN + code], capture_output=True, timeout=60, **options)
    return done.stderr.decode(), done.returncode


def test_noise_is_left_out_and_all_else_is_said():
    code = f"with quiet():\n say({NOISE!r} + 'E0000 00:00:1796 x.cc:1] broken\\n')\n print('own', file=sys.stderr)\n"
    assert said(code + "say('after')") == ("E0000 00:00:1796 x.cc:1] broken\nown\nafter", 0)


def test_bars_that_are_drawn_anew_are_noise():
    bars = "\rdone:  17%|█ | 1/6 [00:00<00:01, 3.2it/s]\rdone: 100%|██| 6/6 [00:01<00:00, 4it/s]\n"
    assert said(f"with quiet():\n say({bars!r})")[0].strip() == ""


def test_an_error_has_all_that_was_said_before_it():
    text, code = said(f"with quiet():\n say({NOISE!r})\n raise OSError('gone')")
    assert text.startswith(NOISE)
    assert text.endswith("OSError: gone\n")
    assert code == 1


def test_it_may_be_asked_for_within_itself_and_by_several_threads():
    code = """
def work():
    for _ in range(50):
        with quiet(), quiet():
            say("INFO: a\\n")
threads = [threading.Thread(target=work) for _ in range(4)]
[one.start() for one in threads]
[one.join() for one in threads]
say("heard")
"""
    assert said(code) == ("heard", 0)


def test_a_crash_is_told_by_the_fault_handler():
    text, code = said("faulthandler.enable(2)\nwith quiet():\n os.abort()")
    assert "Fatal Python error: Aborted" in text
    assert code < 0
    text, _ = said("faulthandler.enable(2)\nwith quiet():\n pass\nos.abort()")
    assert "Fatal Python error: Aborted" in text


@pytest.mark.parametrize(
    "closed", ["os.close(2)", "sys.stderr = None", "import tempfile; tempfile.tempdir = '/absent'"]
)
def test_where_nobody_hears_or_nothing_is_kept_it_does_nothing(closed):
    code = f"{closed}\nwith quiet():\n print('worked', flush=True)\n"
    done = subprocess.run([sys.executable, "-c", BEGIN + code], capture_output=True, timeout=60)
    assert (done.stdout, done.returncode) == (b"worked\n", 0)
