"""What takes tags or labels and has none is found, by the providers' own schemas."""

import pytest

from tfcheck import hcl, providers, tags


@pytest.fixture(scope="module")
def known():
    config = providers.prepared()
    found = tags.aws(config)
    for provider in providers.pins():
        found |= tags.stand_in(provider, config)
    return found


@pytest.mark.parametrize(
    ("kind", "argument"),
    [("aws_s3_bucket", "tags"), ("azurerm_storage_account", "tags"), ("google_storage_bucket", "labels"), ("google_container_cluster", "resource_labels")],
)
def test_a_resource_without_its_tags_is_found(module, known, kind, argument):
    path = module(f'resource "{kind}" "x" {{\n  name = "x"\n}}')
    assert tags.findings(path, hcl.directory(path), known) == [f"{path}: {kind}.x: has no {argument}"]
    path = module(f'resource "{kind}" "x" {{\n  {argument} = local.tags\n}}')
    assert tags.findings(path, hcl.directory(path), known) == []


def test_what_takes_no_tags_needs_none(known):
    assert not {"aws_iam_role_policy", "azurerm_role_assignment", "google_storage_bucket_iam_member"} & set(known)
