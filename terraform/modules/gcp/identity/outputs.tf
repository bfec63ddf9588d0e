output "access" {
  description = "What the hub needs to act as the operator: audience of its token, and the service account to take."
  value = {
    # Null where the hub is a GKE cluster of the project: its metadata server does the exchange.
    workloadIdentityProvider = contains(keys(local.external), var.hub) ? "//iam.googleapis.com/${local.pool}/providers/oidc-${var.hub}" : null
    serviceAccount           = google_service_account.this["operator"].email
  }
}

output "operator_email" {
  description = "Service account of the operator, for the dns module and the chart's role bindings."
  value       = google_service_account.this["operator"].email
}

output "transfer_email" {
  description = "Service account of transfer Jobs."
  value       = google_service_account.this["transfer"].email
}

output "models_email" {
  description = "Read-only service account of model pods."
  value       = google_service_account.this["models"].email
}

output "audiences" {
  description = "Audience that projected tokens must carry for Google, by issuer name."
  value       = { for name in keys(local.external) : name => "https://iam.googleapis.com/${local.pool}/providers/oidc-${name}" }
}
