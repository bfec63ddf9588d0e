locals {
  base = "${var.name}-${var.environment}"

  # IAM is global: a second region of the same fleet has roles of its own.
  global = "${local.base}-${var.region}"

  tags = merge(var.tags, {
    "mcdeploy-fleet"       = var.name
    "mcdeploy-environment" = var.environment
    "managed-by"           = "terraform"
  })

  regions      = jsondecode(file("${path.module}/../../regions.json")).aws
  jurisdiction = coalesce(var.jurisdiction, local.regions[var.region][0])
  member_name  = coalesce(var.member_name, "aws-${var.region}")

  zones = coalesce(var.availability_zones, slice(data.aws_availability_zones.available.names, 0, 3))
}
