"""Runs the checks one after another and prints seconds for each."""

import argparse
import concurrent.futures
import functools
import os
import pathlib
import subprocess
import sys
import time

from tfcheck import configurations, docs, inventory, passed, pipelines, policy, providers, style, tags
from tfcheck.common import CHECK, CheckFailed


def say(text: str) -> None:
    """One line, at once."""
    print(f"    {text}", flush=True)


def own_tests() -> None:
    """The tests of this program, among them names planted wrongly."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(CHECK / "tests")]
    done = subprocess.run(command, cwd=CHECK, capture_output=True, text=True, check=False, timeout=280)
    if done.returncode:
        raise CheckFailed(done.stdout + done.stderr)
    say(done.stdout.strip().splitlines()[-1])


def at_once(jobs: list) -> None:
    """Runs all, side by side: most of their time is waiting for a registry or one core."""
    with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
        for done in [pool.submit(job) for job in jobs]:
            done.result()


def tools() -> None:
    """Whatever is downloaded or built once."""
    packages = [functools.partial(providers.unpacked, name, pin) for name, pin in providers.pins().items()]
    at_once([policy.checkov, pipelines.actionlint, providers.schema_provider, *packages])


class Checks:
    """The steps by name, in order; later ones use what earlier ones found."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        # The inventories that each example put out.
        self.examples: dict[str, list[dict]] | None = None
        self.steps = {
            "tools": tools,
            "fmt": configurations.fmt,
            "style": style.check,
            "docs": lambda: docs.check(arguments.write),
            "tags": lambda: tags.check(say),
            "schemas": lambda: say(str(providers.prepared())),
            "test": self.test,
            "inventory": self.inventory,
            "policy": policy.check,
            "pipelines": lambda: pipelines.check(say),
            "self": own_tests,
        }

    def test(self) -> None:
        """validate and test over all directories."""
        examples = configurations.check_all(self.arguments.jobs, say)
        self.examples = {name: inventory.inventories(events) for name, events in examples.items()}

    def inventory(self) -> None:
        """What the examples' mocked runs put out."""
        if self.examples is None:
            self.test()
        inventory.check(self.examples, self.arguments.mcdeploy, say)

    def run(self, names: list[str]) -> list[str]:
        """Runs the named steps; answers those that failed."""
        failed = []
        for name in names:
            start = time.monotonic()
            print(f"terraform check: {name}", flush=True)
            try:
                self.steps[name]()
            except CheckFailed as error:
                failed.append(name)
                print(f"{error}\nterraform check: {name}: FAILED", file=sys.stderr, flush=True)
            say(f"{time.monotonic() - start:.1f} s")
        return failed


def whole(checks: Checks) -> list[str]:
    """All steps, or, where these inputs passed before, those that are about other things too."""
    key = passed.key()
    checks.examples = None if checks.arguments.anew else passed.recall(key)
    if checks.examples is not None:
        print(f"terraform check: these inputs passed before ({passed.place(key)}); --anew runs them again", flush=True)
        return checks.run(["inventory"])
    failed = checks.run(list(checks.steps))
    if not failed:
        passed.keep(key, checks.examples)
    return failed


def main() -> int:
    """Exit code 0 when everything passed, 1 when something was found."""
    parser = argparse.ArgumentParser(prog="terraform/check/run.py", description=__doc__)
    parser.add_argument("steps", nargs="*", metavar="STEP", help="tools, fmt, style, docs, tags, schemas, test, inventory, policy, pipelines, self; default all")
    parser.add_argument("--jobs", type=int, default=min(os.cpu_count() or 1, 4), help="directories tested at once")
    parser.add_argument("--mcdeploy", type=pathlib.Path, help="program that must take the examples' inventories (clusters add -f - --dry-run)")
    parser.add_argument("--anew", action="store_true", help="run also what passed before with exactly these files and versions")
    parser.add_argument("--write", action="store_true", help="with docs: write the READMEs instead of comparing them")
    arguments = parser.parse_args()
    if arguments.mcdeploy and not arguments.mcdeploy.exists():
        parser.error(f"--mcdeploy: {arguments.mcdeploy}: no such file")
    checks = Checks(arguments)
    unknown = [name for name in arguments.steps if name not in checks.steps]
    if unknown:
        parser.error(f"unknown step {unknown[0]}: expected one of {', '.join(checks.steps)}")
    start = time.monotonic()
    failed = checks.run(arguments.steps) if arguments.steps else whole(checks)
    print(f"terraform check: {time.monotonic() - start:.1f} s in all" + (f", failed: {', '.join(failed)}" if failed else ""), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
