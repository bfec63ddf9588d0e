# One public zone in Route 53, and the right to change records in just that zone.

locals {
  base = "${var.name}-${var.environment}"

  tags = merge(var.tags, {
    "mcdeploy-fleet"       = var.name
    "mcdeploy-environment" = var.environment
    "managed-by"           = "terraform"
  })

  zone_id      = var.zone_id == null ? aws_route53_zone.this[0].zone_id : var.zone_id
  zone_arn     = "arn:${data.aws_partition.current.partition}:route53:::hostedzone/${local.zone_id}"
  name_servers = var.zone_id == null ? aws_route53_zone.this[0].name_servers : data.aws_route53_zone.existing[0].name_servers
}

data "aws_partition" "current" {}

data "aws_route53_zone" "existing" {
  count = var.zone_id == null ? 0 : 1

  zone_id = var.zone_id

  lifecycle {
    postcondition {
      condition     = trimsuffix(self.name, ".") == var.domain
      error_message = "zone_id: is the zone ${self.name}, but domain says ${var.domain}."
    }
  }
}

resource "aws_route53_zone" "this" {
  count = var.zone_id == null ? 1 : 0

  #checkov:skip=CKV2_AWS_38:DNSSEC needs a customer key in us-east-1, which comes by the variable dnssec_key_arn
  #checkov:skip=CKV2_AWS_39:query logs need a log group in us-east-1, which comes by the variable query_log_group_arn
  name          = var.domain
  comment       = "mcdeploy ${local.base}"
  force_destroy = false
  tags          = local.tags
}

resource "aws_route53_query_log" "this" {
  count = var.query_log_group_arn == null ? 0 : 1

  zone_id                  = local.zone_id
  cloudwatch_log_group_arn = var.query_log_group_arn
}

resource "aws_route53_key_signing_key" "this" {
  count = var.dnssec_key_arn == null ? 0 : 1

  name                       = replace(local.base, "-", "_")
  hosted_zone_id             = local.zone_id
  key_management_service_arn = var.dnssec_key_arn
}

resource "aws_route53_hosted_zone_dnssec" "this" {
  count = var.dnssec_key_arn == null ? 0 : 1

  hosted_zone_id = local.zone_id

  depends_on = [aws_route53_key_signing_key.this]
}

resource "aws_iam_role_policy" "writer" {
  count = var.writer_role_name == null ? 0 : 1

  name = "${local.base}-zone"
  role = var.writer_role_name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "ReadZone"
        Effect   = "Allow"
        Action   = ["route53:GetHostedZone", "route53:ListResourceRecordSets"]
        Resource = [local.zone_arn]
      },
      {
        Sid      = "ChangeRecords"
        Effect   = "Allow"
        Action   = ["route53:ChangeResourceRecordSets"]
        Resource = [local.zone_arn]
        Condition = {
          "ForAllValues:StringEquals" = {
            "route53:ChangeResourceRecordSetsRecordTypes" = ["A", "AAAA", "CNAME", "TXT"]
          }
        }
      },
      {
        # Ids of changes are given out by Route 53; only who knows one can ask for it.
        Sid      = "WaitForChanges"
        Effect   = "Allow"
        Action   = ["route53:GetChange"]
        Resource = ["arn:${data.aws_partition.current.partition}:route53:::change/*"]
      },
    ]
  })
}
