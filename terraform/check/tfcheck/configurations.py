"""`terraform fmt`, `validate` and `test` over copies of modules and examples.

Copies, so that no `.terraform` and no lock file with checksums of stand-ins is left in
the repository.
"""

import concurrent.futures
import json
import os
import pathlib
import shutil

from tfcheck import providers
from tfcheck.common import CheckFailed, TERRAFORM, cache_dir, examples, modules, run


def fmt() -> None:
    """Formatting, as Terraform has it."""
    done = run(["terraform", "fmt", "-check", "-diff", "-recursive", TERRAFORM], env=environment(None), ok=(0, 3))
    if done.returncode:
        raise CheckFailed(f"run `terraform fmt -recursive terraform`:\n{done.stdout}")


def environment(config: pathlib.Path | None) -> dict[str, str]:
    """Settings for Terraform: our providers, no questions, no colours, no call home."""
    return {
        "TF_CLI_CONFIG_FILE": str(config) if config else os.devnull,
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "CHECKPOINT_DISABLE": "1",
        "TF_CLI_ARGS": "-no-color",
        # Nothing here may find real credentials by chance.
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def copied() -> pathlib.Path:
    """A fresh copy of modules and examples."""
    target = cache_dir() / "work"
    shutil.rmtree(target, ignore_errors=True)
    ignored = shutil.ignore_patterns(".terraform", ".terraform.lock.hcl", "*.tfstate*")
    for name in ("modules", "examples"):
        shutil.copytree(TERRAFORM / name, target / name, ignore=ignored)
    return target


def init(path: pathlib.Path, config: pathlib.Path) -> None:
    """Providers and submodules, without the backend."""
    run(["terraform", "init", "-backend=false", "-input=false"], cwd=path, env=environment(config), timeout=180)


def validate(path: pathlib.Path, config: pathlib.Path) -> list[dict]:
    """Errors that `terraform validate` finds."""
    done = run(["terraform", "validate", "-json"], cwd=path, env=environment(config), timeout=180, ok=(0, 1))
    report = json.loads(done.stdout)
    return [one for one in report["diagnostics"] if one["severity"] == "error"]


def test(path: pathlib.Path, config: pathlib.Path, verbose: bool = False) -> list[dict]:
    """Events of `terraform test`; with `verbose` the final states are among them."""
    command = ["terraform", "test", "-json"] + (["-verbose"] if verbose else [])
    done = run(command, cwd=path, env=environment(config), timeout=280, ok=(0, 1))
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode:
        raise CheckFailed(f"{path.name}: terraform test failed\n" + "\n".join(failures(events)))
    return events


def failures(events: list[dict]) -> list[str]:
    """What went wrong, in Terraform's words."""
    found = []
    for event in events:
        diagnostic = event.get("diagnostic")
        if diagnostic and diagnostic["severity"] == "error":
            where = diagnostic.get("range", {})
            line = where.get("start", {}).get("line", "?")
            found.append(f"  {where.get('filename', '?')}:{line}: {diagnostic['summary']}: {diagnostic['detail']}")
    return found


def check_one(path: pathlib.Path, config: pathlib.Path) -> tuple[str, int, list[dict]]:
    """Validates and tests one directory: its name, how many runs passed, the events."""
    name = "/".join(path.parts[path.parts.index("work") + 1 :])
    try:
        init(path, config)
        errors = validate(path, config)
        if errors:
            text = "\n".join(f"  {one.get('range', {}).get('filename', '?')}:{one.get('range', {}).get('start', {}).get('line', '?')}: {one['summary']}: {one['detail']}" for one in errors)
            raise CheckFailed(f"terraform validate found\n{text}")
        events = test(path, config, verbose="examples" in path.parts)
    except CheckFailed as error:
        raise CheckFailed(f"{name}: {error}") from None
    summary = next(event["test_summary"] for event in events if event["type"] == "test_summary")
    if summary["passed"] == 0:
        raise CheckFailed(f"{name}: no test ran")
    return name, summary["passed"], events


def check_all(jobs: int, report) -> dict[str, list[dict]]:
    """Every module and example; answers the events of examples by their names."""
    config = providers.prepared()
    work = copied()
    paths = [work / path.relative_to(TERRAFORM) for path in modules() + examples()]
    # The AWS provider takes longest to start: its directories go first.
    paths.sort(key=lambda path: ("aws" not in path.parts and "three" not in path.name, str(path)))
    kept, broken = {}, []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for done in concurrent.futures.as_completed([pool.submit(check_one, path, config) for path in paths]):
            try:
                name, passed, events = done.result()
            except CheckFailed as error:
                broken.append(str(error))
                continue
            report(f"{name}: {passed} runs passed")
            if name.startswith("examples/"):
                kept[name] = events
    if broken:
        raise CheckFailed("\n".join(broken))
    return kept
