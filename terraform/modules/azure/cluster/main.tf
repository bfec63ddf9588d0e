# One AKS cluster that can serve models: private API endpoint, Entra logins only,
# workload identity by the cluster's own OIDC issuer, logs on.

locals {
  base = "${var.name}-${var.environment}"

  tags = merge(var.tags, {
    mcdeploy-fleet       = var.name
    mcdeploy-environment = var.environment
    managed-by           = "terraform"
  })

  regions      = jsondecode(file("${path.module}/../../regions.json")).azure
  jurisdiction = coalesce(var.jurisdiction, local.regions[var.region][0])
  member_name  = coalesce(var.member_name, "azure-${var.region}")
}

resource "azurerm_virtual_network" "this" {
  name                = local.base
  resource_group_name = var.resource_group_name
  location            = var.region
  address_space       = [var.vnet_cidr]
  tags                = local.tags
}

resource "azurerm_subnet" "nodes" {
  name                 = "nodes"
  resource_group_name  = var.resource_group_name
  virtual_network_name = azurerm_virtual_network.this.name
  address_prefixes     = [cidrsubnet(var.vnet_cidr, 1, 0)]
  # Artifacts and images are read over these, not over the internet.
  service_endpoints = ["Microsoft.Storage", "Microsoft.ContainerRegistry"]
}

resource "azurerm_network_security_group" "nodes" {
  name                = "${local.base}-nodes"
  resource_group_name = var.resource_group_name
  location            = var.region
  tags                = local.tags
}

resource "azurerm_subnet_network_security_group_association" "nodes" {
  subnet_id                 = azurerm_subnet.nodes.id
  network_security_group_id = azurerm_network_security_group.nodes.id
}

# Transfers to other clouds leave by one known address.
resource "azurerm_public_ip" "nat" {
  name                = "${local.base}-nat"
  resource_group_name = var.resource_group_name
  location            = var.region
  allocation_method   = "Static"
  sku                 = "Standard"
  # A NAT gateway is in one zone, and so is its address.
  zones = slice(var.zones, 0, min(length(var.zones), 1))
  tags  = local.tags
}

resource "azurerm_nat_gateway" "this" {
  name                = local.base
  resource_group_name = var.resource_group_name
  location            = var.region
  sku_name            = "Standard"
  zones               = slice(var.zones, 0, min(length(var.zones), 1))
  tags                = local.tags
}

resource "azurerm_nat_gateway_public_ip_association" "this" {
  nat_gateway_id       = azurerm_nat_gateway.this.id
  public_ip_address_id = azurerm_public_ip.nat.id
}

resource "azurerm_subnet_nat_gateway_association" "nodes" {
  subnet_id      = azurerm_subnet.nodes.id
  nat_gateway_id = azurerm_nat_gateway.this.id
}

resource "azurerm_user_assigned_identity" "cluster" {
  name                = "${local.base}-cluster"
  resource_group_name = var.resource_group_name
  location            = var.region
  tags                = local.tags
}

# Nodes pull images as this one; made beforehand, so that its rights are there when they start.
resource "azurerm_user_assigned_identity" "kubelet" {
  name                = "${local.base}-kubelet"
  resource_group_name = var.resource_group_name
  location            = var.region
  tags                = local.tags
}

resource "azurerm_role_assignment" "kubelet" {
  scope                = azurerm_user_assigned_identity.kubelet.id
  role_definition_name = "Managed Identity Operator"
  principal_id         = azurerm_user_assigned_identity.cluster.principal_id
}

# Nodes and load balancers join this one subnet; the built-in role for it may change every network.
resource "azurerm_role_definition" "subnet" {
  name              = "${local.base}-join-${var.region}"
  description       = "mcdeploy cluster of ${local.base}: join one subnet"
  scope             = azurerm_subnet.nodes.id
  assignable_scopes = [azurerm_subnet.nodes.id]

  permissions {
    actions = [
      "Microsoft.Network/virtualNetworks/subnets/read",
      "Microsoft.Network/virtualNetworks/subnets/join/action",
    ]
  }
}

resource "azurerm_role_assignment" "subnet" {
  scope              = azurerm_subnet.nodes.id
  role_definition_id = azurerm_role_definition.subnet.role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.cluster.principal_id
}

resource "azurerm_log_analytics_workspace" "this" {
  name                = local.base
  resource_group_name = var.resource_group_name
  location            = var.region
  sku                 = "PerGB2018"
  retention_in_days   = var.log_retention_days
  tags                = local.tags
}

