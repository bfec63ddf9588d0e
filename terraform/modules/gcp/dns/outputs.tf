output "zone_name" {
  description = "Name of the managed zone."
  value       = local.zone.name
}

output "name_servers" {
  description = "Name servers to delegate to in the parent zone."
  value       = local.zone.name_servers
}

output "zone" {
  description = "The zone as the module `join` takes it."
  value = {
    name        = "gcp-${replace(var.domain, ".", "-")}"
    provider    = "gcp"
    domain      = var.domain
    id          = "projects/${var.project_id}/managedZones/${local.zone.name}"
    nameServers = local.zone.name_servers
  }
}
