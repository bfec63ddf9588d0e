output "bucket" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.models.bucket
}

output "bucket_arn" {
  description = "ARN of the bucket, for the identity module."
  value       = aws_s3_bucket.models.arn
}

output "kms_key_arn" {
  description = "Customer key of the bucket, or null; who reads or writes needs rights on it."
  value       = var.kms_key_arn
}

output "repository_arns" {
  description = "ARNs of the registry's repositories, for the identity module."
  value       = [for repository in aws_ecr_repository.this : repository.arn]
}

output "store" {
  description = "The ArtifactStore as the module `join` takes it."
  value = {
    name         = local.store_name
    provider     = "aws"
    region       = var.region
    jurisdiction = local.regions[var.region][0]
    location     = { s3 = { bucket = aws_s3_bucket.models.bucket } }
    auth         = { ambient = {} }
  }
}

output "registry" {
  description = "The OCI registry as the module `join` takes it."
  value = {
    name         = local.store_name
    provider     = "aws"
    region       = var.region
    prefix       = "${data.aws_caller_identity.current.account_id}.dkr.ecr.${var.region}.amazonaws.com/${local.base}"
    repositories = sort(tolist(var.repositories))
  }
}
