"""The inventory's schema takes what the CLI can use and names what it cannot."""

import copy

import pytest

from tfcheck import inventory

GOOD = {
    "apiVersion": "mcdeploy.dev/v1alpha1",
    "kind": "FleetInventory",
    "clusters": [
        {"name": "garage", "provider": "onprem", "region": "garage", "artifactStoreRef": "garage", "access": {"kubeconfig": {"context": "garage"}}}
    ],
    "stores": [
        {"name": "garage", "provider": "onprem", "region": "garage", "location": {"s3": {"bucket": "models"}}, "auth": {"ambient": {}}}
    ],
}


def changed(path: str, value):
    """A copy of GOOD with one value replaced; None takes it away."""
    document = copy.deepcopy(GOOD)
    *way, last = path.split(".")
    place = document
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return document


def test_a_good_inventory_fits():
    assert inventory.findings(GOOD) == []


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("kind", "Fleet", "$.kind"),
        ("clusters.0.provider", "ibm", "$.clusters[0].provider"),
        ("clusters.0.name", "Garage", "$.clusters[0].name"),
        ("clusters.0.jurisdiction", "Germany", "$.clusters[0].jurisdiction"),
        ("clusters.0.artifactStoreRef", None, "$.clusters[0]"),
        ("clusters.0.access", {}, "$.clusters[0].access"),
        ("clusters.0.access", {"kubeconfig": {"context": "a"}, "aks": {}}, "$.clusters[0].access"),
        ("clusters.0.access", {"token": "secret"}, "$.clusters[0].access"),
        ("stores.0.jurisdiction", "eu", "$.stores[0].jurisdiction"),
        ("stores.0.auth", {"secretRef": "a", "ambient": {}}, "$.stores[0].auth"),
        ("stores.0.location", {"ftp": {}}, "$.stores[0].location"),
    ],
)
def test_a_wrong_inventory_is_named_by_its_place(path, value, where):
    found = inventory.findings(changed(path, value))
    assert any(one.startswith(where) for one in found), found


def test_outputs_are_taken_from_applied_runs_only():
    events = [
        {"type": "test_plan"},
        {"type": "test_state", "test_state": {"outputs": {"mcdeploy": {"value": GOOD}}}},
    ]
    assert inventory.inventories(events) == [GOOD]
