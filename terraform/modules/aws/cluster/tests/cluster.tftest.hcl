mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { name = "us-east-1" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_availability_zones" {
    defaults = { names = ["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d"] }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:us-east-1:123456789012:log-group:mock" }
  }
  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0", latest_version = 1 }
  }
  mock_resource "aws_eks_cluster" {
    defaults = {
      identity              = [{ oidc = [{ issuer = "https://oidc.eks.us-east-1.amazonaws.com/id/ABC" }] }]
      endpoint              = "https://abc.eks.amazonaws.com"
      certificate_authority = [{ data = "Q0E=" }]
    }
  }
}

variables {
  name        = "shop"
  environment = "prod"
  region      = "us-east-1"
}

run "api_is_private_unless_networks_are_listed" {
  command = apply

  assert {
    condition     = !aws_eks_cluster.this.vpc_config[0].endpoint_public_access && aws_eks_cluster.this.vpc_config[0].endpoint_private_access
    error_message = "the API endpoint must be private only by default"
  }
  assert {
    condition     = length(aws_eks_cluster.this.enabled_cluster_log_types) == 5
    error_message = "all control plane logs must be on"
  }
  assert {
    condition     = aws_eks_cluster.this.access_config[0].authentication_mode == "API"
    error_message = "rights must come from access entries"
  }
  assert {
    condition     = output.member.name == "aws-us-east-1" && output.member.jurisdiction == "US"
    error_message = "member must be named after the region and carry its country"
  }
  assert {
    condition     = alltrue([for template in aws_launch_template.node : template.metadata_options[0].http_tokens == "required" && template.metadata_options[0].http_put_response_hop_limit == 1])
    error_message = "pods must not get the node's credentials"
  }
  assert {
    condition     = length(aws_eks_node_group.gpu) == 0 && length(aws_nat_gateway.this) == 1
    error_message = "no GPU pool and one NAT gateway by default"
  }
}

run "public_api_is_limited_to_the_list" {
  command = plan

  variables {
    public_api_cidrs = ["203.0.113.0/24"]
  }
  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_public_access && aws_eks_cluster.this.vpc_config[0].public_access_cidrs == toset(["203.0.113.0/24"])
    error_message = "public access must be on for exactly the list"
  }
}

run "gpu_pool_has_taint_and_labels_that_placement_reads" {
  command = plan

  variables {
    gpu_pools    = { l4 = { instance_types = ["g6.xlarge"], accelerator = "nvidia-l4" } }
    nat_gateways = "per-zone"
    kms_key_arn  = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  }
  assert {
    condition     = one(aws_eks_node_group.gpu["l4"].taint).key == "nvidia.com/gpu" && one(aws_eks_node_group.gpu["l4"].taint).effect == "NO_SCHEDULE"
    error_message = "GPU nodes must be tainted"
  }
  assert {
    condition     = aws_eks_node_group.gpu["l4"].labels["mcdeploy.dev/accelerator"] == "nvidia-l4"
    error_message = "GPU nodes must be labelled"
  }
  assert {
    condition     = one(aws_eks_cluster.this.encryption_config).provider[0].key_arn == var.kms_key_arn && aws_cloudwatch_log_group.flow.kms_key_id == var.kms_key_arn
    error_message = "the customer key must be used everywhere"
  }
  assert {
    condition     = length(aws_nat_gateway.this) == 3
    error_message = "per-zone means a NAT gateway in each zone"
  }
}

run "everything_is_tagged" {
  command = plan

  variables {
    tags = { team = "ml" }
  }
  assert {
    condition     = aws_eks_cluster.this.tags["mcdeploy-fleet"] == "shop" && aws_vpc.this.tags["team"] == "ml"
    error_message = "the module's and the caller's tags must be set"
  }
}

run "refuses_a_region_that_aws_does_not_have" {
  command = plan
  variables {
    region = "us-east-9"
  }
  expect_failures = [var.region]
}

run "refuses_a_provider_of_another_region" {
  command = plan
  variables {
    region = "eu-west-1"
  }
  expect_failures = [data.aws_region.current]
}

run "refuses_a_jurisdiction_that_contradicts_the_region" {
  command = plan
  variables {
    jurisdiction = "DE"
  }
  expect_failures = [var.jurisdiction]
}

run "refuses_services_inside_the_vpc" {
  command = plan
  variables {
    service_cidr = "10.64.128.0/20"
  }
  expect_failures = [var.service_cidr]
}

run "refuses_a_vpc_that_overlaps_another_network" {
  command = plan
  variables {
    reserved_cidrs = ["10.0.0.0/8"]
  }
  expect_failures = [var.reserved_cidrs]
}

run "refuses_a_vpc_that_is_no_network" {
  command = plan
  variables {
    vpc_cidr = "10.64.0.0/8"
  }
  expect_failures = [var.vpc_cidr]
}

run "refuses_a_name_that_is_too_long" {
  command = plan
  variables {
    name = "shop-of-everything"
  }
  expect_failures = [var.name]
}

run "refuses_an_environment_with_a_hyphen" {
  command = plan
  variables {
    environment = "pre-prod"
  }
  expect_failures = [var.environment]
}

run "refuses_a_member_name_that_is_too_long" {
  command = plan
  variables {
    member_name = "a-name-of-a-member-cluster-that-goes-on-and-on"
  }
  expect_failures = [var.member_name]
}

run "refuses_an_api_open_to_the_world" {
  command = plan
  variables {
    public_api_cidrs = ["0.0.0.0/0"]
  }
  expect_failures = [var.public_api_cidrs]
}

run "refuses_values_out_of_range" {
  command = plan
  variables {
    kubernetes_version = "1.12"
    availability_zones = ["us-east-1a"]
    nat_gateways       = "some"
    cpu_pool           = { min_size = 0 }
    gpu_pools          = { l4 = { instance_types = ["g6.xlarge"], accelerator = "nvidia-l4", min_size = 5, max_size = 1 } }
    kms_key_arn        = "alias/mine"
    log_retention_days = 31
    tags               = { "aws:owner" = "me" }
  }
  expect_failures = [
    var.kubernetes_version,
    var.availability_zones,
    var.nat_gateways,
    var.cpu_pool,
    var.gpu_pools,
    var.kms_key_arn,
    var.log_retention_days,
    var.tags,
  ]
}

# IAM has one space of names for all regions.
run "global_names_carry_the_region" {
  command = apply

  assert {
    condition     = [aws_iam_role.cluster.name, aws_iam_role.node.name, aws_iam_role.flow.name] == ["shop-prod-us-east-1-cluster", "shop-prod-us-east-1-node", "shop-prod-us-east-1-flow"]
    error_message = "a second region of the same fleet must not collide"
  }
}
