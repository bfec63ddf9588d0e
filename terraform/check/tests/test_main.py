"""Two runs do not disturb each other, and what is installed is installed side by side."""

import subprocess
import sys
import threading

from tfcheck import __main__ as main
from tfcheck.common import CHECK


def test_a_second_run_waits_for_the_first(tmp_path):
    code = f"import sys, pathlib; sys.path.insert(0, {str(CHECK)!r}); import run; run.alone(pathlib.Path({str(tmp_path)!r})); print('in', flush=True)"
    held = f"{code}; import os; os.execvp('sleep', ['sleep', '60'])"
    with subprocess.Popen([sys.executable, "-c", held], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "in\n"
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as second:
            assert "waiting for another run" in second.stderr.readline()
            assert second.poll() is None
            first.kill()
            assert second.stdout.readline() == "in\n"


def test_tools_are_installed_side_by_side():
    together = threading.Barrier(3, timeout=10)
    main.at_once([together.wait] * 3)
