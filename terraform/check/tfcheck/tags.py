"""Everything that takes tags or labels has them: asked of the providers' own schemas."""

import json
import pathlib

from tfcheck import configurations, hcl, providers
from tfcheck.common import CheckFailed, TERRAFORM, cache_dir, modules, run

# What the clouds call them; the first that a resource type knows is wanted.
ARGUMENTS = ["tags", "labels", "resource_labels", "user_labels"]
AWS = 'terraform {\n  required_providers {\n    aws = { source = "hashicorp/aws" }\n  }\n}\n'


def taggable(schemas: dict) -> dict[str, str]:
    """Resource type > argument for tags or labels, of those that a user may set."""
    found = {}
    for kind, schema in schemas.items():
        attributes = schema.get("block", schema).get("attributes", {})
        settable = [name for name in ARGUMENTS if attributes.get(name, {}).get("optional") or attributes.get(name, {}).get("required")]
        if settable:
            found[kind] = settable[0]
    return found


def aws(config: pathlib.Path) -> dict[str, str]:
    """Of the AWS provider; asked once for each version, since its schema takes seconds."""
    binary = next(providers.aws_mirror().glob(f"{providers.REGISTRY}/aws/*/{providers.platform_name()}/terraform-provider-aws*"))
    kept = cache_dir() / f"aws-taggable-{binary.parent.parent.name}.json"
    if not kept.exists():
        directory = cache_dir() / "aws-schema"
        directory.mkdir(exist_ok=True)
        (directory / "main.tf").write_text(AWS)
        configurations.init(directory, config)
        done = run(["terraform", "providers", "schema", "-json"], cwd=directory, env=configurations.environment(config), timeout=180)
        (schema,) = json.loads(done.stdout)["provider_schemas"].values()
        kept.write_text(json.dumps(taggable(schema["resource_schemas"])))
    return json.loads(kept.read_text())


def stand_in(provider: str, config: pathlib.Path) -> dict[str, str]:
    """Of a provider that stands in for Azure's or Google's, for the types in use."""
    (file,) = (config.parent / "mirror" / providers.REGISTRY / provider).glob("*/*/schema.json")
    return taggable(json.loads(file.read_text())["resource_schemas"])


def findings(path: pathlib.Path, blocks: dict, known: dict[str, str]) -> list[str]:
    """Resources of one module without what their type takes."""
    return [
        f"{path}: {kind}.{name}: has no {known[kind]}"
        for entry in blocks.get("resource", [])
        for kind, named in entry.items()
        for name, body in named.items()
        if kind in known and known[kind] not in body
    ]


def check(report) -> None:
    """All modules."""
    config = providers.prepared()
    known = aws(config)
    for provider in providers.pins():
        known |= stand_in(provider, config)
    found, counted = [], 0
    for path in modules():
        blocks = hcl.directory(path)
        counted += sum(len(named) for entry in blocks.get("resource", []) for kind, named in entry.items() if kind in known)
        found += findings(path.relative_to(TERRAFORM), blocks, known)
    if found:
        raise CheckFailed("\n".join(found))
    report(f"{counted} resources have their tags or labels")
