"""Reading HCL with a real parser."""

import pathlib

import hcl2

from tfcheck.common import CheckFailed


def unquote(text):
    """A quoted string as the parser gives it, without its quotes."""
    if isinstance(text, str) and len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1]
    return text


def plain(value):
    """The parser's tree without quotes around strings and names, and without its marks."""
    if isinstance(value, dict):
        return {
            unquote(key): plain(inner)
            for key, inner in value.items()
            if not key.startswith("__")
        }
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return unquote(value)


def parse(file: pathlib.Path) -> dict:
    """The blocks of one file: block type > list of bodies under their labels."""
    with file.open(encoding="utf-8") as text:
        try:
            return plain(hcl2.load(text))
        except Exception as error:  # the parser has no base class of its own
            raise CheckFailed(f"{file}: does not parse as HCL: {error}") from error


def directory(path: pathlib.Path) -> dict[str, list]:
    """All blocks of a module, over its files."""
    merged: dict[str, list] = {}
    for file in sorted(path.glob("*.tf")):
        for kind, bodies in parse(file).items():
            merged.setdefault(kind, []).extend(bodies if isinstance(bodies, list) else [bodies])
    return merged


def labelled(blocks: dict[str, list], kind: str) -> dict[str, dict]:
    """Blocks with one label, such as variables, by that label."""
    return {name: body for entry in blocks.get(kind, []) for name, body in entry.items()}


def types_used(paths: list[pathlib.Path]) -> dict[str, set[str]]:
    """Types of resources and data sources: {"resource": {...}, "data": {...}}."""
    used: dict[str, set[str]] = {"resource": set(), "data": set()}
    for path in paths:
        blocks = directory(path)
        for kind, names in used.items():
            for entry in blocks.get(kind, []):
                names.update(entry)
    return used
