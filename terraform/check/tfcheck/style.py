"""House rules of modules and examples that Terraform itself does not know."""

import pathlib
import re

from tfcheck import hcl
from tfcheck.common import CheckFailed, TERRAFORM, examples, modules

MODULE_FILES = ["main.tf", "variables.tf", "outputs.tf", "versions.tf", "README.md"]
# Keys below which a list of rights is written, in resources of the three clouds.
ACTIONS = {"actions", "data_actions", "permissions", "Action"}
RESOURCES = {"Resource", "resources"}
# Everything but what is listed: new rights come by themselves.
NEGATED = {"not_actions", "not_data_actions", "NotAction", "NotResource", "not_resources"}
ROLES = {"role", "role_definition_name"}
# Built-in roles that change whole services.
BROAD = re.compile(r"^(Owner|.*Contributor|User Access Administrator|roles/(owner|editor|.*[aA]dmin))$")
# Rights with a star within an expression or a text in JSON: s3:Get*, Microsoft.X/y/*, or alone.
STARRED = re.compile(r'"(?:[A-Za-z0-9-]+:[A-Za-z]*\*[A-Za-z*]*|Microsoft\.[\w./]*\*[\w./*]*|\*)"')
# Anybody as the principal is no right: a policy that refuses plain HTTP names everybody.
ANYBODY = re.compile(r'"?(?:Principal|AWS)"?\s*[=:]\s*"\*"')
# Texts that are compared, not granted.
COMPARED = {"validation", "precondition", "postcondition", "description"}
RANGE = re.compile(r"^>= [0-9.]+, < [0-9.]+$")


def variable_findings(path: pathlib.Path, blocks: dict) -> list[str]:
    """Every variable is typed, described and validated; a boolean has only good values."""
    findings = []
    for name, body in hcl.labelled(blocks, "variable").items():
        for field in ("type", "description"):
            if field not in body:
                findings.append(f"{path}: variable {name}: has no {field}")
        if "validation" not in body and body.get("type") != "bool":
            findings.append(f"{path}: variable {name}: has no validation")
        for validation in body.get("validation", []):
            message = validation["error_message"]
            if not message.startswith((f"{name}:", f"{name},")):
                findings.append(f"{path}: variable {name}: error message does not name it: {message}")
    return findings


def output_findings(path: pathlib.Path, blocks: dict) -> list[str]:
    """Every output is described."""
    return [
        f"{path}: output {name}: has no description"
        for name, body in hcl.labelled(blocks, "output").items()
        if "description" not in body
    ]


def version_findings(path: pathlib.Path, blocks: dict) -> list[str]:
    """Terraform and providers are pinned by a range with both ends."""
    findings = []
    for block in blocks.get("terraform", []):
        if not RANGE.match(block.get("required_version", "")):
            findings.append(f"{path}: required_version: expected a range `>= A, < B`")
        for providers in block.get("required_providers", []):
            for name, pin in providers.items():
                if not RANGE.match(pin.get("version", "") if isinstance(pin, dict) else ""):
                    findings.append(f"{path}: provider {name}: expected a range `>= A, < B`")
    if not any("required_version" in block for block in blocks.get("terraform", [])):
        findings.append(f"{path}: has no required_version")
    return findings


def star_findings(path: pathlib.Path, tree, key: str = "") -> list[str]:
    """No `*` in actions and permissions, no resource that is `*` alone, no right by exclusion, no broad role."""
    if isinstance(tree, dict):
        found = [f"{path}: {name}: everything but a list: name the rights" for name in tree if name in NEGATED and tree[name] not in ([], None)]
        return found + [f for name, inner in tree.items() if name not in COMPARED for f in star_findings(path, inner, name)]
    if isinstance(tree, list):
        return [f for inner in tree for f in star_findings(path, inner, key)]
    if not isinstance(tree, str):
        return []
    if (key in ACTIONS and "*" in tree and not tree.startswith("${")) or (key in RESOURCES and tree == "*"):
        return [f"{path}: {key}: {tree!r}: name the rights"]
    if key in ROLES and BROAD.match(tree):
        return [f"{path}: {key}: {tree!r}: changes more than is needed: make a role of named rights"]
    # Policies that are written as an expression or as text: their strings stay quoted in it.
    text = ANYBODY.sub("", tree.replace('\\"', '"'))
    found = STARRED.search(text) or re.search(r'"?\b(?:NotAction|NotResource)\b"?\s*[=:]', text)
    return [f"{path}: {found.group(0)}: name the rights"] if found else []


def check() -> None:
    """All rules over all modules and examples."""
    findings = []
    for path in modules() + examples():
        blocks = hcl.directory(path)
        short = path.relative_to(TERRAFORM)
        findings += variable_findings(short, blocks)
        findings += output_findings(short, blocks)
        findings += version_findings(short, blocks)
        findings += star_findings(short, blocks)
        needed = MODULE_FILES if path in modules() else MODULE_FILES[:-1]
        findings += [f"{short}: has no {name}" for name in needed if not (path / name).exists()]
        if not list(path.glob("tests/*.tftest.hcl")):
            findings.append(f"{short}: has no tests")
    if findings:
        raise CheckFailed("\n".join(findings))
