mock_provider "azurerm" {}

variables {
  name                = "shop"
  environment         = "prod"
  region              = "eastus"
  resource_group_name = "shop"
  hub                 = "hub"
  members             = ["aws", "azure"]
  issuers = {
    hub   = "https://hub.example.com/id/HUB"
    aws   = "https://oidc.eks.us-east-1.amazonaws.com/id/ABC"
    azure = "https://eastus.oic.prod-aks.azure.com/tenant/cluster/"
  }
  model_prefix = "digits/"
  container_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/shop/providers/Microsoft.Storage/storageAccounts/shopprodab12/blobServices/default/containers/models"
  cluster_ids  = { shop-prod = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/shop/providers/Microsoft.ContainerService/managedClusters/shop-prod" }
}

run "operator_is_the_hubs_service_account_and_nobody_else" {
  command = apply

  assert {
    condition = [
      for credential in azurerm_federated_identity_credential.this : "${credential.issuer} ${credential.subject} ${join(",", credential.audience)}"
      if credential.parent_id == azurerm_user_assigned_identity.this["operator"].id
    ] == ["https://hub.example.com/id/HUB system:serviceaccount:mcdeploy-system:mcdeploy-operator api://AzureADTokenExchange"]
    error_message = "issuer, sub and aud of the hub's ServiceAccount must be pinned"
  }
}

run "every_credential_pins_aud_and_sub_without_wildcards" {
  command = apply

  assert {
    condition = alltrue([
      for credential in azurerm_federated_identity_credential.this :
      credential.audience == tolist(["api://AzureADTokenExchange"]) && can(regex("^system:serviceaccount:[a-z0-9-]+:[a-z0-9.-]+$", credential.subject))
    ])
    error_message = "each credential must compare aud and sub exactly"
  }
  assert {
    condition     = sort(keys(azurerm_federated_identity_credential.this)) == tolist(["models-aws-default-mcdeploy-model", "models-azure-default-mcdeploy-model", "operator-hub", "transfer-aws", "transfer-azure"])
    error_message = "one credential for each identity, issuer and subject"
  }
}

run "models_read_one_prefix_and_write_nothing" {
  command = apply

  assert {
    condition     = azurerm_role_definition.blobs["models"].permissions[0].data_actions == toset(["Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"])
    error_message = "model pods only read"
  }
  assert {
    condition     = length(regexall("StringStartsWith 'digits/'", azurerm_role_assignment.blobs["models"].condition)) == 2 && azurerm_role_assignment.blobs["models"].condition_version == "2.0"
    error_message = "reading and listing must be limited to one prefix"
  }
  assert {
    condition     = alltrue([for assignment in azurerm_role_assignment.blobs : assignment.scope == var.container_id])
    error_message = "rights must be on one container"
  }
}

run "transfers_write_one_prefix_and_delete_their_notes_alone" {
  command = apply

  assert {
    condition     = length(regexall("StringStartsWith 'digits/'", azurerm_role_assignment.blobs["transfer"].condition)) == 3
    error_message = "transfer Jobs read, list and write one prefix"
  }
  assert {
    condition     = strcontains(azurerm_role_assignment.blobs["transfer"].condition, "(!(ActionMatches{'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete'}) OR @Resource[Microsoft.Storage/storageAccounts/blobServices/containers/blobs:path] StringLike 'digits/*/mcdeploy-push.json' OR @Resource[Microsoft.Storage/storageAccounts/blobServices/containers/blobs:path] StringStartsWith '.mcdeploy/')")
    error_message = "transfer Jobs delete no file of a version"
  }
}

run "operator_writes_one_object_only" {
  command = apply

  assert {
    condition     = strcontains(azurerm_role_assignment.blobs["operator"].condition, "StringEquals '.mcdeploy/check'")
    error_message = "the operator carries decisions, never object bytes"
  }
}

run "no_role_has_a_star_action" {
  command = apply

  assert {
    condition = alltrue(flatten([
      for definition in concat(values(azurerm_role_definition.blobs), values(azurerm_role_definition.clusters)) : [
        for permission in definition.permissions : [
          for action in concat(coalesce(permission.actions, []), tolist(coalesce(permission.data_actions, []))) : !strcontains(action, "*")
        ]
      ]
    ]))
    error_message = "actions must be named"
  }
}

run "refuses_rights_on_a_whole_account" {
  command = plan
  variables {
    container_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/shop/providers/Microsoft.Storage/storageAccounts/shopprodab12"
  }
  expect_failures = [var.container_id]
}

run "refuses_one_issuer_under_two_names" {
  command = plan
  variables {
    issuers = { hub = "https://one.example.com", aws = "https://one.example.com", azure = "https://two.example.com" }
  }
  expect_failures = [var.issuers]
}

run "refuses_names_that_are_no_issuers" {
  command = plan
  variables {
    hub     = "nobody"
    members = ["somebody"]
  }
  expect_failures = [var.hub, var.members]
}

run "refuses_an_issuer_without_tls" {
  command = plan
  variables {
    issuers = { hub = "http://hub.example.com" }
    members = []
  }
  expect_failures = [var.issuers]
}

run "refuses_values_out_of_range" {
  command = plan
  variables {
    name                     = "shop-of-everything"
    environment              = "production"
    region                   = "nowhere"
    resource_group_name      = "ends."
    system_namespace         = "*"
    hub_service_account      = "*"
    transfer_service_account = "*"
    model_service_accounts   = []
    model_prefix             = "/"
    registry_ids             = { a = "mine" }
    kubelet_principal_ids    = { a = "mine" }
    cluster_ids              = { a = "mine" }
    tags                     = { "a%b" = "c" }
  }
  expect_failures = [
    var.name,
    var.environment,
    var.region,
    var.resource_group_name,
    var.system_namespace,
    var.hub_service_account,
    var.transfer_service_account,
    var.model_service_accounts,
    var.model_prefix,
    var.registry_ids,
    var.kubelet_principal_ids,
    var.cluster_ids,
    var.tags,
  ]
}

run "takes_as_many_credentials_as_azure_does" {
  command = plan
  variables {
    model_service_accounts = ["t/a", "t/b", "t/c", "t/d", "t/e", "t/f", "t/g", "t/h", "t/i", "t/j"]
  }
  assert {
    condition     = length([for name, credential in azurerm_federated_identity_credential.this : name if startswith(name, "models-")]) == 20
    error_message = "ten accounts in two members are 20 credentials"
  }
}

run "refuses_more_credentials_than_azure_takes" {
  command = plan
  variables {
    model_service_accounts = ["t/a", "t/b", "t/c", "t/d", "t/e", "t/f", "t/g", "t/h", "t/i", "t/j", "t/k"]
  }
  expect_failures = [var.model_service_accounts]
}
