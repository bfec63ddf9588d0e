# A cluster, a store and a registry in each of three clouds, identities without stored
# secrets between them, and a zone. The output `mcdeploy` is what joins them.

locals {
  # Each cluster's tokens are trusted by all clouds.
  issuers = {
    aws   = module.aws_cluster.issuer_url
    azure = module.azure_cluster.issuer_url
    gcp   = module.gcp_cluster.issuer_url
  }
  members = ["aws", "azure", "gcp"]

  egress_cidrs = concat(
    module.aws_cluster.egress_cidrs,
    module.azure_cluster.egress_cidrs,
    module.gcp_cluster.egress_cidrs,
  )
}

module "aws_cluster" {
  source = "../../modules/aws/cluster"

  name             = var.name
  environment      = var.environment
  region           = var.aws_region
  public_api_cidrs = var.public_api_cidrs
}

module "aws_artifacts" {
  source = "../../modules/aws/artifacts"

  name                = var.name
  environment         = var.environment
  region              = var.aws_region
  deletion_protection = var.deletion_protection
}

module "aws_identity" {
  source = "../../modules/aws/identity"

  name            = var.name
  environment     = var.environment
  issuers         = local.issuers
  hub             = var.hub
  members         = local.members
  model_prefix    = var.model_prefix
  bucket_arn      = module.aws_artifacts.bucket_arn
  repository_arns = module.aws_artifacts.repository_arns
  cluster_arns    = { "${var.name}-${var.environment}" = module.aws_cluster.cluster_arn }
}

resource "azurerm_resource_group" "this" {
  name     = "${var.name}-${var.environment}"
  location = var.azure_region
  tags     = { mcdeploy-fleet = var.name, mcdeploy-environment = var.environment, managed-by = "terraform" }
}

module "azure_cluster" {
  source = "../../modules/azure/cluster"

  name                = var.name
  environment         = var.environment
  region              = var.azure_region
  resource_group_name = azurerm_resource_group.this.name
  tenant_id           = var.azure_tenant_id
  public_api_cidrs    = var.public_api_cidrs
}

module "azure_artifacts" {
  source = "../../modules/azure/artifacts"

  name                = var.name
  environment         = var.environment
  region              = var.azure_region
  resource_group_name = azurerm_resource_group.this.name
  unique_suffix       = var.azure_unique_suffix
  allowed_subnet_ids  = [module.azure_cluster.node_subnet_id]
  allowed_cidrs       = local.egress_cidrs
  deletion_protection = var.deletion_protection
}

module "azure_identity" {
  source = "../../modules/azure/identity"

  name                  = var.name
  environment           = var.environment
  region                = var.azure_region
  resource_group_name   = azurerm_resource_group.this.name
  issuers               = local.issuers
  hub                   = var.hub
  members               = local.members
  model_prefix          = var.model_prefix
  container_id          = module.azure_artifacts.container_id
  registry_ids          = { main = module.azure_artifacts.registry_id }
  kubelet_principal_ids = { main = module.azure_cluster.kubelet_principal_id }
  cluster_ids           = { main = module.azure_cluster.cluster_id }
}

module "gcp_cluster" {
  source = "../../modules/gcp/cluster"

  name                = var.name
  environment         = var.environment
  project_id          = var.gcp_project_id
  region              = var.gcp_region
  public_api_cidrs    = var.public_api_cidrs
  deletion_protection = var.deletion_protection
}

module "gcp_artifacts" {
  source = "../../modules/gcp/artifacts"

  name                = var.name
  environment         = var.environment
  project_id          = var.gcp_project_id
  region              = var.gcp_region
  deletion_protection = var.deletion_protection
}

module "gcp_identity" {
  source = "../../modules/gcp/identity"

  name                  = var.name
  environment           = var.environment
  project_id            = var.gcp_project_id
  project_number        = var.gcp_project_number
  issuers               = local.issuers
  hub                   = var.hub
  members               = local.members
  gke_issuers           = ["gcp"]
  model_prefix          = var.model_prefix
  bucket                = module.gcp_artifacts.bucket
  repository            = module.gcp_artifacts.repository
  node_service_accounts = { main = module.gcp_cluster.node_service_account }
}

module "dns" {
  source = "../../modules/aws/dns"

  name             = var.name
  environment      = var.environment
  domain           = var.domain
  writer_role_name = module.aws_identity.operator_role_name
}

module "join" {
  source = "../../modules/join"

  clusters = [
    merge(module.aws_cluster.member, {
      store  = module.aws_artifacts.store.name
      access = { eks = merge(module.aws_cluster.access, { roleArn = module.aws_identity.operator_role_arn }) }
    }),
    merge(module.azure_cluster.member, {
      store  = module.azure_artifacts.store.name
      access = { aks = merge(module.azure_cluster.access, { clientId = module.azure_identity.operator_client_id }) }
    }),
    merge(module.gcp_cluster.member, {
      store  = module.gcp_artifacts.store.name
      access = { gke = merge(module.gcp_cluster.access, module.gcp_identity.access) }
    }),
  ]
  stores     = [module.aws_artifacts.store, module.azure_artifacts.store, module.gcp_artifacts.store]
  registries = [module.aws_artifacts.registry, module.azure_artifacts.registry, module.gcp_artifacts.registry]
  zones      = [module.dns.zone]
}
