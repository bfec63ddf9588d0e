#!/usr/bin/env python3
"""Checks everything below terraform/ and deploy/ci/: the entry point.

Needs only the standard library: it makes a virtual environment with the pinned
requirements in the user's cache, once, and goes on in there.

    python3 terraform/check/run.py [--help]
"""

import fcntl
import hashlib
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def cache_dir() -> pathlib.Path:
    """Where tools, schemas and environments are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "mcdeploy" / "terraform"


def alone(cache: pathlib.Path) -> int:
    """A lock on the cache, whose directories are emptied and filled again: kept until the process ends."""
    cache.mkdir(parents=True, exist_ok=True)
    lock = os.open(cache / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"terraform check: waiting for another run with {cache}", file=sys.stderr, flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    # The program that this one becomes goes on holding it; those that it starts do not get it.
    os.set_inheritable(lock, True)
    return lock


def environment() -> pathlib.Path:
    """The Python of a virtual environment that has exactly the pinned requirements."""
    requirements = HERE / "requirements.txt"
    key = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:16]
    venv = cache_dir() / f"venv-{key}"
    python = venv / "bin" / "python"
    if (venv / "complete").exists():
        return python
    print(f"terraform check: installing {requirements.name} into {venv}", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements)],
        check=True,
    )
    (venv / "complete").touch()
    return python


def main() -> int:
    """Goes on as the package tfcheck inside the environment."""
    alone(cache_dir())
    try:
        python = environment()
    except subprocess.CalledProcessError as error:
        print(f"terraform check: cannot make the Python environment: {error}", file=sys.stderr)
        return 1
    settings = dict(os.environ, PYTHONPATH=str(HERE), PYTHONDONTWRITEBYTECODE="1")
    os.execve(python, [str(python), "-m", "tfcheck", *sys.argv[1:]], settings)


if __name__ == "__main__":
    sys.exit(main())
