# Who may do what in Azure, without a stored secret: ServiceAccounts of the hub and of
# members exchange their projected tokens for managed identities by federated credentials.

locals {
  base = "${var.name}-${var.environment}"

  tags = merge(var.tags, {
    mcdeploy-fleet       = var.name
    mcdeploy-environment = var.environment
    managed-by           = "terraform"
  })

  regions  = jsondecode(file("${path.module}/../../regions.json")).azure
  audience = "api://AzureADTokenExchange"

  transfer_subject = "system:serviceaccount:${var.system_namespace}:${var.transfer_service_account}"

  # One credential for each identity, issuer and subject; Entra compares all three exactly.
  operator_credentials = {
    "operator-hub" = {
      identity = "operator"
      issuer   = var.issuers[var.hub]
      subject  = "system:serviceaccount:${var.system_namespace}:${var.hub_service_account}"
    }
  }
  transfer_credentials = {
    for name in var.members : "transfer-${name}" => {
      identity = "transfer"
      issuer   = var.issuers[name]
      subject  = local.transfer_subject
    }
  }
  models_credentials = {
    for pair in setproduct(var.members, var.model_service_accounts) :
    "models-${pair[0]}-${replace(pair[1], "/", "-")}" => {
      identity = "models"
      issuer   = var.issuers[pair[0]]
      subject  = "system:serviceaccount:${replace(pair[1], "/", ":")}"
    }
  }
  credentials = merge(local.operator_credentials, local.transfer_credentials, local.models_credentials)

  blobs  = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
  path   = "@Resource[${local.blobs}:path]"
  listed = "@Request[${local.blobs}:prefix]"
  data_actions = {
    operator = ["${local.blobs}/read", "${local.blobs}/write"]
    transfer = ["${local.blobs}/read", "${local.blobs}/write", "${local.blobs}/delete"]
    models   = ["${local.blobs}/read"]
  }

  conditions = {
    # Writes only the object that it puts once, to see that putting works.
    operator = "(!(ActionMatches{'${local.blobs}/write'}) OR ${local.path} StringEquals '.mcdeploy/check')"
    # Reads, lists and writes below the one prefix and its notes (leases, receipts), and
    # deletes notes and claims alone: no file of a version and no manifest goes.
    transfer = join(" AND ", [
      "(!(ActionMatches{'${local.blobs}/read'} AND NOT SubOperationMatches{'Blob.List'}) OR ${local.path} StringStartsWith '${var.model_prefix}' OR ${local.path} StringStartsWith '.mcdeploy/')",
      "(!(ActionMatches{'${local.blobs}/read'} AND SubOperationMatches{'Blob.List'}) OR ${local.listed} StringStartsWith '${var.model_prefix}' OR ${local.listed} StringStartsWith '.mcdeploy/')",
      "(!(ActionMatches{'${local.blobs}/write'}) OR ${local.path} StringStartsWith '${var.model_prefix}' OR ${local.path} StringStartsWith '.mcdeploy/')",
      "(!(ActionMatches{'${local.blobs}/delete'}) OR ${local.path} StringLike '${var.model_prefix}*/mcdeploy-push.json' OR ${local.path} StringStartsWith '.mcdeploy/')",
    ])
    # Reading and listing, each limited to the one prefix.
    models = join(" AND ", [
      "(!(ActionMatches{'${local.blobs}/read'} AND NOT SubOperationMatches{'Blob.List'}) OR ${local.path} StringStartsWith '${var.model_prefix}')",
      "(!(ActionMatches{'${local.blobs}/read'} AND SubOperationMatches{'Blob.List'}) OR ${local.listed} StringStartsWith '${var.model_prefix}')",
    ])
  }
}

resource "azurerm_user_assigned_identity" "this" {
  for_each = toset(["operator", "transfer", "models"])

  name                = "${local.base}-${each.key}"
  resource_group_name = var.resource_group_name
  location            = var.region
  tags                = local.tags
}

resource "azurerm_federated_identity_credential" "this" {
  for_each = local.credentials

  name                = each.key
  resource_group_name = var.resource_group_name
  parent_id           = azurerm_user_assigned_identity.this[each.value.identity].id
  audience            = [local.audience]
  issuer              = each.value.issuer
  subject             = each.value.subject
}

resource "azurerm_role_definition" "blobs" {
  for_each = local.data_actions

  name              = "${local.base}-blobs-${each.key}"
  description       = "mcdeploy ${each.key} of ${local.base}, on one container"
  scope             = var.container_id
  assignable_scopes = [var.container_id]

  permissions {
    data_actions = each.value
  }
}

resource "azurerm_role_assignment" "blobs" {
  for_each = local.data_actions

  scope              = var.container_id
  role_definition_id = azurerm_role_definition.blobs[each.key].role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.this[each.key].principal_id
  principal_type     = "ServicePrincipal"
  condition_version  = "2.0"
  condition          = local.conditions[each.key]
}

resource "azurerm_role_definition" "clusters" {
  for_each = var.cluster_ids

  name              = "${local.base}-reach-${each.key}"
  description       = "mcdeploy operator of ${local.base}: find the API server of one cluster"
  scope             = each.value
  assignable_scopes = [each.value]

  permissions {
    actions = [
      "Microsoft.ContainerService/managedClusters/read",
      "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action",
    ]
  }
}

resource "azurerm_role_assignment" "clusters" {
  for_each = var.cluster_ids

  scope              = each.value
  role_definition_id = azurerm_role_definition.clusters[each.key].role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.this["operator"].principal_id
  principal_type     = "ServicePrincipal"
}

resource "azurerm_role_assignment" "resolve_images" {
  for_each = var.registry_ids

  scope                = each.value
  role_definition_name = "AcrPull"
  principal_id         = azurerm_user_assigned_identity.this["operator"].principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_role_assignment" "pull_images" {
  for_each = {
    for pair in setproduct(keys(var.registry_ids), keys(var.kubelet_principal_ids)) :
    "${pair[0]}-${pair[1]}" => { registry = pair[0], cluster = pair[1] }
  }

  scope                = var.registry_ids[each.value.registry]
  role_definition_name = "AcrPull"
  principal_id         = var.kubelet_principal_ids[each.value.cluster]
  principal_type       = "ServicePrincipal"
}
