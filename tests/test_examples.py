import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
RUN = """
import runpy, sys
from paretonas.evaluation import latencies
for protocol in (latencies.QUICK, latencies.RECORD):  # nobody asks how good a time is
    object.__setattr__(protocol, "attempts", 1)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_example_is_short_and_runs(path, tmp_path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 60
    ran = subprocess.run(
        [sys.executable, "-c", RUN, path], cwd=tmp_path, env=ONE_THREAD, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"[\d,]+ MACs +\d+\.\d+ ms", ran.stdout)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.sh")), ids=lambda path: path.stem)
def test_script_parses(path):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    checked = subprocess.run([bash, "-n", path], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
