"""Paths, and running programs with a time limit."""

import os
import pathlib
import subprocess

CHECK = pathlib.Path(__file__).resolve().parent.parent
TERRAFORM = CHECK.parent
REPOSITORY = TERRAFORM.parent
MODULES = TERRAFORM / "modules"
EXAMPLES = TERRAFORM / "examples"
PIPELINES = REPOSITORY / "deploy" / "ci"
INVENTORY_SCHEMA = REPOSITORY / "docs" / "fleet-inventory.schema.json"


def cache_dir() -> pathlib.Path:
    """Where tools, schemas and copies of the modules are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    path = pathlib.Path(base) / "mcdeploy" / "terraform"
    path.mkdir(parents=True, exist_ok=True)
    return path


class CheckFailed(Exception):
    """A finding, in words that name the file or the tool and what to do."""


def run(command, *, cwd=None, env=None, stdin=None, timeout=600, ok=(0,)):
    """Runs a program to its end; another exit code than `ok` is a finding."""
    command = [str(word) for word in command]
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=dict(os.environ, **(env or {})),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        raise CheckFailed(f"{command[0]}: is not installed or not on PATH") from None
    except subprocess.TimeoutExpired:
        raise CheckFailed(f"{' '.join(command)}: no end within {timeout} s") from None
    if ok is not None and done.returncode not in ok:
        where = f" in {cwd}" if cwd else ""
        raise CheckFailed(
            f"{' '.join(command)}{where}: exit code {done.returncode}\n{done.stdout}{done.stderr}".rstrip()
        )
    return done


def modules() -> list[pathlib.Path]:
    """Every module's directory, sorted."""
    return sorted({file.parent for file in MODULES.rglob("*.tf")})


def examples() -> list[pathlib.Path]:
    """Every example's directory, sorted."""
    return sorted({file.parent for file in EXAMPLES.rglob("*.tf")})
