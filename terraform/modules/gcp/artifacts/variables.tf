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

variable "project_id" {
  description = "Google Cloud project that everything is made in."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id: expected 6 to 30 characters of a-z, 0-9 and '-', starting with a letter."
  }
}

variable "region" {
  description = "Google Cloud region, such as `europe-west4`."
  type        = string

  validation {
    condition     = contains(keys(local.regions), var.region)
    error_message = "region: Google Cloud has no region of this name; expected one such as europe-west4 (all of them are in terraform/modules/regions.json)."
  }
}

variable "store_name" {
  description = "Name of the ArtifactStore in mcdeploy. Left out: `gcp-<region>`."
  type        = string
  default     = null

  validation {
    condition     = var.store_name == null ? true : can(regex("^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$", var.store_name))
    error_message = "store_name: expected at most 40 characters of a-z, 0-9 and '-', starting and ending with a letter or digit."
  }
}

variable "bucket_name" {
  description = "Name of the bucket, unique in the world. Left out: `<project_id>-<name>-<environment>-models`."
  type        = string
  default     = null

  validation {
    condition     = var.bucket_name == null ? true : can(regex("^[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]$", var.bucket_name)) && !startswith(var.bucket_name, "goog")
    error_message = "bucket_name: expected 3 to 63 characters of a-z, 0-9, '_' and '-', starting and ending with a letter or digit and not with 'goog': Cloud Storage takes no other names."
  }
}

variable "deletion_protection" {
  description = "Refuse to delete a bucket that holds objects. Turn off, apply, then destroy."
  type        = bool
  default     = true
}

variable "noncurrent_days" {
  description = "Days that an overwritten or deleted object can be brought back."
  type        = number
  default     = 30

  validation {
    condition     = var.noncurrent_days >= 7 && var.noncurrent_days <= 90 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "noncurrent_days: expected a whole number from 7 to 90, the range of soft deletion."
  }
}

variable "kms_key_id" {
  description = "Customer key for objects and images, in the bucket's region; the service agents of Cloud Storage and Artifact Registry need rights on it. Left out: keys that Google owns."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_id == null ? true : can(regex("^projects/[a-z0-9-]+/locations/[a-z0-9-]+/keyRings/[A-Za-z0-9_-]+/cryptoKeys/[A-Za-z0-9_-]+$", var.kms_key_id))
    error_message = "kms_key_id: expected projects/P/locations/L/keyRings/R/cryptoKeys/K."
  }
}

variable "access_log_bucket" {
  description = "Bucket that gets the access logs. Left out: none are written."
  type        = string
  default     = null

  validation {
    condition     = var.access_log_bucket == null ? true : can(regex("^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$", var.access_log_bucket))
    error_message = "access_log_bucket: expected the name of a bucket."
  }
}

variable "require_tls" {
  description = "Set the project's organisation policy that refuses plain HTTP to Cloud Storage; the caller needs `roles/orgpolicy.policyAdmin`. Off where the organisation sets it already."
  type        = bool
  default     = true
}

variable "labels" {
  description = "Labels for everything made here that takes labels, beside the module's own."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(var.labels) <= 55 && alltrue([for key, value in var.labels : can(regex("^[a-z][a-z0-9_-]{0,62}$", key)) && can(regex("^[a-z0-9_-]{0,63}$", value))])
    error_message = "labels: expected at most 55, keys and values of at most 63 characters of a-z, 0-9, '_' and '-', keys starting with a letter."
  }
}
