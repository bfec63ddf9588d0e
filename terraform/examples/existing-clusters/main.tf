# Clusters that exist already, one AKS and one of one's own: only store, registry and
# identities are made. The on-prem cluster is reached by a context of the kubeconfig that
# `mcdeploy clusters add` runs with, and brings its own S3 server, whose keys are in the
# Secret garage-store of the hub's mcdeploy-system.

data "azurerm_kubernetes_cluster" "this" {
  name                = var.aks_cluster_name
  resource_group_name = var.resource_group_name

  lifecycle {
    postcondition {
      condition     = self.oidc_issuer_enabled
      error_message = "aks_cluster_name: the cluster ${self.name} has no OIDC issuer; az aks update --enable-oidc-issuer --enable-workload-identity turns it on."
    }
    postcondition {
      condition     = self.location == var.azure_region
      error_message = "azure_region: says ${var.azure_region}, but the cluster is in ${self.location}."
    }
  }
}

module "artifacts" {
  source = "../../modules/azure/artifacts"

  name                = var.name
  environment         = var.environment
  region              = var.azure_region
  resource_group_name = var.resource_group_name
  unique_suffix       = var.unique_suffix
  allowed_cidrs       = var.egress_cidrs
  deletion_protection = var.deletion_protection
}

module "identity" {
  source = "../../modules/azure/identity"

  name                  = var.name
  environment           = var.environment
  region                = var.azure_region
  resource_group_name   = var.resource_group_name
  issuers               = { azure = data.azurerm_kubernetes_cluster.this.oidc_issuer_url }
  hub                   = "azure"
  members               = ["azure"]
  model_prefix          = var.model_prefix
  container_id          = module.artifacts.container_id
  registry_ids          = { main = module.artifacts.registry_id }
  kubelet_principal_ids = { main = data.azurerm_kubernetes_cluster.this.kubelet_identity[0].object_id }
  cluster_ids           = { main = data.azurerm_kubernetes_cluster.this.id }
}

module "join" {
  source = "../../modules/join"

  clusters = [
    {
      name     = "azure-${var.azure_region}"
      provider = "azure"
      region   = var.azure_region
      store    = module.artifacts.store.name
      access = {
        aks = {
          resourceId = data.azurerm_kubernetes_cluster.this.id
          tenantId   = var.tenant_id
          clientId   = module.identity.operator_client_id
          fqdn       = data.azurerm_kubernetes_cluster.this.fqdn
        }
      }
    },
    {
      name         = "garage"
      provider     = "onprem"
      region       = "garage"
      jurisdiction = "DE"
      cidrs        = ["192.168.0.0/16"]
      store        = "garage"
      access       = { kubeconfig = { context = "garage" } }
    },
  ]
  stores = [
    module.artifacts.store,
    {
      name     = "garage"
      provider = "onprem"
      region   = "garage"
      location = { s3 = { bucket = "models", endpoint = "https://s3.garage.example.com", pathStyle = true } }
      auth     = { secretRef = "garage-store" }
    },
  ]
  registries = [module.artifacts.registry]
}
