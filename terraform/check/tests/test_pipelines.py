"""The pipeline's rules and its script, run with stand-ins for terraform and mcdeploy."""

import os
import pathlib
import stat
import subprocess

import pytest

from tfcheck import pipelines
from tfcheck.common import PIPELINES

SCRIPT = PIPELINES / "pipeline.sh"
JOB = {"permissions": {}, "timeout-minutes": 5, "steps": []}


def test_actions_need_a_digest():
    workflow = {"permissions": {}, "jobs": {"a": JOB | {"steps": [{"uses": "actions/checkout@v4"}]}}}
    assert "expected a digest" in pipelines.workflow_findings("w", workflow)[0]


def test_jobs_need_permissions_time_and_concurrency():
    workflow = {"permissions": {"contents": "write"}, "jobs": {"a": {"environment": "prod", "steps": []}}}
    assert len(pipelines.workflow_findings("w", workflow)) == 4


def test_gitlab_needs_an_approval():
    template = {"apply": {"script": ["x"], "environment": {"name": "prod"}}}
    assert len(pipelines.gitlab_findings("g", template)) == 3


@pytest.fixture
def pipeline(tmp_path):
    """Runs a step of the script with stand-ins that write down how they were called."""
    tools = tmp_path / "bin"
    tools.mkdir()
    calls = tmp_path / "calls"

    def tool(name: str, body: str) -> None:
        file = tools / name
        file.write_text(f'#!/bin/sh\necho "{name} $*" >> "{calls}"\n{body}\n')
        file.chmod(file.stat().st_mode | stat.S_IXUSR)

    tool(
        "terraform",
        'case "$*" in *" show -no-color"*) cat "%s/plan-text" ;; *" show -json"*) echo "{}" ;; '
        '*" output -json"*) echo "{\\"clusters\\":[{\\"name\\":\\"aws\\"}]}" ;; esac' % tmp_path,
    )
    tool("mcdeploy", 'cat > /dev/null; case "$1" in rollout) exit ${ROLLOUT:-0} ;; esac')
    (tmp_path / "plan-text").write_text("one to add")

    def run(*steps: str, **settings: str):
        done = None
        for step in steps:
            done = subprocess.run(
                ["bash", str(SCRIPT), step],
                env={
                    "PATH": f"{tools}:{os.environ['PATH']}",
                    "MCDEPLOY_CI_DIR": str(tmp_path / "ci"),
                    "MCDEPLOY_DIRECTORY": "fleet",
                    **settings,
                },
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=30,
            )
        done.calls = calls.read_text() if calls.exists() else ""
        done.ci = tmp_path / "ci"
        done.plan_text = tmp_path / "plan-text"
        return done

    return run


def digest(done) -> str:
    return pathlib.Path(done.ci, "plan.digest").read_text().strip()


def test_the_approved_plan_is_applied(pipeline):
    planned = pipeline("plan")
    assert planned.returncode == 0, planned.stderr
    done = pipeline("apply", MCDEPLOY_APPROVED=digest(planned))
    assert done.returncode == 0, done.stderr
    assert "terraform -chdir=fleet apply" in done.calls


def test_another_plan_than_the_approved_one_is_refused(pipeline):
    planned = pipeline("plan")
    planned.plan_text.write_text("everything to destroy")
    done = pipeline("apply", MCDEPLOY_APPROVED=digest(planned))
    assert done.returncode == 1
    assert "another one than that which was approved" in done.stderr
    assert " apply" not in done.calls


def test_nobody_to_ask_means_no_apply(pipeline):
    done = pipeline("apply")
    assert done.returncode == 1
    assert "nobody to ask" in done.stderr


def test_the_fleet_is_joined_and_the_rollouts_exit_code_is_kept(pipeline):
    done = pipeline("join", "rollout", MCDEPLOY_MODEL="v3", MCDEPLOY_CLOUDS="aws,gcp", ROLLOUT="124")
    assert done.returncode == 124
    assert "mcdeploy clusters add -f -" in done.calls
    assert "mcdeploy rollout --model v3 --clouds aws,gcp" in done.calls
    shown = pipeline("summary", MCDEPLOY_MODEL="v3", MCDEPLOY_CLOUDS="aws,gcp")
    assert "exit code 124" in shown.stdout and "| clusters | aws |" in shown.stdout


def test_tokens_are_readable_by_nobody_else(pipeline):
    done = pipeline("login", AWS_ROLE_ARN="arn:aws:iam::123456789012:role/ci", MCDEPLOY_TOKEN_AWS="secret")
    assert done.returncode == 0, done.stderr
    token = done.ci / "aws.token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert "secret" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("step", "settings", "said"),
    [
        ("plan", {"MCDEPLOY_DIRECTORY": ""}, "MCDEPLOY_DIRECTORY is not set"),
        ("rollout", {}, "MCDEPLOY_MODEL is not set"),
        ("login", {"ARM_CLIENT_ID": "x"}, "ARM_TENANT_ID is not set"),
        ("destroy", {}, "expected check, login"),
    ],
)
def test_a_missing_setting_is_named(pipeline, step, settings, said):
    done = pipeline(step, **settings)
    assert done.returncode == 1
    assert said in done.stderr
