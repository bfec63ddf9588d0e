"""What passed before with exactly these inputs need not run again.

The key is of everything that the checks read: the files below `terraform/`, `deploy/ci/`, the
inventory's schema, and the versions of Terraform and Python. What is kept is what later steps
need: the inventories of the examples, which the CLI of today still has to take.
"""

import hashlib
import json
import os
import pathlib
import platform

from tfcheck.common import INVENTORY_SCHEMA, PIPELINES, TERRAFORM, cache_dir, run

# Written by programs, not by people.
NOT_INPUTS = {".terraform", ".pytest_cache", "__pycache__"}
# Results that are kept, the newest ones.
KEPT = 4


def inputs(roots: list[pathlib.Path]) -> list[pathlib.Path]:
    """Every file below the roots, sorted."""
    found = []
    for root in roots:
        if root.is_file():
            found.append(root)
        for directory, names, files in os.walk(root):
            names[:] = [name for name in names if name not in NOT_INPUTS]
            found.extend(pathlib.Path(directory) / file for file in files)
    return sorted(found)


def key_of(roots: list[pathlib.Path], versions: str) -> str:
    """A name for the content of the roots, whatever directory they are in."""
    base = pathlib.Path(os.path.commonpath(roots))
    digest = hashlib.sha256(versions.encode())
    for file in inputs(roots):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"\n{content} {file.relative_to(base)}".encode())
    return digest.hexdigest()[:32]


def key() -> str:
    """The key of this tree, on this machine."""
    terraform = json.loads(run(["terraform", "version", "-json"]).stdout)
    versions = f"{terraform['terraform_version']} {terraform['platform']} {platform.python_version()}"
    return key_of([TERRAFORM, PIPELINES, INVENTORY_SCHEMA], versions)


def place(name: str) -> pathlib.Path:
    """Where the result of a key is."""
    return cache_dir() / "passed" / f"{name}.json"


def recall(name: str) -> dict[str, list[dict]] | None:
    """The examples' inventories of a run that passed; one that cannot be read is none."""
    try:
        return json.loads(place(name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def keep(name: str, inventories: dict[str, list[dict]]) -> None:
    """Keeps the result of a whole run, and drops the oldest."""
    file = place(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_suffix(".half")
    half.write_text(json.dumps(inventories), encoding="utf-8")
    half.replace(file)
    by_age = sorted(file.parent.glob("*.json"), key=lambda kept: kept.stat().st_mtime, reverse=True)
    for old in by_age[KEPT:]:
        old.unlink()
