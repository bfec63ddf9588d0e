# One bucket for model versions and an OCI registry for images, in one region.

locals {
  base = "${var.name}-${var.environment}"

  labels = merge(var.labels, {
    mcdeploy-fleet       = var.name
    mcdeploy-environment = var.environment
    managed-by           = "terraform"
  })

  regions    = jsondecode(file("${path.module}/../../regions.json")).gcp
  store_name = coalesce(var.store_name, "gcp-${var.region}")
  # 30 + 1 + 12 + 1 + 8 + 7 characters at most: fits into 63.
  bucket = coalesce(var.bucket_name, "${var.project_id}-${local.base}-models")
}

resource "google_storage_bucket" "models" {
  #checkov:skip=CKV_GCP_62:access logs are written when the variable access_log_bucket names a bucket
  name          = local.bucket
  project       = var.project_id
  location      = var.region
  storage_class = "STANDARD"
  force_destroy = !var.deletion_protection
  labels        = local.labels

  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true
  }

  soft_delete_policy {
    retention_duration_seconds = var.noncurrent_days * 86400
  }

  lifecycle_rule {
    condition {
      days_since_noncurrent_time = var.noncurrent_days
    }

    action {
      type = "Delete"
    }
  }

  lifecycle_rule {
    condition {
      age = 7
    }

    action {
      type = "AbortIncompleteMultipartUpload"
    }
  }

  dynamic "encryption" {
    for_each = var.kms_key_id == null ? [] : [var.kms_key_id]

    content {
      default_kms_key_name = encryption.value
    }
  }

  dynamic "logging" {
    for_each = var.access_log_bucket == null ? [] : [var.access_log_bucket]

    content {
      log_bucket = logging.value
    }
  }
}

# Plain HTTP is refused by a policy of the project: buckets have no such setting.
resource "google_org_policy_policy" "tls" {
  count = var.require_tls ? 1 : 0

  name   = "projects/${var.project_id}/policies/storage.secureHttpTransport"
  parent = "projects/${var.project_id}"

  spec {
    rules {
      enforce = "TRUE"
    }
  }
}

resource "google_artifact_registry_repository" "this" {
  #checkov:skip=CKV_GCP_84:the customer key comes by the variable kms_key_id; left out, Google encrypts with its own
  project       = var.project_id
  location      = var.region
  repository_id = local.base
  description   = "Images of ${local.base}"
  format        = "DOCKER"
  kms_key_name  = var.kms_key_id
  labels        = local.labels

  docker_config {
    immutable_tags = true
  }

  cleanup_policies {
    id     = "forget-untagged"
    action = "DELETE"

    condition {
      tag_state  = "UNTAGGED"
      older_than = "7776000s"
    }
  }
}
