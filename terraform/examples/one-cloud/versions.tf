terraform {
  required_version = ">= 1.9.0, < 2.0.0"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.40.0, < 7.0.0"
    }
  }

  # State: remote, locked by Cloud Storage itself, encrypted with a customer key
  # (kms_encryption_key). The bucket has versions on and is made once, by hand, beforehand.
  # terraform init -backend-config=state.gcs.tfbackend
  backend "gcs" {}
}

provider "google" {
  project = var.project_id
  region  = var.region
}
