"""checkov over modules and examples: no finding at all, and every skip with its reason beside it.

Without an account checkov knows no severities, so every finding counts as a high one.
"""

import concurrent.futures
import hashlib
import json
import pathlib
import re
import sys

from tfcheck.common import CHECK, CheckFailed, EXAMPLES, MODULES, TERRAFORM, cache_dir, run

DIRECTORIES = [MODULES, EXAMPLES]

SKIP = re.compile(r"#\s*checkov:skip=(?P<id>[A-Z0-9_]+)(?::(?P<reason>.*))?")


def checkov() -> pathlib.Path:
    """The program, in an environment of its own: its parser shares a name with ours."""
    requirements = CHECK / "requirements-checkov.txt"
    key = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:16]
    venv = cache_dir() / f"checkov-{key}"
    if not (venv / "complete").exists():
        run([sys.executable, "-m", "venv", "--clear", venv], timeout=120)
        pip = [venv / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*pip, "-r", requirements], timeout=900)
        (venv / "complete").touch()
    return venv / "bin" / "checkov"


def declared_skips() -> dict[tuple[str, str], str]:
    """(file, check) > reason, of every skip written down."""
    found = {}
    for directory in DIRECTORIES:
        for file in sorted(directory.rglob("*.tf")):
            for match in map(SKIP.search, file.read_text(encoding="utf-8").splitlines()):
                if match:
                    key = ("/" + str(file.relative_to(directory)), match["id"])
                    found[key] = (match["reason"] or "").strip()
    return found


def judge(reports: list[dict], declared: dict[tuple[str, str], str]) -> list[str]:
    """Findings of checkov's reports and of the skips."""
    findings, used = [], set()
    for report in reports:
        results = report["results"]
        findings += [f"{file}: checkov cannot read it" for file in results.get("parsing_errors", [])]
        findings += [
            f"{one['file_path']}:{one['file_line_range'][0]}: {one['resource']}: {one['check_id']}: {one['check_name']}"
            for one in results["failed_checks"]
        ]
        used.update((one["file_path"], one["check_id"]) for one in results["skipped_checks"])
    for key, reason in declared.items():
        if len(reason) < 15:
            findings.append(f"{key[0]}: skip of {key[1]}: has no reason beside it")
        if key not in used:
            findings.append(f"{key[0]}: skip of {key[1]}: skips nothing")
    return findings


def report(directory: pathlib.Path) -> dict:
    """What checkov says of one directory: given two at once it judges the first one twice."""
    done = run(
        [checkov(), "--directory", directory, "--framework", "terraform", "--compact",
         "--output", "json", "--download-external-modules", "false", "--skip-download"],
        cwd=TERRAFORM, timeout=280, ok=(0, 1),
    )
    try:
        found = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise CheckFailed(f"checkov did not answer JSON: {error}\n{done.stderr}") from error
    if not found["summary"]["resource_count"]:
        raise CheckFailed(f"{directory}: checkov found no resources: is the path right?")
    return found


def reports() -> list[dict]:
    """What checkov says of modules and examples, side by side."""
    checkov()  # installed by one, not by both
    with concurrent.futures.ThreadPoolExecutor(len(DIRECTORIES)) as pool:
        return list(pool.map(report, DIRECTORIES))


def check() -> None:
    """Runs checkov and judges."""
    findings = judge(reports(), declared_skips())
    if findings:
        raise CheckFailed("\n".join(findings))
