output "zone_id" {
  description = "Resource id of the zone."
  value       = local.zone.id
}

output "name_servers" {
  description = "Name servers to delegate to in the parent zone."
  value       = sort(tolist(local.zone.name_servers))
}

output "zone" {
  description = "The zone as the module `join` takes it."
  value = {
    name        = "azure-${replace(var.domain, ".", "-")}"
    provider    = "azure"
    domain      = var.domain
    id          = local.zone.id
    nameServers = sort(tolist(local.zone.name_servers))
  }
}
