mock_provider "google" {}

variables {
  name        = "shop"
  environment = "prod"
  project_id  = "shop-prod-1"
  region      = "europe-west4"
}

run "bucket_is_closed_versioned_and_kept" {
  command = apply

  assert {
    condition = alltrue([
      google_storage_bucket.models.uniform_bucket_level_access,
      google_storage_bucket.models.public_access_prevention == "enforced",
      google_storage_bucket.models.versioning[0].enabled,
      !google_storage_bucket.models.force_destroy,
    ])
    error_message = "the bucket must be closed, versioned and kept"
  }
  assert {
    condition     = google_org_policy_policy.tls[0].spec[0].rules[0].enforce == "TRUE"
    error_message = "plain HTTP must be refused"
  }
  assert {
    condition     = google_artifact_registry_repository.this.docker_config[0].immutable_tags
    error_message = "tags must not move"
  }
  assert {
    condition     = output.bucket == "shop-prod-1-shop-prod-models" && output.registry.prefix == "europe-west4-docker.pkg.dev/shop-prod-1/shop-prod"
    error_message = "bucket and registry must be named by the rule"
  }
}

run "deletion_protection_can_be_lifted" {
  command = plan
  variables {
    deletion_protection = false
  }
  assert {
    condition     = google_storage_bucket.models.force_destroy
    error_message = "without protection the bucket must be deletable"
  }
}

run "customer_key_is_used" {
  command = plan
  variables {
    kms_key_id = "projects/shop-prod-1/locations/europe-west4/keyRings/ring/cryptoKeys/key"
  }
  assert {
    condition     = google_storage_bucket.models.encryption[0].default_kms_key_name == var.kms_key_id && google_artifact_registry_repository.this.kms_key_name == var.kms_key_id
    error_message = "objects and images must be encrypted with the customer key"
  }
}

run "refuses_a_bucket_name_that_is_too_long" {
  command = plan
  variables {
    bucket_name = "a-bucket-for-all-the-models-of-the-shop-in-production-in-europe-w"
  }
  expect_failures = [var.bucket_name]
}

run "refuses_values_out_of_range" {
  command = plan
  variables {
    name              = "Shop"
    environment       = "p"
    project_id        = "x"
    region            = "eastus"
    store_name        = "GCP"
    noncurrent_days   = 1
    kms_key_id        = "mine"
    access_log_bucket = "No"
    labels            = { Team = "ml" }
  }
  expect_failures = [
    var.name,
    var.environment,
    var.project_id,
    var.region,
    var.store_name,
    var.noncurrent_days,
    var.kms_key_id,
    var.access_log_bucket,
    var.labels,
  ]
}
