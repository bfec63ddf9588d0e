mock_provider "azurerm" {
  mock_resource "azurerm_storage_account" {
    defaults = {
      id                    = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/shop/providers/Microsoft.Storage/storageAccounts/shopprodab12"
      primary_blob_endpoint = "https://shopprodab12.blob.core.windows.net/"
    }
  }
  mock_resource "azurerm_container_registry" {
    defaults = { login_server = "shopprodab12.azurecr.io" }
  }
}

variables {
  name                = "shop"
  environment         = "prod"
  region              = "eastus"
  resource_group_name = "shop"
  unique_suffix       = "ab12"
  allowed_cidrs       = ["203.0.113.7/32"]
}

run "container_is_closed_versioned_and_locked" {
  command = apply

  assert {
    condition = alltrue([
      azurerm_storage_account.models.https_traffic_only_enabled,
      azurerm_storage_account.models.min_tls_version == "TLS1_2",
      !azurerm_storage_account.models.shared_access_key_enabled,
      !azurerm_storage_account.models.allow_nested_items_to_be_public,
      azurerm_storage_account.models.network_rules[0].default_action == "Deny",
      azurerm_storage_account.models.blob_properties[0].versioning_enabled,
    ])
    error_message = "TLS only, no keys, nothing public, deny by default, versions kept"
  }
  assert {
    condition     = azurerm_storage_account.models.network_rules[0].ip_rules == toset(["203.0.113.7"])
    error_message = "the storage firewall wants single addresses without /32"
  }
  assert {
    condition     = length(azurerm_management_lock.models) == 1 && length(azurerm_management_lock.registry) == 1
    error_message = "account and registry must be locked against deletion"
  }
  assert {
    condition     = !azurerm_container_registry.this.admin_enabled && !azurerm_container_registry.this.anonymous_pull_enabled
    error_message = "the registry must know no passwords"
  }
  assert {
    condition     = output.account_name == "shopprodab12" && output.store.location.azureBlob.endpoint == "https://shopprodab12.blob.core.windows.net"
    error_message = "names and endpoint must follow the rule"
  }
}

run "account_is_unreachable_without_a_list" {
  command = apply
  variables {
    allowed_cidrs = []
  }
  assert {
    condition     = !azurerm_storage_account.models.public_network_access_enabled && !azurerm_container_registry.this.public_network_access_enabled
    error_message = "without a list nothing may be reachable"
  }
}

run "deletion_protection_can_be_lifted" {
  command = apply
  variables {
    deletion_protection = false
  }
  assert {
    condition     = length(azurerm_management_lock.models) == 0
    error_message = "without protection there must be no lock"
  }
}

run "customer_key_is_used" {
  command = plan
  variables {
    customer_key = {
      key_vault_key_id   = "https://mine.vault.azure.net/keys/models"
      identity_id        = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/key"
      identity_client_id = "11111111-2222-3333-4444-555555555555"
    }
  }
  assert {
    condition     = azurerm_storage_account.models.customer_managed_key[0].key_vault_key_id == var.customer_key.key_vault_key_id && azurerm_container_registry.this.encryption[0].key_vault_key_id == var.customer_key.key_vault_key_id
    error_message = "objects and images must be encrypted with the customer key"
  }
}

run "refuses_an_account_name_that_is_too_long" {
  command = plan
  variables {
    account_name = "theshopsmodelsinproduction"
  }
  expect_failures = [var.account_name]
}

run "refuses_values_out_of_range" {
  command = plan
  variables {
    name                       = "Shop"
    environment                = "p"
    region                     = "europe-west4"
    resource_group_name        = ""
    store_name                 = "Azure"
    unique_suffix              = "abcde"
    container_name             = "a--b"
    replication                = "RAGRS"
    allowed_subnet_ids         = ["nodes"]
    allowed_cidrs              = ["0.0.0.0/0"]
    noncurrent_days            = 400
    customer_key               = { key_vault_key_id = "mine", identity_id = "mine", identity_client_id = "mine" }
    log_analytics_workspace_id = "mine"
    tags                       = { "a?b" = "c" }
  }
  expect_failures = [
    var.name,
    var.environment,
    var.region,
    var.resource_group_name,
    var.store_name,
    var.unique_suffix,
    var.container_name,
    var.replication,
    var.allowed_subnet_ids,
    var.allowed_cidrs,
    var.noncurrent_days,
    var.customer_key,
    var.log_analytics_workspace_id,
    var.tags,
  ]
}
