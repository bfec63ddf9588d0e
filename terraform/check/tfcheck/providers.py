"""The providers that checks run with, and the CLI configuration that names them.

AWS is the real provider, found on the machine. Azure and Google cannot be installed
here: in their place stands a provider that serves their schema, read out of generated
npm packages, so that Terraform itself finds unknown and missing names.
"""

import base64
import functools
import hashlib
import json
import os
import pathlib
import platform
import shutil
import tarfile

from tfcheck import hcl
from tfcheck.common import CHECK, CheckFailed, cache_dir, examples, modules, run

SCHEMAS = CHECK / "schemas"
REGISTRY = "registry.terraform.io/hashicorp"
# Where a provider mirror usually is; MCDEPLOY_TERRAFORM_MIRROR goes first.
USUAL_MIRRORS = [
    "/opt/tf-plugins",
    "/usr/local/share/terraform/plugins",
    "/usr/share/terraform/plugins",
    "~/.terraform.d/plugins",
]


def platform_name() -> str:
    """The platform in Terraform's words, such as linux_amd64."""
    machine = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), platform.machine())
    return f"{platform.system().lower()}_{machine}"


def aws_mirror() -> pathlib.Path:
    """Root of a filesystem mirror that holds the AWS provider."""
    own = os.environ.get("MCDEPLOY_TERRAFORM_MIRROR")
    candidates = [own] if own else USUAL_MIRRORS
    for candidate in candidates:
        root = pathlib.Path(candidate).expanduser()
        if list(root.glob(f"{REGISTRY}/aws/*/{platform_name()}/terraform-provider-aws*")):
            return root
    raise CheckFailed(
        f"the AWS provider is not on this machine: looked for {REGISTRY}/aws/VERSION/{platform_name()} "
        f"in {', '.join(candidates)}; set MCDEPLOY_TERRAFORM_MIRROR to a filesystem mirror "
        "(`terraform providers mirror DIR` makes one)"
    )


def unpacked(provider: str, pin: dict) -> pathlib.Path:
    """The generated package of a provider, downloaded once and compared with its pin."""
    target = cache_dir() / f"{provider}-{pin['version']}"
    if (target / "complete").exists():
        return target / "package"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    done = run(
        ["npm", "pack", "--silent", f"{pin['package']}@{pin['version']}"], cwd=target, timeout=300
    )
    archive = target / done.stdout.strip().splitlines()[-1]
    digest = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != pin["integrity"]:
        raise CheckFailed(f"{pin['package']}@{pin['version']}: integrity expected {pin['integrity']}, actual {digest}")
    with tarfile.open(archive) as tar:
        members = [m for m in tar if m.name.endswith((".js", "/package.json"))]
        tar.extractall(target, members=members, filter="data")
    archive.unlink()
    (target / "complete").touch()
    return target / "package"


def schema_provider() -> pathlib.Path:
    """The provider that serves a schema, built once for each state of its source."""
    source = SCHEMAS / "provider"
    files = sorted(source.glob("*.go")) + [source / "go.mod", source / "go.sum"]
    key = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    binary = cache_dir() / f"schema-provider-{key}"
    if not binary.exists():
        partial = binary.with_suffix(".partial")
        run(["go", "build", "-trimpath", "-o", partial, "."], cwd=source, env={"GOFLAGS": "-mod=readonly"}, timeout=900)
        partial.rename(binary)
    return binary


def extract(provider: str, pin: dict, resources: set[str], data: set[str]) -> str:
    """Schema of the named types, as JSON; types that the provider lacks are left out."""
    wanted = {
        "resources": sorted(name for name in resources if name.startswith(f"{provider}_")),
        "data": sorted(name for name in data if name.startswith(f"{provider}_")),
    }
    done = run(["node", SCHEMAS / "extract.cjs", unpacked(provider, pin)], stdin=json.dumps(wanted), timeout=120)
    return done.stdout


def pins() -> dict[str, dict]:
    """Generated packages by provider."""
    return json.loads((SCHEMAS / "packages.json").read_text())


def cli_config(target: pathlib.Path, resources: set[str], data: set[str]) -> pathlib.Path:
    """Writes mirror and CLI configuration for these types; the path goes into TF_CLI_CONFIG_FILE."""
    shutil.rmtree(target, ignore_errors=True)
    mirror = target / "mirror"
    for provider, pin in pins().items():
        version = pin["provider_version"]
        home = mirror / REGISTRY / provider / version / platform_name()
        home.mkdir(parents=True)
        (home / "schema.json").write_text(extract(provider, pin, resources, data))
        shutil.copy2(schema_provider(), home / f"terraform-provider-{provider}_v{version}")
    stand_ins = json.dumps([f"{REGISTRY}/{provider}" for provider in pins()])
    config = target / "terraform.rc"
    config.write_text(
        "disable_checkpoint = true\n"
        "provider_installation {\n"
        f'  filesystem_mirror {{\n    path    = "{aws_mirror()}"\n    include = ["{REGISTRY}/aws"]\n  }}\n'
        f'  filesystem_mirror {{\n    path    = "{mirror}"\n    include = {stand_ins}\n  }}\n'
        "}\n"
    )
    return config


@functools.cache
def prepared() -> pathlib.Path:
    """CLI configuration for the types that modules and examples use."""
    used = hcl.types_used(modules() + examples())
    return cli_config(cache_dir() / "providers", used["resource"], used["data"])
