terraform {
  required_version = ">= 1.9.0, < 2.0.0"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.40.0, < 5.0.0"
    }
  }

  # State: remote, locked by a lease on the blob, encrypted by the storage account (with
  # a customer key where the account has one); no shared key, the caller's Entra login.
  # terraform init -backend-config=state.azurerm.tfbackend
  backend "azurerm" {
    use_azuread_auth = true
  }
}

provider "azurerm" {
  subscription_id                 = var.subscription_id
  storage_use_azuread             = true
  resource_provider_registrations = "core"

  features {}
}
