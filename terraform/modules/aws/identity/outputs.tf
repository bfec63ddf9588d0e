output "operator_role_arn" {
  description = "Role of the operator in the hub: `roleArn` of the cluster's access."
  value       = aws_iam_role.this["operator"].arn
}

output "operator_role_name" {
  description = "Name of the operator's role, for the dns module."
  value       = aws_iam_role.this["operator"].name
}

output "transfer_role_arn" {
  description = "Role of transfer Jobs, or null without members; goes into the annotation `eks.amazonaws.com/role-arn` of their ServiceAccount."
  value       = try(aws_iam_role.this["transfer"].arn, null)
}

output "models_role_arn" {
  description = "Read-only role of model pods, or null without members."
  value       = try(aws_iam_role.this["models"].arn, null)
}

output "audience" {
  description = "Audience that projected tokens must carry for AWS."
  value       = local.audience
}
