# One public zone in Azure DNS, and the right to change records in just that zone.

locals {
  base = "${var.name}-${var.environment}"

  tags = merge(var.tags, {
    mcdeploy-fleet       = var.name
    mcdeploy-environment = var.environment
    managed-by           = "terraform"
  })

  zone = var.existing_zone ? data.azurerm_dns_zone.existing[0] : azurerm_dns_zone.this[0]
}

data "azurerm_dns_zone" "existing" {
  count = var.existing_zone ? 1 : 0

  name                = var.domain
  resource_group_name = var.resource_group_name
}

resource "azurerm_dns_zone" "this" {
  count = var.existing_zone ? 0 : 1

  name                = var.domain
  resource_group_name = var.resource_group_name
  tags                = local.tags
}

resource "azurerm_role_definition" "writer" {
  count = var.assign_writer ? 1 : 0

  name              = "${local.base}-zone-${replace(var.domain, ".", "-")}"
  description       = "mcdeploy operator of ${local.base}: change records of ${var.domain}"
  scope             = local.zone.id
  assignable_scopes = [local.zone.id]

  permissions {
    actions = concat(
      ["Microsoft.Network/dnsZones/read", "Microsoft.Network/dnsZones/recordsets/read"],
      flatten([
        for type in ["A", "AAAA", "CNAME", "TXT"] : [
          "Microsoft.Network/dnsZones/${type}/read",
          "Microsoft.Network/dnsZones/${type}/write",
          "Microsoft.Network/dnsZones/${type}/delete",
        ]
      ]),
    )
  }
}

resource "azurerm_role_assignment" "writer" {
  count = var.assign_writer ? 1 : 0

  scope              = local.zone.id
  role_definition_id = azurerm_role_definition.writer[0].role_definition_resource_id
  principal_id       = var.writer_principal_id
  principal_type     = "ServicePrincipal"

  lifecycle {
    precondition {
      condition     = var.writer_principal_id != null
      error_message = "writer_principal_id: is needed while assign_writer is true."
    }
  }
}
