output "cluster_name" {
  description = "Name of the AKS cluster."
  value       = azurerm_kubernetes_cluster.this.name
}

output "cluster_id" {
  description = "Resource id of the AKS cluster, for the identity module."
  value       = azurerm_kubernetes_cluster.this.id
}

output "issuer_url" {
  description = "OIDC issuer of the cluster's ServiceAccount tokens, for the identity modules of all clouds."
  value       = azurerm_kubernetes_cluster.this.oidc_issuer_url
}

output "kubelet_principal_id" {
  description = "Identity that nodes pull images with, for the identity module."
  value       = azurerm_user_assigned_identity.kubelet.principal_id
}

output "node_subnet_id" {
  description = "Subnet of the nodes, for the artifacts module's allow-list."
  value       = azurerm_subnet.nodes.id
}

output "egress_cidrs" {
  description = "Addresses that the cluster's traffic to the internet comes from, for allow-lists elsewhere."
  value       = ["${azurerm_public_ip.nat.ip_address}/32"]
}

output "cidrs" {
  description = "Networks that the cluster uses and that others must not overlap."
  value       = [var.vnet_cidr]
}

output "member" {
  description = "The cluster as the module `join` takes it, without access and store."
  value = {
    name         = local.member_name
    provider     = "azure"
    region       = var.region
    jurisdiction = local.jurisdiction
    cidrs        = [var.vnet_cidr]
  }
}

output "access" {
  description = "How the hub reaches the API server; merge in `clientId` of the identity module."
  value = {
    resourceId = azurerm_kubernetes_cluster.this.id
    tenantId   = var.tenant_id
    fqdn       = length(var.public_api_cidrs) == 0 ? azurerm_kubernetes_cluster.this.private_fqdn : azurerm_kubernetes_cluster.this.fqdn
  }
}
