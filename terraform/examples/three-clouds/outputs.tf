output "mcdeploy" {
  description = "The fleet: `terraform output -json mcdeploy | mcdeploy clusters add -f -`."
  value       = module.join.mcdeploy
}

output "name_servers" {
  description = "Name servers to delegate `domain` to in its parent zone."
  value       = module.dns.name_servers
}

output "service_accounts" {
  description = "Annotations of ServiceAccounts in the clusters, by cloud."
  value = {
    aws = {
      operator = module.aws_identity.operator_role_arn
      transfer = module.aws_identity.transfer_role_arn
      models   = module.aws_identity.models_role_arn
    }
    azure = {
      operator = module.azure_identity.operator_client_id
      transfer = module.azure_identity.transfer_client_id
      models   = module.azure_identity.models_client_id
    }
    gcp = {
      operator = module.gcp_identity.operator_email
      transfer = module.gcp_identity.transfer_email
      models   = module.gcp_identity.models_email
    }
  }
}
