mock_provider "azurerm" {
  mock_data "azurerm_kubernetes_cluster" {
    defaults = {
      id                  = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/platform/providers/Microsoft.ContainerService/managedClusters/platform-1"
      location            = "eastus"
      fqdn                = "platform-1.hcp.eastus.azmk8s.io"
      oidc_issuer_enabled = true
      oidc_issuer_url     = "https://eastus.oic.prod-aks.azure.com/tenant/cluster/"
      kubelet_identity    = [{ object_id = "11111111-2222-3333-4444-888888888888" }]
    }
  }
  mock_resource "azurerm_storage_account" {
    defaults = { primary_blob_endpoint = "https://shopprodab12.blob.core.windows.net/" }
  }
  mock_resource "azurerm_storage_container" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/platform/providers/Microsoft.Storage/storageAccounts/shopprodab12/blobServices/default/containers/models" }
  }
  mock_resource "azurerm_container_registry" {
    defaults = {
      id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/platform/providers/Microsoft.ContainerRegistry/registries/shopprodab12"
      login_server = "shopprodab12.azurecr.io"
    }
  }
  mock_resource "azurerm_user_assigned_identity" {
    defaults = { client_id = "11111111-2222-3333-4444-666666666666" }
  }
}

variables {
  name                = "shop"
  environment         = "prod"
  subscription_id     = "00000000-0000-0000-0000-000000000000"
  tenant_id           = "11111111-2222-3333-4444-555555555555"
  resource_group_name = "platform"
  aks_cluster_name    = "platform-1"
  unique_suffix       = "ab12"
  egress_cidrs        = ["203.0.113.7/32"]
  model_prefix        = "digits/"
}

# With nothing made yet every id is unknown: keys and counts must not need them.
run "first_plan_works" {
  command = plan
}

run "fleet_lists_what_exists" {
  command = apply

  assert {
    condition     = output.mcdeploy.clusters[0].access.aks.clientId == "11111111-2222-3333-4444-666666666666" && output.mcdeploy.clusters[1].access.kubeconfig.context == "garage"
    error_message = "both clusters must be in the inventory"
  }
}

run "refuses_a_region_that_contradicts_the_cluster" {
  command = plan
  variables {
    azure_region = "westus"
  }
  expect_failures = [data.azurerm_kubernetes_cluster.this]
}

# As the README's commands for destroying do.
run "deletion_protection_can_be_lifted" {
  command = plan
  variables {
    deletion_protection = false
  }
  assert {
    condition     = !var.deletion_protection
    error_message = "the variable must exist"
  }
}
