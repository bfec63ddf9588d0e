# One bucket for model versions and an OCI registry for images, in one region.

data "aws_caller_identity" "current" {}

data "aws_region" "current" {
  lifecycle {
    postcondition {
      condition     = self.name == var.region
      error_message = "region: says ${var.region}, but the AWS provider given to the module works in ${self.name}."
    }
  }
}

locals {
  base = "${var.name}-${var.environment}"

  tags = merge(var.tags, {
    "mcdeploy-fleet"       = var.name
    "mcdeploy-environment" = var.environment
    "managed-by"           = "terraform"
  })

  # What a bucket policy would otherwise say as `s3:*`.
  bucket_actions = [
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:GetBucketLocation",
    "s3:GetObject",
    "s3:GetObjectAttributes",
    "s3:GetObjectTagging",
    "s3:GetObjectVersion",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:ListBucketVersions",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
    "s3:PutObjectTagging",
    "s3:RestoreObject",
  ]

  regions    = jsondecode(file("${path.module}/../../regions.json")).aws
  store_name = coalesce(var.store_name, "aws-${var.region}")
  # 12 + 1 + 8 + 8 + 12 + 1 + 14 characters at most: fits into 63.
  bucket = coalesce(var.bucket_name, "${local.base}-models-${data.aws_caller_identity.current.account_id}-${var.region}")
}

resource "aws_s3_bucket" "models" {
  #checkov:skip=CKV_AWS_18:access logs are written when the variable access_log_bucket names a bucket
  #checkov:skip=CKV_AWS_144:mcdeploy copies every version to the other clouds and verifies it there
  #checkov:skip=CKV_AWS_145:the customer key comes by the variable kms_key_arn; left out, S3 encrypts with its own
  #checkov:skip=CKV2_AWS_62:nothing waits for bucket events, the operator looks for itself
  bucket        = local.bucket
  force_destroy = !var.deletion_protection
  tags          = local.tags
}

resource "aws_s3_bucket_ownership_controls" "models" {
  bucket = aws_s3_bucket.models.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "models" {
  bucket                  = aws_s3_bucket.models.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "models" {
  bucket = aws_s3_bucket.models.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "models" {
  bucket = aws_s3_bucket.models.id

  rule {
    bucket_key_enabled = var.kms_key_arn != null

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "models" {
  bucket = aws_s3_bucket.models.id

  rule {
    id     = "forget-old-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }

    expiration {
      expired_object_delete_marker = true
    }
  }

  rule {
    id     = "sweep-torn-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  depends_on = [aws_s3_bucket_versioning.models]
}

resource "aws_s3_bucket_logging" "models" {
  count = var.access_log_bucket == null ? 0 : 1

  bucket        = aws_s3_bucket.models.id
  target_bucket = var.access_log_bucket
  target_prefix = "${local.bucket}/"
}

resource "aws_s3_bucket_policy" "models" {
  bucket = aws_s3_bucket.models.id
  policy = jsonencode({
    Version = "2012-10-17"
    # Denies only: rights are given by roles. The principal `*` makes them hold for everybody.
    Statement = concat([
      {
        Sid       = "RefusePlainHttp"
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = local.bucket_actions
        Resource  = [aws_s3_bucket.models.arn, "${aws_s3_bucket.models.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "RefuseOldTls"
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = local.bucket_actions
        Resource  = [aws_s3_bucket.models.arn, "${aws_s3_bucket.models.arn}/*"]
        Condition = { NumericLessThan = { "s3:TlsVersion" = "1.2" } }
      },
      ], [for sid in var.deletion_protection ? ["RefuseDeletion"] : [] : {
        Sid       = sid
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = ["s3:DeleteBucket", "s3:DeleteObjectVersion"]
        Resource  = [aws_s3_bucket.models.arn, "${aws_s3_bucket.models.arn}/*"]
    }])
  })

  depends_on = [
    aws_s3_bucket_lifecycle_configuration.models,
    aws_s3_bucket_public_access_block.models,
  ]
}

resource "aws_ecr_repository" "this" {
  for_each = var.repositories

  #checkov:skip=CKV_AWS_136:the customer key comes by the variable kms_key_arn; left out, ECR encrypts with its own
  name                 = "${local.base}/${each.key}"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = !var.deletion_protection
  tags                 = local.tags

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = var.kms_key_arn == null ? "AES256" : "KMS"
    kms_key         = var.kms_key_arn
  }
}

resource "aws_ecr_lifecycle_policy" "this" {
  for_each = aws_ecr_repository.this

  repository = each.value.name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "Untagged images are kept for a while, a rollback may need them"
      selection = {
        tagStatus   = "untagged"
        countType   = "sinceImagePushed"
        countUnit   = "days"
        countNumber = 90
      }
      action = { type = "expire" }
    }]
  })
}
