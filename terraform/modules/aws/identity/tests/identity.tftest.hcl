mock_provider "aws" {
  mock_resource "aws_iam_openid_connect_provider" {
    defaults = { arn = "arn:aws:iam::123456789012:oidc-provider/mock" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
  }
}

variables {
  name        = "shop"
  environment = "prod"
  hub         = "hub"
  members     = ["aws", "azure"]
  issuers = {
    hub   = "https://hub.example.com/id/HUB"
    aws   = "https://oidc.eks.us-east-1.amazonaws.com/id/ABC"
    azure = "https://eastus.oic.prod-aks.azure.com/tenant/cluster/"
  }
  bucket_arn   = "arn:aws:s3:::shop-prod-models"
  model_prefix = "digits/"
  cluster_arns = { shop-prod = "arn:aws:eks:us-east-1:123456789012:cluster/shop-prod" }
}

run "operator_is_the_hubs_service_account_and_nobody_else" {
  command = apply

  assert {
    condition = jsondecode(aws_iam_role.this["operator"].assume_role_policy).Statement == [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = "arn:aws:iam::123456789012:oidc-provider/mock" }
      Condition = {
        StringEquals = {
          "hub.example.com/id/HUB:aud" = "sts.amazonaws.com"
          "hub.example.com/id/HUB:sub" = ["system:serviceaccount:mcdeploy-system:mcdeploy-operator"]
        }
      }
    }]
    error_message = "aud and sub of the hub's ServiceAccount must be pinned"
  }
}

run "every_trust_pins_aud_and_sub_without_wildcards" {
  command = apply

  assert {
    condition = alltrue(flatten([
      for role in aws_iam_role.this : [
        for statement in jsondecode(role.assume_role_policy).Statement : [
          keys(statement.Condition) == ["StringEquals"],
          length([for key in keys(statement.Condition.StringEquals) : key if endswith(key, ":aud")]) == 1,
          length([for key in keys(statement.Condition.StringEquals) : key if endswith(key, ":sub")]) == 1,
          !strcontains(jsonencode(statement), "*"),
        ]
      ]
    ]))
    error_message = "each trust statement must compare aud and sub exactly"
  }
  assert {
    condition     = length(jsondecode(aws_iam_role.this["transfer"].assume_role_policy).Statement) == 2
    error_message = "transfer Jobs of each member, and of the hub no, may take the transfer role"
  }
  assert {
    condition = [for statement in jsondecode(aws_iam_role.this["models"].assume_role_policy).Statement : one([for key, value in statement.Condition.StringEquals : value if endswith(key, ":sub")])] == [
      ["system:serviceaccount:default:mcdeploy-model"],
      ["system:serviceaccount:default:mcdeploy-model"],
    ]
    error_message = "model pods must be pinned to namespace and name"
  }
}

run "models_read_one_prefix_and_write_nothing" {
  command = apply

  assert {
    condition     = flatten([for statement in jsondecode(aws_iam_role_policy.this["models"].policy).Statement : statement.Action]) == ["s3:ListBucket", "s3:GetObject"]
    error_message = "model pods only list and read"
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.this["models"].policy).Statement[1].Resource == ["arn:aws:s3:::shop-prod-models/digits/*"]
    error_message = "model pods read one prefix"
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.this["models"].policy).Statement[0].Condition.StringLike["s3:prefix"] == ["digits/*"]
    error_message = "model pods list one prefix"
  }
}

run "transfers_write_one_prefix_and_delete_their_notes_alone" {
  command = apply

  assert {
    condition = sort(flatten([
      for statement in jsondecode(aws_iam_role_policy.this["transfer"].policy).Statement : statement.Resource
      if contains(statement.Action, "s3:PutObject")
    ])) == tolist(["arn:aws:s3:::shop-prod-models/.mcdeploy/*", "arn:aws:s3:::shop-prod-models/digits/*"])
    error_message = "transfer Jobs write one prefix"
  }
  assert {
    condition = sort(flatten([
      for statement in jsondecode(aws_iam_role_policy.this["transfer"].policy).Statement : statement.Resource
      if length([for action in statement.Action : action if strcontains(action, "Delete")]) > 0
    ])) == tolist(["arn:aws:s3:::shop-prod-models/.mcdeploy/*", "arn:aws:s3:::shop-prod-models/digits/*/mcdeploy-push.json"])
    error_message = "transfer Jobs delete no file of a version"
  }
}

