"""The house rules find what breaks them."""

import pytest

from tfcheck import common, docs, hcl, policy, style
from tfcheck.common import CheckFailed

VARIABLE = 'variable "size" {\n%s\n}\n'


def test_variables_need_type_description_and_validation(module):
    path = module(VARIABLE % "  default = 1")
    found = style.variable_findings(path, hcl.directory(path))
    assert [one.rsplit(": ", 1)[1] for one in found] == ["has no type", "has no description", "has no validation"]


def test_messages_name_their_variable(module):
    path = module(
        VARIABLE
        % 'type = number\ndescription = "d"\nvalidation {\n condition = var.size > 0\n error_message = "too small"\n}'
    )
    found = style.variable_findings(path, hcl.directory(path))
    assert len(found) == 1 and "does not name it" in found[0]


def test_versions_need_both_ends(module):
    path = module('terraform {\n required_version = ">= 1.9.0"\n required_providers {\n aws = { source = "hashicorp/aws", version = "~> 5.0" }\n }\n}')
    assert len(style.version_findings(path, hcl.directory(path))) == 2


@pytest.mark.parametrize(
    "text",
    [
        'resource "azurerm_role_definition" "x" {\n permissions {\n actions = ["*"]\n }\n}',
        'resource "azurerm_role_definition" "x" {\n permissions {\n data_actions = ["Microsoft.Storage/*"]\n }\n}',
        'resource "aws_iam_role_policy" "x" {\n policy = jsonencode({ Statement = [{ Action = ["s3:*"] }] })\n}',
        'resource "aws_iam_role_policy" "x" {\n policy = jsonencode({ Statement = [{ Resource = "*" }] })\n}',
        'resource "aws_iam_role_policy" "x" {\n policy = jsonencode({ Statement = [{ Action = ["s3:Get*"] }] })\n}',
        'resource "aws_iam_role_policy" "x" {\n policy = jsonencode({ Statement = [{ "Action" = "s3:*" }] })\n}',
        'resource "aws_iam_role_policy" "x" {\n policy = jsonencode({ Statement = [{ Resource = concat(["*"], []) }] })\n}',
        'resource "aws_iam_role_policy" "x" {\n policy = jsonencode({ Statement = [{ NotAction = ["s3:GetObject"] }] })\n}',
        'resource "aws_iam_role_policy" "x" {\n policy = <<EOF\n{"Statement": [{"Action": "s3:*"}]}\nEOF\n}',
        'locals {\n statements = [{ Action = ["kms:*"] }]\n}',
        'data "aws_iam_policy_document" "x" {\n statement {\n actions = ["s3:Get*"]\n }\n}',
        'data "aws_iam_policy_document" "x" {\n statement {\n not_actions = ["s3:GetObject"]\n }\n}',
        'resource "azurerm_role_definition" "x" {\n permissions {\n actions = ["Microsoft.Network/virtualNetworks/*"]\n }\n}',
        'resource "azurerm_role_assignment" "x" {\n role_definition_name = "Network Contributor"\n}',
        'resource "azurerm_role_assignment" "x" {\n role_definition_name = "Owner"\n}',
        'resource "google_project_iam_member" "x" {\n role = "roles/owner"\n}',
        'resource "google_project_iam_member" "x" {\n role = "roles/storage.admin"\n}',
    ],
)
def test_stars_are_found(module, text):
    path = module(text)
    assert style.star_findings(path, hcl.directory(path))


def test_objects_of_one_bucket_are_no_star(module):
    path = module('resource "aws_iam_role_policy" "x" {\n policy = jsonencode({ Statement = [{ Action = ["s3:GetObject"], Resource = ["${var.arn}/*"] }] })\n}')
    assert style.star_findings(path, hcl.directory(path)) == []


def test_refusing_plain_http_to_everybody_is_no_star(module):
    path = module('resource "aws_s3_bucket_policy" "x" {\n policy = jsonencode({ Statement = [{ Effect = "Deny", Principal = "*", Action = ["s3:GetObject"], Resource = ["${var.arn}/*"] }] })\n}')
    assert style.star_findings(path, hcl.directory(path)) == []


def test_every_example_can_be_destroyed_as_the_readme_says():
    for path in common.examples():
        blocks = hcl.directory(path)
        assert "deletion_protection" in hcl.labelled(blocks, "variable"), path
        for name, body in hcl.labelled(blocks, "module").items():
            variables = hcl.labelled(hcl.directory(path / body["source"]), "variable")
            if "deletion_protection" in variables:
                assert body.get("deletion_protection") == "${var.deletion_protection}", f"{path.name}: {name}"


def test_broken_hcl_is_said_with_its_file(module):
    path = module('variable "x" {')
    with pytest.raises(CheckFailed, match="main.tf: does not parse as HCL"):
        hcl.directory(path)


def test_a_changed_variable_makes_its_readme_stale(monkeypatch, tmp_path):
    path = tmp_path / "aws" / "thing"
    path.mkdir(parents=True)
    (path / "main.tf").write_text('terraform {\n required_version = ">= 1.9.0, < 2.0.0"\n}\n' + VARIABLE % 'type = number\ndescription = "one"')
    monkeypatch.setattr(docs, "MODULES", tmp_path)
    monkeypatch.setattr(docs, "modules", lambda: [path])
    notes = '[prices]\ndate = "d"\n["aws/thing"]\nabout = "a"\nrights = "r"\nprice = "p"\n'
    (tmp_path / "docs.toml").write_text(notes)
    monkeypatch.setattr(docs, "CHECK", tmp_path)
    docs.check(write=True)
    docs.check()
    (path / "main.tf").write_text((path / "main.tf").read_text().replace('"one"', '"two"'))
    with pytest.raises(CheckFailed, match="stale"):
        docs.check()


def test_examples_are_judged_like_modules(monkeypatch, tmp_path):
    for name in ("modules", "examples"):
        (tmp_path / name / "x").mkdir(parents=True)
        (tmp_path / name / "x" / f"{name}.tf").write_text('resource "aws_s3_bucket" "x" {\n}\n')
    monkeypatch.setattr(policy, "DIRECTORIES", [tmp_path / path.name for path in policy.DIRECTORIES])
    found = "\n".join(policy.judge(policy.reports(), {}))
    assert "/x/modules.tf:1" in found and "/x/examples.tf:1" in found


def test_skips_need_a_reason_and_an_effect():
    report = {
        "results": {
            "failed_checks": [{"file_path": "/a.tf", "file_line_range": [3, 9], "resource": "x.y", "check_id": "CKV_1", "check_name": "is bad"}],
            "skipped_checks": [{"file_path": "/a.tf", "check_id": "CKV_2"}],
        }
    }
    declared = {("/a.tf", "CKV_2"): "", ("/a.tf", "CKV_3"): "a reason that is long enough"}
    found = policy.judge([report], declared)
    assert found == [
        "/a.tf:3: x.y: CKV_1: is bad",
        "/a.tf: skip of CKV_2: has no reason beside it",
        "/a.tf: skip of CKV_3: skips nothing",
    ]
