"""The output `mcdeploy` of mocked runs: does it fit its schema, and does the CLI take it?"""

import json
import os
import pathlib

import jsonschema

from tfcheck.common import CheckFailed, INVENTORY_SCHEMA, run


def validator() -> jsonschema.Draft202012Validator:
    """The schema of docs/, itself checked."""
    schema = json.loads(INVENTORY_SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def findings(document) -> list[str]:
    """What does not fit, by its place in the document."""
    return [
        f"{error.json_path}: {error.message}"
        for error in sorted(validator().iter_errors(document), key=lambda error: error.json_path)
    ]


def inventories(events: list[dict]) -> list[dict]:
    """The output `mcdeploy` of each applied run of a test."""
    found = []
    for event in events:
        outputs = event.get("test_state", {}).get("outputs", {})
        if "mcdeploy" in outputs:
            found.append(outputs["mcdeploy"]["value"])
    return found


def through_cli(program: pathlib.Path, inventory: dict) -> None:
    """`mcdeploy clusters add -f - --dry-run` takes it without a hub."""
    run(
        [program, "clusters", "add", "-f", "-", "--dry-run"],
        stdin=json.dumps(inventory),
        env={"KUBECONFIG": os.devnull},
        timeout=60,
    )


def check(examples: dict[str, list[dict]], program: pathlib.Path | None, report) -> None:
    """Every example's inventories."""
    for name, found in sorted(examples.items()):
        if not found:
            raise CheckFailed(f"{name}: no run applied, so there is no output mcdeploy to check")
        for inventory in found:
            wrong = findings(inventory)
            if wrong:
                raise CheckFailed(f"{name}: output mcdeploy does not fit {INVENTORY_SCHEMA.name}:\n" + "\n".join(wrong))
            if program:
                through_cli(program, inventory)
        how = f"schema and {program.name}" if program else "schema"
        report(f"{name}: {len(found[-1]['clusters'])} clusters fit the {how}")
