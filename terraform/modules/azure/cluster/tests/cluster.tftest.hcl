mock_provider "azurerm" {
  mock_resource "azurerm_kubernetes_cluster" {
    defaults = {
      id              = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/shop/providers/Microsoft.ContainerService/managedClusters/shop-prod"
      oidc_issuer_url = "https://eastus.oic.prod-aks.azure.com/tenant/cluster/"
      private_fqdn    = "private.example"
      fqdn            = "public.example"
    }
  }
  mock_resource "azurerm_public_ip" {
    defaults = { ip_address = "203.0.113.7" }
  }
}

variables {
  name                = "shop"
  environment         = "prod"
  region              = "eastus"
  resource_group_name = "shop"
  tenant_id           = "11111111-2222-3333-4444-555555555555"
}

run "api_is_private_and_logins_are_entras" {
  command = apply

  assert {
    condition     = azurerm_kubernetes_cluster.this.private_cluster_enabled && length(azurerm_kubernetes_cluster.this.api_server_access_profile) == 0
    error_message = "the API endpoint must be private by default"
  }
  assert {
    condition = alltrue([
      azurerm_kubernetes_cluster.this.local_account_disabled,
      azurerm_kubernetes_cluster.this.oidc_issuer_enabled,
      azurerm_kubernetes_cluster.this.workload_identity_enabled,
      !azurerm_kubernetes_cluster.this.run_command_enabled,
    ])
    error_message = "local accounts and run-command must be off, workload identity on"
  }
  assert {
    condition     = output.member.name == "azure-eastus" && output.member.jurisdiction == "US" && output.access.fqdn == "private.example"
    error_message = "outputs must name the member and its private endpoint"
  }
  assert {
    condition     = output.egress_cidrs == ["203.0.113.7/32"]
    error_message = "the address that traffic leaves by must be known"
  }
}

run "public_api_is_limited_to_the_list" {
  command = apply
  variables {
    public_api_cidrs = ["203.0.113.0/24"]
  }
  assert {
    condition     = !azurerm_kubernetes_cluster.this.private_cluster_enabled && azurerm_kubernetes_cluster.this.api_server_access_profile[0].authorized_ip_ranges == toset(["203.0.113.0/24"])
    error_message = "public access must be on for exactly the list"
  }
}

run "gpu_pool_has_taint_and_labels_that_placement_reads" {
  command = plan
  variables {
    gpu_pools              = { t4 = { vm_size = "Standard_NC4as_T4_v3", accelerator = "nvidia-t4" } }
    disk_encryption_set_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/shop/providers/Microsoft.Compute/diskEncryptionSets/mine"
    secrets_key_id         = "https://mine.vault.azure.net/keys/etcd/0123456789abcdef0123456789abcdef"
  }
  assert {
    condition     = azurerm_kubernetes_cluster_node_pool.gpu["t4"].node_taints == tolist(["nvidia.com/gpu=present:NoSchedule"]) && azurerm_kubernetes_cluster_node_pool.gpu["t4"].node_labels["mcdeploy.dev/accelerator"] == "nvidia-t4"
    error_message = "GPU nodes must be tainted and labelled"
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.key_management_service[0].key_vault_key_id == var.secrets_key_id && azurerm_kubernetes_cluster.this.disk_encryption_set_id == var.disk_encryption_set_id
    error_message = "customer keys must be used"
  }
}

run "refuses_a_region_that_azure_does_not_have" {
  command = plan
  variables {
    region = "us-east-1"
  }
  expect_failures = [var.region]
}

run "refuses_a_jurisdiction_that_contradicts_the_region" {
  command = plan
  variables {
    jurisdiction = "EU"
  }
  expect_failures = [var.jurisdiction]
}

run "refuses_pods_inside_the_network" {
  command = plan
  variables {
    pod_cidr = "10.72.128.0/18"
  }
  expect_failures = [var.pod_cidr]
}

run "refuses_services_inside_the_pods" {
  command = plan
  variables {
    service_cidr = "10.73.0.0/20"
  }
  expect_failures = [var.service_cidr]
}

run "refuses_a_network_that_overlaps_another" {
  command = plan
  variables {
    reserved_cidrs = ["10.72.16.0/20"]
  }
  expect_failures = [var.vnet_cidr]
}

run "refuses_values_out_of_range" {
  command = plan
  variables {
    name                   = "shop-of-everything"
    environment            = "pre-prod"
    resource_group_name    = "ends."
    member_name            = "Azure"
    kubernetes_version     = "2.0"
    reserved_cidrs         = ["everywhere"]
    public_api_cidrs       = ["0.0.0.0/0"]
    cpu_pool               = { max_count = 1 }
    gpu_pools              = { averylongpoolname = { vm_size = "Standard_NC4as_T4_v3", accelerator = "nvidia-t4" } }
    zones                  = ["a"]
    tenant_id              = "contoso"
    admin_group_object_ids = ["admins"]
    disk_encryption_set_id = "mine"
    secrets_key_id         = "mine"
    log_retention_days     = 7
    tags                   = { "a/b" = "c" }
  }
  expect_failures = [
    var.name,
    var.environment,
    var.resource_group_name,
    var.member_name,
    var.kubernetes_version,
    var.reserved_cidrs,
    var.public_api_cidrs,
    var.cpu_pool,
    var.gpu_pools,
    var.zones,
    var.tenant_id,
    var.admin_group_object_ids,
    var.disk_encryption_set_id,
    var.secrets_key_id,
    var.log_retention_days,
    var.tags,
  ]
}

run "the_cluster_may_join_its_subnet_and_change_no_network" {
  command = apply

  assert {
    condition     = toset(azurerm_role_definition.subnet.permissions[0].actions) == toset(["Microsoft.Network/virtualNetworks/subnets/join/action", "Microsoft.Network/virtualNetworks/subnets/read"])
    error_message = "two actions on one subnet are enough"
  }
  assert {
    condition     = azurerm_role_assignment.subnet.role_definition_name == null || azurerm_role_assignment.subnet.role_definition_id == azurerm_role_definition.subnet.role_definition_resource_id
    error_message = "the role must be the one of two actions"
  }
}
