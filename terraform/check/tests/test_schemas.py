"""Names planted wrongly in Azure and Google resources are found, and right ones are not."""

import pytest

from tfcheck import configurations, hcl, providers
from tfcheck.common import CheckFailed

AZURE = """
terraform {
  required_providers {
    azurerm = { source = "hashicorp/azurerm" }
  }
}
provider "azurerm" {
  features {}
}
"""
GOOGLE = """
terraform {
  required_providers {
    google = { source = "hashicorp/google" }
  }
}
"""
ACCOUNT = """
resource "azurerm_storage_account" "this" {
  name                     = "models"
  resource_group_name      = "shop"
  location                 = "eastus"
  account_tier             = "Standard"
  account_replication_type = "ZRS"
  %s
}
"""
BUCKET = """
resource "google_storage_bucket" "this" {
  name     = "models"
  location = "europe-west4"
  %s
}
"""


@pytest.fixture
def errors(module, tmp_path):
    """What `terraform validate` says of a configuration."""

    def validate(text: str) -> list[str]:
        directory = module(text)
        used = hcl.types_used([directory])
        config = providers.cli_config(tmp_path / "providers", used["resource"], used["data"])
        configurations.init(directory, config)
        return [f"{one['summary']}: {one['detail']}" for one in configurations.validate(directory, config)]

    return validate


@pytest.mark.parametrize(
    "text",
    [
        AZURE + ACCOUNT % "blob_properties {\n    versioning_enabled = true\n  }",
        GOOGLE + BUCKET % "versioning {\n    enabled = true\n  }",
        AZURE + 'data "azurerm_client_config" "this" {}\noutput "t" { value = data.azurerm_client_config.this.tenant_id }',
    ],
)
def test_right_names_pass(errors, text):
    assert errors(text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (AZURE + ACCOUNT % 'min_tls_verion = "TLS1_2"', "min_tls_verion"),
        (AZURE + ACCOUNT % "blob_propertys {\n  }", "blob_propertys"),
        (AZURE + ACCOUNT % "blob_properties {\n    versioning = true\n  }", "versioning"),
        (AZURE + ACCOUNT % "blob_properties = true", "blob_properties"),
        (AZURE + ACCOUNT % 'tags = "none"', "tags"),
        (AZURE + ACCOUNT.replace('  location                 = "eastus"\n', "") % "", "location"),
        (AZURE + 'resource "azurerm_storage_acount" "this" {}', "azurerm_storage_acount"),
        (AZURE + ACCOUNT % "" + 'output "x" { value = azurerm_storage_account.this.primary_endpoint }', "primary_endpoint"),
        (GOOGLE + BUCKET % "uniform_access = true", "uniform_access"),
        (GOOGLE + BUCKET % "versioning {\n  }", "enabled"),
        (GOOGLE + BUCKET % "lifecycle_rule {\n    condition {\n      age = 7\n    }\n  }", "action"),
        (GOOGLE + 'resource "google_storage_buckett" "this" {}', "google_storage_buckett"),
        (GOOGLE + 'data "google_projectt" "this" {}', "google_projectt"),
    ],
)
def test_wrong_names_are_found(errors, text, said):
    found = errors(text)
    assert found and any(said in one for one in found), found


def test_a_missing_aws_provider_is_said_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("MCDEPLOY_TERRAFORM_MIRROR", str(tmp_path))
    with pytest.raises(CheckFailed, match="the AWS provider is not on this machine: looked for .*MCDEPLOY_TERRAFORM_MIRROR"):
        providers.aws_mirror()
