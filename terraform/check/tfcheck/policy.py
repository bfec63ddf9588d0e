"""checkov over the modules: no finding at all, and every skip with its reason beside it.

Without an account checkov knows no severities, so every finding counts as a high one.
"""

import hashlib
import json
import pathlib
import re
import sys

from tfcheck.common import CHECK, CheckFailed, MODULES, TERRAFORM, cache_dir, run

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
    for file in sorted(MODULES.rglob("*.tf")):
        for line in file.read_text(encoding="utf-8").splitlines():
            match = SKIP.search(line)
            if match:
                key = ("/" + str(file.relative_to(MODULES)), match["id"])
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


def check() -> None:
    """Runs checkov and judges."""
    done = run(
        [checkov(), "--directory", MODULES, "--framework", "terraform", "--compact",
         "--output", "json", "--download-external-modules", "false", "--skip-download"],
        cwd=TERRAFORM, timeout=280, ok=(0, 1),
    )
    try:
        report = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise CheckFailed(f"checkov did not answer JSON: {error}\n{done.stderr}") from error
    reports = report if isinstance(report, list) else [report]
    if not any(one["summary"]["resource_count"] for one in reports):
        raise CheckFailed("checkov found no resources: is the path right?")
    findings = judge(reports, declared_skips())
    if findings:
        raise CheckFailed("\n".join(findings))