run "operator_writes_one_object_only" {
  command = apply

  assert {
    condition     = join(" ", flatten([for statement in jsondecode(aws_iam_role_policy.this["operator"].policy).Statement : statement.Resource if contains(statement.Action, "s3:PutObject")])) == "arn:aws:s3:::shop-prod-models/.mcdeploy/check"
    error_message = "the operator carries decisions, never object bytes"
  }
}

run "no_policy_has_a_star_action_or_a_star_resource" {
  command = apply
  variables {
    kms_key_arn     = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    repository_arns = ["arn:aws:ecr:us-east-1:123456789012:repository/shop-prod/mcserve"]
  }
  assert {
    condition = alltrue(flatten([
      for policy in aws_iam_role_policy.this : [
        for statement in jsondecode(policy.policy).Statement : [
          [for action in flatten([statement.Action]) : !strcontains(action, "*")],
          [for resource in flatten([statement.Resource]) : resource != "*"],
        ]
      ]
    ]))
    error_message = "actions and resources must be named"
  }
  assert {
    condition     = contains(flatten([for statement in jsondecode(aws_iam_role_policy.this["models"].policy).Statement : statement.Action]), "kms:Decrypt")
    error_message = "readers of an encrypted bucket need its key"
  }
}

run "hub_may_be_a_member" {
  command = apply
  variables {
    hub = "aws"
  }
  assert {
    condition     = length(jsondecode(aws_iam_role.this["operator"].assume_role_policy).Statement) == 1 && strcontains(aws_iam_role.this["operator"].assume_role_policy, "oidc.eks.us-east-1.amazonaws.com/id/ABC:sub")
    error_message = "the operator must come from the hub, which is a member here"
  }
}

run "existing_provider_is_used" {
  command = apply
  variables {
    existing_oidc_provider_arns = { hub = "arn:aws:iam::123456789012:oidc-provider/hub.example.com/id/HUB" }
  }
  assert {
    condition     = !contains(keys(aws_iam_openid_connect_provider.this), "hub") && jsondecode(aws_iam_role.this["operator"].assume_role_policy).Statement[0].Principal.Federated == "arn:aws:iam::123456789012:oidc-provider/hub.example.com/id/HUB"
    error_message = "an existing provider must be used as it is"
  }
}

run "refuses_wildcards_in_subjects" {
  command = plan
  variables {
    system_namespace         = "*"
    hub_service_account      = "mcdeploy-*"
    transfer_service_account = "?"
    model_service_accounts   = ["*/mcdeploy-model"]
  }
  expect_failures = [
    var.system_namespace,
    var.hub_service_account,
    var.transfer_service_account,
    var.model_service_accounts,
  ]
}

run "refuses_every_model_as_prefix" {
  command = plan
  variables {
    model_prefix = ""
  }
  expect_failures = [var.model_prefix]
}

run "refuses_one_issuer_under_two_names" {
  command = plan
  variables {
    issuers = { hub = "https://one.example.com", aws = "https://one.example.com", azure = "https://two.example.com" }
  }
  expect_failures = [var.issuers]
}

run "refuses_names_that_are_no_issuers" {
  command = plan
  variables {
    hub     = "nobody"
    members = ["somebody"]
  }
  expect_failures = [var.hub, var.members]
}

run "refuses_an_issuer_without_tls" {
  command = plan
  variables {
    issuers = { hub = "http://hub.example.com" }
    members = []
  }
  expect_failures = [var.issuers]
}

run "refuses_values_out_of_range" {
  command = plan
  variables {
    name                        = "Shop"
    environment                 = "p"
    existing_oidc_provider_arns = { hub = "mine" }
    bucket_arn                  = "shop-prod-models"
    kms_key_arn                 = "mine"
    repository_arns             = ["arn:aws:ecr:us-east-1:123456789012:repository/*"]
    cluster_arns                = { shop = "shop" }
    tags                        = { "aws:owner" = "me" }
  }
  expect_failures = [
    var.name,
    var.environment,
    var.existing_oidc_provider_arns,
    var.bucket_arn,
    var.kms_key_arn,
    var.repository_arns,
    var.cluster_arns,
    var.tags,
  ]
}
