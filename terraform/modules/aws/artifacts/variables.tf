variable "name" {
  description = "Name of the fleet. Every name made here starts with `<name>-<environment>`."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,10}[a-z0-9]$", var.name))
    error_message = "name: expected 3 to 12 characters of a-z, 0-9 and '-', starting with a letter: longer ones do not fit into the names of storage accounts and service accounts that are made from it."
  }
}

variable "environment" {
  description = "Environment, such as `dev` or `prod`; second part of every name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,7}$", var.environment))
    error_message = "environment: expected 2 to 8 characters of a-z and 0-9, starting with a letter."
  }
}

variable "region" {
  description = "AWS region, such as `us-east-1`; must be the region of the AWS provider that the module is given."
  type        = string

  validation {
    condition     = contains(keys(local.regions), var.region)
    error_message = "region: AWS has no region of this name; expected one such as us-east-1 (all of them are in terraform/modules/regions.json)."
  }
}

variable "store_name" {
  description = "Name of the ArtifactStore in mcdeploy. Left out: `aws-<region>`."
  type        = string
  default     = null

  validation {
    condition     = var.store_name == null ? true : can(regex("^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$", var.store_name))
    error_message = "store_name: expected at most 40 characters of a-z, 0-9 and '-', starting and ending with a letter or digit."
  }
}

variable "bucket_name" {
  description = "Name of the bucket, unique in the world. Left out: `<name>-<environment>-models-<account>-<region>`."
  type        = string
  default     = null

  validation {
    condition     = var.bucket_name == null ? true : can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "bucket_name: expected 3 to 63 characters of a-z, 0-9 and '-', starting and ending with a letter or digit: S3 takes no longer names."
  }
}

variable "repositories" {
  description = "Repositories of the OCI registry, below `<name>-<environment>/`."
  type        = set(string)
  default     = ["mcdeployd", "mcserve"]

  validation {
    condition     = alltrue([for name in var.repositories : can(regex("^[a-z0-9]+([._/-][a-z0-9]+)*$", name)) && length(name) <= 200])
    error_message = "repositories: expected names of a-z and 0-9, with single '.', '_', '-' or '/' between, at most 200 characters."
  }
}

variable "deletion_protection" {
  description = "Refuse to delete the bucket, old versions of objects and registries that hold images. Turn off, apply, then destroy."
  type        = bool
  default     = true
}

variable "noncurrent_days" {
  description = "Days that an overwritten or deleted object can be brought back."
  type        = number
  default     = 30

  validation {
    condition     = var.noncurrent_days >= 1 && var.noncurrent_days <= 3650 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "noncurrent_days: expected a whole number from 1 to 3650."
  }
}

variable "kms_key_arn" {
  description = "Customer key for objects and images. Left out: keys that AWS owns."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[0-9a-f-]{36}$", var.kms_key_arn))
    error_message = "kms_key_arn: expected the ARN of a KMS key, arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}

variable "access_log_bucket" {
  description = "Bucket that gets the access logs. Left out: none are written."
  type        = string
  default     = null

  validation {
    condition     = var.access_log_bucket == null ? true : can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.access_log_bucket))
    error_message = "access_log_bucket: expected the name of an S3 bucket, 3 to 63 characters."
  }
}

variable "tags" {
  description = "Tags for everything made here, beside the module's own."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(lower(key), "aws:")])
    error_message = "tags: keys that start with 'aws:' are reserved by AWS."
  }
}
