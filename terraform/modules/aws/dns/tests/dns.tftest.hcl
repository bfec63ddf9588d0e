mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_route53_zone" {
    defaults = { name = "models.example.com", name_servers = ["ns-1.example.net"] }
  }
  mock_resource "aws_route53_zone" {
    defaults = { zone_id = "Z0123456789ABCDEFGHIJ", name_servers = ["ns-1.awsdns-1.com", "ns-2.awsdns-2.org"] }
  }
}

variables {
  name             = "shop"
  environment      = "prod"
  domain           = "models.example.com"
  writer_role_name = "shop-prod-operator"
}

run "writer_may_change_records_of_this_zone_only" {
  command = apply

  assert {
    condition     = join(" ", distinct(flatten([for statement in jsondecode(aws_iam_role_policy.writer[0].policy).Statement : statement.Resource]))) == "arn:aws:route53:::hostedzone/Z0123456789ABCDEFGHIJ arn:aws:route53:::change/*"
    error_message = "rights must be on one zone"
  }
  assert {
    condition     = alltrue(flatten([for statement in jsondecode(aws_iam_role_policy.writer[0].policy).Statement : [for action in statement.Action : !strcontains(action, "*")]]))
    error_message = "actions must be named"
  }
  assert {
    condition     = output.zone.domain == "models.example.com" && output.zone.nameServers == output.name_servers
    error_message = "the zone must be in the outputs"
  }
}

run "existing_zone_is_used" {
  command = apply
  variables {
    zone_id          = "Z0EXISTING"
    writer_role_name = null
  }
  assert {
    condition     = length(aws_route53_zone.this) == 0 && output.zone_id == "Z0EXISTING" && length(aws_iam_role_policy.writer) == 0
    error_message = "nothing must be made beside an existing zone"
  }
}

run "refuses_an_existing_zone_of_another_domain" {
  command = plan
  variables {
    zone_id = "Z0EXISTING"
    domain  = "other.example.com"
  }
  expect_failures = [data.aws_route53_zone.existing]
}

run "refuses_values_out_of_range" {
  command = plan
  variables {
    name                = "shop-of-everything"
    environment         = "production"
    domain              = "models"
    zone_id             = "mine"
    writer_role_name    = "arn:aws:iam::123456789012:role/x"
    query_log_group_arn = "arn:aws:logs:eu-west-1:123456789012:log-group:x"
    dnssec_key_arn      = "arn:aws:kms:eu-west-1:123456789012:key/x"
    tags                = { "aws:owner" = "me" }
  }
  expect_failures = [
    var.name,
    var.environment,
    var.domain,
    var.zone_id,
    var.writer_role_name,
    var.query_log_group_arn,
    var.dnssec_key_arn,
    var.tags,
  ]
}
