mock_provider "google" {
  mock_resource "google_compute_address" {
    defaults = { address = "203.0.113.9" }
  }
  mock_resource "google_container_cluster" {
    defaults = { endpoint = "10.80.16.2" }
  }
  mock_resource "google_service_account" {
    defaults = { email = "mock@shop-dev-1.iam.gserviceaccount.com" }
  }
}

variables {
  name           = "shop"
  environment    = "dev"
  project_id     = "shop-dev-1"
  project_number = "123456789012"
  model_prefix   = "digits/"
}

# With nothing made yet every id is unknown: keys and counts must not need them.
run "first_plan_works" {
  command = plan
}

run "fleet_lists_one_cluster" {
  command = apply

  assert {
    condition     = output.mcdeploy.clusters[0].access.gke.serviceAccount == "mock@shop-dev-1.iam.gserviceaccount.com" && output.mcdeploy.stores[0].location.gcs.bucket == "shop-dev-1-shop-dev-models"
    error_message = "cluster and store must be in the inventory"
  }
}
