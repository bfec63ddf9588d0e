"""READMEs of modules: written from the code and from docs.toml beside this file."""

import difflib
import pathlib
import tomllib

from tfcheck import hcl
from tfcheck.common import CHECK, CheckFailed, MODULES, modules

MARK = "<!-- Written by `python3 terraform/check/run.py docs --write`; do not edit. -->"


def text_of(value) -> str:
    """A type or default as one would write it in HCL, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, str):
        return value.removeprefix("${").removesuffix("}") if value.startswith("${") else value
    if isinstance(value, list):
        return "[" + ", ".join(literal(inner) for inner in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {literal(inner)}" for key, inner in value.items()) + "}"
    return str(value)


def literal(value) -> str:
    """A default value: strings in quotes."""
    if isinstance(value, str) and not value.startswith("${") and value != "null":
        return f'"{value}"'
    return text_of(value)


def cell(text: str) -> str:
    """Text within a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def inputs(blocks: dict) -> list[str]:
    """The table of variables: what is needed first."""
    rows = ["| name | what | type | default |", "|---|---|---|---|"]
    variables = hcl.labelled(blocks, "variable")
    for name, body in sorted(variables.items(), key=lambda item: ("default" in item[1], item[0])):
        default = f"`{cell(literal(body['default']))}`" if "default" in body else "needed"
        rows.append(f"| `{name}` | {cell(body['description'])} | `{cell(text_of(body['type']))}` | {default} |")
    return rows


def outputs(blocks: dict) -> list[str]:
    """The table of outputs."""
    rows = ["| name | what |", "|---|---|"]
    rows += [
        f"| `{name}` | {cell(body['description'])} |"
        for name, body in sorted(hcl.labelled(blocks, "output").items())
    ]
    return rows


def render(path: pathlib.Path, notes: dict) -> str:
    """README of one module."""
    name = str(path.relative_to(MODULES))
    if name not in notes:
        raise CheckFailed(f"terraform/check/docs.toml: has no section [{name!r}]")
    note = notes[name]
    blocks = hcl.directory(path)
    requirements = blocks["terraform"][0]
    needs = [f"- Terraform `{requirements['required_version']}`"]
    for providers in requirements.get("required_providers", []):
        needs += [f"- provider `{pin['source']}` `{pin['version']}`" for pin in providers.values()]
    resources = sorted({kind for entry in blocks.get("resource", []) for kind in entry})
    lines = [f"# {name}", "", MARK, "", note["about"].strip(), "", "## Needs", "", *needs, ""]
    lines += ["## Inputs", "", *inputs(blocks), "", "## Outputs", "", *outputs(blocks), ""]
    if resources:
        lines += ["## Makes", "", ", ".join(f"`{kind}`" for kind in resources), ""]
    lines += ["## Rights of the caller", "", note["rights"].strip(), ""]
    lines += [f"## Price ({notes['prices']['date']})", "", note["price"].strip(), ""]
    return "\n".join(lines)


def check(write: bool = False) -> None:
    """Compares, or writes, every module's README."""
    notes = tomllib.loads((CHECK / "docs.toml").read_text(encoding="utf-8"))
    stale = []
    for path in modules():
        file = path / "README.md"
        wanted = render(path, notes)
        actual = file.read_text(encoding="utf-8") if file.exists() else ""
        if actual == wanted:
            continue
        if write:
            file.write_text(wanted, encoding="utf-8")
            continue
        diff = difflib.unified_diff(actual.splitlines(), wanted.splitlines(), str(file), "as it should be", lineterm="", n=1)
        stale.append("\n".join(list(diff)[:20]))
    if stale:
        raise CheckFailed("stale; `python3 terraform/check/run.py docs --write` writes them:\n" + "\n".join(stale))
