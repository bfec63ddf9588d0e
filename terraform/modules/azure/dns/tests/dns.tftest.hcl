mock_provider "azurerm" {
  mock_resource "azurerm_dns_zone" {
    defaults = {
      id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/shop/providers/Microsoft.Network/dnsZones/models.example.com"
      name_servers = ["ns1-01.azure-dns.com.", "ns2-01.azure-dns.net."]
    }
  }
}

variables {
  name                = "shop"
  environment         = "prod"
  resource_group_name = "shop"
  domain              = "models.example.com"
  writer_principal_id = "11111111-2222-3333-4444-555555555555"
}

run "writer_may_change_records_of_this_zone_only" {
  command = apply

  assert {
    condition     = azurerm_role_assignment.writer[0].scope == azurerm_dns_zone.this[0].id && azurerm_role_definition.writer[0].scope == azurerm_dns_zone.this[0].id
    error_message = "rights must be on one zone"
  }
  assert {
    condition     = alltrue([for action in azurerm_role_definition.writer[0].permissions[0].actions : !strcontains(action, "*") && !strcontains(action, "/NS/") && !strcontains(action, "/SOA/")])
    error_message = "actions must be named, and leave the delegation alone"
  }
  assert {
    condition     = length(output.zone.nameServers) == 2
    error_message = "the zone must be in the outputs"
  }
}

run "existing_zone_is_used" {
  command = apply
  variables {
    existing_zone = true
    assign_writer = false
  }
  assert {
    condition     = length(azurerm_dns_zone.this) == 0 && length(azurerm_role_assignment.writer) == 0
    error_message = "nothing must be made beside an existing zone"
  }
}

run "refuses_to_give_rights_to_nobody" {
  command = plan
  variables {
    writer_principal_id = null
  }
  expect_failures = [azurerm_role_assignment.writer]
}

run "refuses_values_out_of_range" {
  command = plan
  variables {
    name                = "s"
    environment         = "Prod"
    resource_group_name = "ends."
    domain              = "Models.example.com"
    writer_principal_id = "me"
    tags                = { "a&b" = "c" }
  }
  expect_failures = [
    var.name,
    var.environment,
    var.resource_group_name,
    var.domain,
    var.writer_principal_id,
    var.tags,
  ]
}
