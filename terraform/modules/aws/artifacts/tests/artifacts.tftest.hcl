mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { name = "us-east-1" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::mock-bucket", id = "mock-bucket" }
  }
}

variables {
  name        = "shop"
  environment = "prod"
  region      = "us-east-1"
}

run "bucket_is_closed_versioned_and_kept" {
  command = apply

  assert {
    condition     = output.bucket == "shop-prod-models-123456789012-us-east-1"
    error_message = "bucket must be named by the rule"
  }
  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.models.block_public_acls,
      aws_s3_bucket_public_access_block.models.block_public_policy,
      aws_s3_bucket_public_access_block.models.ignore_public_acls,
      aws_s3_bucket_public_access_block.models.restrict_public_buckets,
    ])
    error_message = "public access must be blocked in all four ways"
  }
  assert {
    condition     = aws_s3_bucket_versioning.models.versioning_configuration[0].status == "Enabled" && !aws_s3_bucket.models.force_destroy
    error_message = "versions must be kept"
  }
  assert {
    condition     = [for statement in jsondecode(aws_s3_bucket_policy.models.policy).Statement : statement.Sid] == ["RefusePlainHttp", "RefuseOldTls", "RefuseDeletion"]
    error_message = "plain HTTP, old TLS and deletion must be refused"
  }
  assert {
    condition     = alltrue([for statement in jsondecode(aws_s3_bucket_policy.models.policy).Statement : statement.Effect == "Deny" && !contains(flatten([statement.Action]), "*") && !contains(flatten([statement.Action]), "s3:*")])
    error_message = "the bucket policy must only deny, and name its actions"
  }
  assert {
    condition     = alltrue([for repository in aws_ecr_repository.this : repository.image_tag_mutability == "IMMUTABLE" && !repository.force_delete])
    error_message = "tags must not move"
  }
  assert {
    condition     = output.store.location.s3.bucket == output.bucket && output.registry.prefix == "123456789012.dkr.ecr.us-east-1.amazonaws.com/shop-prod"
    error_message = "outputs must name bucket and registry"
  }
}

run "deletion_protection_can_be_lifted" {
  command = apply
  variables {
    deletion_protection = false
  }
  assert {
    condition     = length(jsondecode(aws_s3_bucket_policy.models.policy).Statement) == 2 && aws_s3_bucket.models.force_destroy
    error_message = "without protection the bucket must be deletable"
  }
}

run "customer_key_is_used_for_objects_and_images" {
  command = plan
  variables {
    kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  }
  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.models.rule).apply_server_side_encryption_by_default).kms_master_key_id == var.kms_key_arn
    error_message = "objects must be encrypted with the customer key"
  }
  assert {
    condition     = alltrue([for repository in aws_ecr_repository.this : repository.encryption_configuration[0].kms_key == var.kms_key_arn])
    error_message = "images must be encrypted with the customer key"
  }
}

run "refuses_a_bucket_name_that_is_too_long" {
  command = plan
  variables {
    bucket_name = "a-bucket-for-all-the-models-of-the-shop-in-production-in-us-east-1"
  }
  expect_failures = [var.bucket_name]
}

run "refuses_a_region_that_aws_does_not_have" {
  command = plan
  variables {
    region = "eastus"
  }
  expect_failures = [var.region]
}

run "refuses_values_out_of_range" {
  command = plan
  variables {
    name              = "s"
    environment       = "Production"
    store_name        = "-aws"
    repositories      = ["Upper"]
    noncurrent_days   = 0
    kms_key_arn       = "mine"
    access_log_bucket = "no/bucket"
    tags              = { "aws:owner" = "me" }
  }
  expect_failures = [
    var.name,
    var.environment,
    var.store_name,
    var.repositories,
    var.noncurrent_days,
    var.kms_key_arn,
    var.access_log_bucket,
    var.tags,
  ]
}
