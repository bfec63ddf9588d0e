# The smallest fleet: one GKE cluster that is hub and member at once, with its store and
# registry.

module "cluster" {
  source = "../../modules/gcp/cluster"

  name                = var.name
  environment         = var.environment
  project_id          = var.project_id
  region              = var.region
  deletion_protection = var.deletion_protection
}

module "artifacts" {
  source = "../../modules/gcp/artifacts"

  name                = var.name
  environment         = var.environment
  project_id          = var.project_id
  region              = var.region
  deletion_protection = var.deletion_protection
}

module "identity" {
  source = "../../modules/gcp/identity"

  name                  = var.name
  environment           = var.environment
  project_id            = var.project_id
  project_number        = var.project_number
  issuers               = { gcp = module.cluster.issuer_url }
  hub                   = "gcp"
  members               = ["gcp"]
  gke_issuers           = ["gcp"]
  model_prefix          = var.model_prefix
  bucket                = module.artifacts.bucket
  repository            = module.artifacts.repository
  node_service_accounts = { main = module.cluster.node_service_account }
}

module "join" {
  source = "../../modules/join"

  clusters = [merge(module.cluster.member, {
    store  = module.artifacts.store.name
    access = { gke = merge(module.cluster.access, module.identity.access) }
  })]
  stores     = [module.artifacts.store]
  registries = [module.artifacts.registry]
}