resource "azurerm_kubernetes_cluster" "this" {
  #checkov:skip=CKV_AZURE_115:private unless public_api_cidrs lists networks
  #checkov:skip=CKV_AZURE_6:a private endpoint has no ranges; a public one has those of public_api_cidrs
  #checkov:skip=CKV_AZURE_117:the customer key of disks comes by the variable disk_encryption_set_id
  #checkov:skip=CKV_AZURE_226:ephemeral disks need sizes whose cache is large enough; the default size has none
  #checkov:skip=CKV_AZURE_232:the first pool runs models too, so that a small fleet needs no second one
  name                = local.base
  resource_group_name = var.resource_group_name
  location            = var.region
  dns_prefix          = local.base
  kubernetes_version  = var.kubernetes_version
  sku_tier            = "Standard"
  node_resource_group = "${local.base}-nodes"
  tags                = local.tags

  private_cluster_enabled   = length(var.public_api_cidrs) == 0
  run_command_enabled       = false
  local_account_disabled    = true
  oidc_issuer_enabled       = true
  workload_identity_enabled = true
  azure_policy_enabled      = true
  automatic_upgrade_channel = "patch"
  node_os_upgrade_channel   = "NodeImage"

  image_cleaner_enabled        = true
  image_cleaner_interval_hours = 168
  disk_encryption_set_id       = var.disk_encryption_set_id

  dynamic "api_server_access_profile" {
    for_each = length(var.public_api_cidrs) > 0 ? [var.public_api_cidrs] : []

    content {
      authorized_ip_ranges = api_server_access_profile.value
    }
  }

  azure_active_directory_role_based_access_control {
    tenant_id              = var.tenant_id
    admin_group_object_ids = var.admin_group_object_ids
    azure_rbac_enabled     = true
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.cluster.id]
  }

  kubelet_identity {
    client_id                 = azurerm_user_assigned_identity.kubelet.client_id
    object_id                 = azurerm_user_assigned_identity.kubelet.principal_id
    user_assigned_identity_id = azurerm_user_assigned_identity.kubelet.id
  }

  dynamic "key_management_service" {
    for_each = var.secrets_key_id == null ? [] : [var.secrets_key_id]

    content {
      key_vault_key_id         = key_management_service.value
      key_vault_network_access = "Public"
    }
  }

  key_vault_secrets_provider {
    secret_rotation_enabled = true
  }

  default_node_pool {
    name                    = "cpu"
    vm_size                 = var.cpu_pool.vm_size
    vnet_subnet_id          = azurerm_subnet.nodes.id
    auto_scaling_enabled    = true
    min_count               = var.cpu_pool.min_count
    max_count               = var.cpu_pool.max_count
    max_pods                = 110
    os_disk_size_gb         = var.cpu_pool.disk_gib
    host_encryption_enabled = true
    zones                   = var.zones
    node_labels             = merge(var.cpu_pool.labels, { "mcdeploy.dev/pool" = "cpu" })
    tags                    = local.tags

    upgrade_settings {
      max_surge = "33%"
    }
  }

  network_profile {
    network_plugin      = "azure"
    network_plugin_mode = "overlay"
    network_data_plane  = "cilium"
    network_policy      = "cilium"
    load_balancer_sku   = "standard"
    outbound_type       = "userAssignedNATGateway"
    pod_cidr            = var.pod_cidr
    service_cidr        = var.service_cidr
    dns_service_ip      = cidrhost(var.service_cidr, 10)
  }

  oms_agent {
    log_analytics_workspace_id      = azurerm_log_analytics_workspace.this.id
    msi_auth_for_monitoring_enabled = true
  }

  depends_on = [
    azurerm_role_assignment.kubelet,
    azurerm_role_assignment.subnet,
    azurerm_subnet_nat_gateway_association.nodes,
    azurerm_nat_gateway_public_ip_association.this,
  ]
}

resource "azurerm_monitor_diagnostic_setting" "control_plane" {
  name                       = "control-plane"
  target_resource_id         = azurerm_kubernetes_cluster.this.id
  log_analytics_workspace_id = azurerm_log_analytics_workspace.this.id

  dynamic "enabled_log" {
    for_each = ["kube-apiserver", "kube-audit-admin", "kube-controller-manager", "kube-scheduler", "guard"]

    content {
      category = enabled_log.value
    }
  }
}

resource "azurerm_kubernetes_cluster_node_pool" "gpu" {
  for_each = var.gpu_pools

  name                    = each.key
  kubernetes_cluster_id   = azurerm_kubernetes_cluster.this.id
  mode                    = "User"
  vm_size                 = each.value.vm_size
  vnet_subnet_id          = azurerm_subnet.nodes.id
  auto_scaling_enabled    = true
  min_count               = each.value.min_count
  max_count               = each.value.max_count
  max_pods                = 110
  os_disk_size_gb         = each.value.disk_gib
  host_encryption_enabled = true
  zones                   = var.zones
  priority                = each.value.spot ? "Spot" : "Regular"
  eviction_policy         = each.value.spot ? "Delete" : null
  node_taints             = ["nvidia.com/gpu=present:NoSchedule"]
  tags                    = local.tags

  node_labels = merge(each.value.labels, {
    "mcdeploy.dev/pool"        = "gpu"
    "mcdeploy.dev/accelerator" = each.value.accelerator
  })

  lifecycle {
    # An autoscaler moves it.
    ignore_changes = [node_count]
  }
}
