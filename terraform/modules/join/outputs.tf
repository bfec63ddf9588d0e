output "mcdeploy" {
  description = "The fleet: `terraform output -json mcdeploy | mcdeploy clusters add -f -`."
  value = {
    apiVersion = "mcdeploy.dev/v1alpha1"
    kind       = "FleetInventory"
    clusters   = local.clusters
    stores     = local.stores
    registries = var.registries
    zones      = var.zones
  }
}
