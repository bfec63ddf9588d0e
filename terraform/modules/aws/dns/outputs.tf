output "zone_id" {
  description = "Id of the hosted zone."
  value       = local.zone_id
}

output "name_servers" {
  description = "Name servers to delegate to in the parent zone."
  value       = local.name_servers
}

output "zone" {
  description = "The zone as the module `join` takes it."
  value = {
    name        = "aws-${replace(var.domain, ".", "-")}"
    provider    = "aws"
    domain      = var.domain
    id          = local.zone_id
    nameServers = local.name_servers
  }
}
