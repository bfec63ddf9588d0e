# One storage account with one container for model versions, and an OCI registry.

locals {
  base    = "${var.name}-${var.environment}"
  compact = "${replace(local.base, "-", "")}${var.unique_suffix}"

  tags = merge(var.tags, {
    mcdeploy-fleet       = var.name
    mcdeploy-environment = var.environment
    managed-by           = "terraform"
  })

  regions    = jsondecode(file("${path.module}/../../regions.json")).azure
  store_name = coalesce(var.store_name, "azure-${var.region}")
  # 12 + 8 + 4 characters at most: fits into 24.
  account = coalesce(var.account_name, local.compact)

  # The storage firewall writes a single address without its /32.
  storage_ips = [for cidr in var.allowed_cidrs : trimsuffix(cidr, "/32")]
}

resource "azurerm_storage_account" "models" {
  #checkov:skip=CKV_AZURE_36:no Azure service needs the models; trusting all of them would be more than the least
  #checkov:skip=CKV2_AZURE_1:the customer key comes by the variable customer_key
  #checkov:skip=CKV2_AZURE_33:other clouds' transfers come over the internet, by the allow-list; the cluster comes by a service endpoint
  #checkov:skip=CKV_AZURE_59:public access of the account is limited by network rules that deny by default
  #checkov:skip=CKV_AZURE_206:copies in another region may leave the jurisdiction; mcdeploy copies to other clouds itself
  #checkov:skip=CKV_AZURE_33:the account has no queues
  name                = local.account
  resource_group_name = var.resource_group_name
  location            = var.region
  tags                = local.tags

  account_tier             = "Standard"
  account_kind             = "StorageV2"
  account_replication_type = var.replication

  https_traffic_only_enabled        = true
  min_tls_version                   = "TLS1_2"
  shared_access_key_enabled         = false
  default_to_oauth_authentication   = true
  local_user_enabled                = false
  allow_nested_items_to_be_public   = false
  cross_tenant_replication_enabled  = false
  infrastructure_encryption_enabled = true
  public_network_access_enabled     = length(var.allowed_cidrs) + length(var.allowed_subnet_ids) > 0

  network_rules {
    default_action             = "Deny"
    bypass                     = ["None"]
    ip_rules                   = local.storage_ips
    virtual_network_subnet_ids = var.allowed_subnet_ids
  }

  blob_properties {
    versioning_enabled = true

    delete_retention_policy {
      days = var.noncurrent_days
    }

    container_delete_retention_policy {
      days = var.noncurrent_days
    }
  }

  # Shared keys are off; if somebody turns them on, signatures end within a day.
  sas_policy {
    expiration_period = "01.00:00:00"
    expiration_action = "Log"
  }

  dynamic "identity" {
    for_each = var.customer_key == null ? [] : [var.customer_key]

    content {
      type         = "UserAssigned"
      identity_ids = [identity.value.identity_id]
    }
  }

  dynamic "customer_managed_key" {
    for_each = var.customer_key == null ? [] : [var.customer_key]

    content {
      key_vault_key_id          = customer_managed_key.value.key_vault_key_id
      user_assigned_identity_id = customer_managed_key.value.identity_id
    }
  }
}

resource "azurerm_storage_container" "models" {
  #checkov:skip=CKV2_AZURE_21:logs of blob requests go to log_analytics_workspace_id by the diagnostic setting below
  name                  = var.container_name
  storage_account_id    = azurerm_storage_account.models.id
  container_access_type = "private"
}

resource "azurerm_storage_management_policy" "models" {
  storage_account_id = azurerm_storage_account.models.id

  rule {
    name    = "forget-old-versions"
    enabled = true

    filters {
      blob_types   = ["blockBlob"]
      prefix_match = ["${var.container_name}/"]
    }

    actions {
      version {
        delete_after_days_since_creation = var.noncurrent_days
      }
    }
  }
}

resource "azurerm_monitor_diagnostic_setting" "blobs" {
  count = var.log_analytics_workspace_id == null ? 0 : 1

  name                       = "requests"
  target_resource_id         = "${azurerm_storage_account.models.id}/blobServices/default"
  log_analytics_workspace_id = var.log_analytics_workspace_id

  dynamic "enabled_log" {
    for_each = ["StorageRead", "StorageWrite", "StorageDelete"]

    content {
      category = enabled_log.value
    }
  }
}

resource "azurerm_management_lock" "models" {
  count = var.deletion_protection ? 1 : 0

  name       = "keep-models"
  scope      = azurerm_storage_account.models.id
  lock_level = "CanNotDelete"
  notes      = "Holds model versions of ${local.base}; deletion_protection of the module lifts this lock."
}

resource "azurerm_container_registry" "this" {
  #checkov:skip=CKV_AZURE_139:public access is limited by rules that deny by default; without allowed_cidrs it is off
  #checkov:skip=CKV_AZURE_165:mcdeploy pushes each image to each cloud's own registry
  #checkov:skip=CKV_AZURE_164:images are deployed by digest; content trust (Notary v1) is retired
  #checkov:skip=CKV_AZURE_166:quarantine needs a scanner that lifts it
  #checkov:skip=CKV_AZURE_233:zone redundancy comes by the variable replication
  #checkov:skip=CKV_AZURE_237:data endpoints matter to clients behind firewalls that list host names
  name                = local.compact
  resource_group_name = var.resource_group_name
  location            = var.region
  sku                 = "Premium"
  tags                = local.tags

  admin_enabled                 = false
  anonymous_pull_enabled        = false
  public_network_access_enabled = length(var.allowed_cidrs) > 0
  network_rule_bypass_option    = "None"
  zone_redundancy_enabled       = var.replication == "ZRS"
  retention_policy_in_days      = 90

  network_rule_set {
    default_action = "Deny"

    dynamic "ip_rule" {
      for_each = var.allowed_cidrs

      content {
        action   = "Allow"
        ip_range = ip_rule.value
      }
    }
  }

  dynamic "identity" {
    for_each = var.customer_key == null ? [] : [var.customer_key]

    content {
      type         = "UserAssigned"
      identity_ids = [identity.value.identity_id]
    }
  }

  dynamic "encryption" {
    for_each = var.customer_key == null ? [] : [var.customer_key]

    content {
      key_vault_key_id   = encryption.value.key_vault_key_id
      identity_client_id = encryption.value.identity_client_id
    }
  }
}

resource "azurerm_management_lock" "registry" {
  count = var.deletion_protection ? 1 : 0

  name       = "keep-images"
  scope      = azurerm_container_registry.this.id
  lock_level = "CanNotDelete"
  notes      = "Holds images of ${local.base}; deletion_protection of the module lifts this lock."
}
