output "bucket" {
  description = "Name of the bucket, for the identity module."
  value       = google_storage_bucket.models.name
}

output "repository" {
  description = "The registry's repository, for the identity module."
  value = {
    location = google_artifact_registry_repository.this.location
    id       = google_artifact_registry_repository.this.repository_id
  }
}

output "store" {
  description = "The ArtifactStore as the module `join` takes it."
  value = {
    name         = local.store_name
    provider     = "gcp"
    region       = var.region
    jurisdiction = local.regions[var.region][0]
    location     = { gcs = { bucket = google_storage_bucket.models.name } }
    auth         = { ambient = {} }
  }
}

output "registry" {
  description = "The OCI registry as the module `join` takes it; repositories appear by the first push."
  value = {
    name         = local.store_name
    provider     = "gcp"
    region       = var.region
    prefix       = "${var.region}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.this.repository_id}"
    repositories = []
  }
}
