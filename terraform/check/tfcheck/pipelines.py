"""The pipelines of deploy/ci: actionlint, pinned actions, least permissions, the script."""

import re

import yaml

from tfcheck.common import CHECK, CheckFailed, PIPELINES, REPOSITORY, cache_dir, run

PINNED = re.compile(r"^[\w.-]+/[\w./-]+@[0-9a-f]{40}$")


def actionlint():
    """The program, built from the Go module cache of the proxy at a pinned version."""
    module = CHECK / "actionlint"
    version = re.search(r"actionlint v([0-9.]+)", (module / "go.mod").read_text()).group(1)
    binary = cache_dir() / f"actionlint-{version}"
    if not binary.exists():
        partial = binary.with_suffix(".partial")
        run(["go", "build", "-trimpath", "-o", partial, "github.com/rhysd/actionlint/cmd/actionlint"],
            cwd=module, env={"GOFLAGS": "-mod=readonly"}, timeout=900)
        partial.rename(binary)
    return binary


def workflow_findings(name: str, workflow: dict) -> list[str]:
    """What actionlint does not say: permissions, concurrency, pins."""
    findings = []
    if workflow.get("permissions") != {}:
        findings.append(f"{name}: permissions: expected `{{}}` at the top; each job asks for its own")
    for job_name, job in workflow["jobs"].items():
        where = f"{name}: job {job_name}"
        if "permissions" not in job:
            findings.append(f"{where}: has no permissions of its own")
        if "environment" in job and "concurrency" not in job:
            findings.append(f"{where}: writes to an environment and has no concurrency")
        if "timeout-minutes" not in job and "uses" not in job:
            findings.append(f"{where}: has no timeout-minutes")
        for step in job.get("steps", []):
            if "uses" in step and not PINNED.match(step["uses"]):
                findings.append(f"{where}: {step['uses']}: expected a digest of 40 hex digits")
    return findings


def gitlab_findings(name: str, template: dict) -> list[str]:
    """Tokens by OIDC, one resource group for each environment, approval by hand."""
    findings = []
    jobs = {key: job for key, job in template.items() if isinstance(job, dict) and "script" in job}
    for job_name, job in jobs.items():
        where = f"{name}: job {job_name}"
        if "environment" in job and "resource_group" not in job:
            findings.append(f"{where}: writes to an environment and has no resource_group")
        if "environment" in job and "id_tokens" not in job and "extends" not in job:
            findings.append(f"{where}: has no id_tokens")
    if not any(job.get("when") == "manual" or any(rule.get("when") == "manual" for rule in job.get("rules", [])) for job in jobs.values()):
        findings.append(f"{name}: nothing waits for an approval")
    return findings


def check(report) -> None:
    """All pipelines."""
    workflows = sorted((PIPELINES / "github").glob("*.yml"))
    templates = sorted((PIPELINES / "gitlab").glob("*.yml"))
    if not workflows or not templates:
        raise CheckFailed(f"{PIPELINES}: expected github/*.yml and gitlab/*.yml")
    run([actionlint(), "-no-color", "-shellcheck=", "-pyflakes=", *workflows], cwd=REPOSITORY)
    findings = []
    for file in workflows:
        findings += workflow_findings(file.name, yaml.safe_load(file.read_text(encoding="utf-8")))
    for file in templates:
        findings += gitlab_findings(file.name, yaml.safe_load(file.read_text(encoding="utf-8")))
    for script in sorted(PIPELINES.glob("*.sh")):
        run(["bash", "-n", script])
    if findings:
        raise CheckFailed("\n".join(findings))
    report(f"{len(workflows)} workflows and {len(templates)} templates")
