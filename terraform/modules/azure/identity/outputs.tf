output "operator_client_id" {
  description = "Client id of the operator's identity: `clientId` of the cluster's access, and the annotation `azure.workload.identity/client-id` of its ServiceAccount."
  value       = azurerm_user_assigned_identity.this["operator"].client_id
}

output "operator_principal_id" {
  description = "Object id of the operator's identity, for the dns module and the chart's role bindings."
  value       = azurerm_user_assigned_identity.this["operator"].principal_id
}

output "transfer_client_id" {
  description = "Client id of the identity of transfer Jobs."
  value       = azurerm_user_assigned_identity.this["transfer"].client_id
}

output "models_client_id" {
  description = "Client id of the read-only identity of model pods."
  value       = azurerm_user_assigned_identity.this["models"].client_id
}

output "audience" {
  description = "Audience that projected tokens must carry for Azure."
  value       = local.audience
}
