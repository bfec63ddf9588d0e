terraform {
  required_version = ">= 1.10.0, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.90.0, < 6.0.0"
    }
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.40.0, < 5.0.0"
    }
    google = {
      source  = "hashicorp/google"
      version = ">= 6.40.0, < 7.0.0"
    }
  }

  # State: remote, locked by a file beside it, encrypted with a customer key. The bucket
  # has versions on and public access blocked; it is made once, by hand, beforehand.
  # terraform init -backend-config=state.s3.tfbackend
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region              = var.aws_region
  allowed_account_ids = [var.aws_account_id]
}

provider "azurerm" {
  subscription_id                 = var.azure_subscription_id
  tenant_id                       = var.azure_tenant_id
  storage_use_azuread             = true
  resource_provider_registrations = "core"

  features {}
}

provider "google" {
  project = var.gcp_project_id
  region  = var.gcp_region
}
