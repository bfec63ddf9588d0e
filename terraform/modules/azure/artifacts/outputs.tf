output "account_name" {
  description = "Name of the storage account."
  value       = azurerm_storage_account.models.name
}

output "container_id" {
  description = "Resource id of the container, for the identity module."
  value       = azurerm_storage_container.models.id
}

output "registry_id" {
  description = "Resource id of the registry, for the identity module."
  value       = azurerm_container_registry.this.id
}

output "store" {
  description = "The ArtifactStore as the module `join` takes it."
  value = {
    name         = local.store_name
    provider     = "azure"
    region       = var.region
    jurisdiction = local.regions[var.region][0]
    location = {
      azureBlob = {
        endpoint  = trimsuffix(azurerm_storage_account.models.primary_blob_endpoint, "/")
        container = azurerm_storage_container.models.name
      }
    }
    auth = { ambient = {} }
  }
}

output "registry" {
  description = "The OCI registry as the module `join` takes it; repositories appear by the first push."
  value = {
    name         = local.store_name
    provider     = "azure"
    region       = var.region
    prefix       = azurerm_container_registry.this.login_server
    repositories = []
  }
}
