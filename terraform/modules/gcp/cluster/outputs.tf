output "cluster_name" {
  description = "Name of the GKE cluster."
  value       = google_container_cluster.this.name
}

output "issuer_url" {
  description = "OIDC issuer of the cluster's ServiceAccount tokens, for the identity modules of all clouds."
  value       = "https://container.googleapis.com/v1/projects/${var.project_id}/locations/${var.region}/clusters/${google_container_cluster.this.name}"
}

output "node_service_account" {
  description = "Service account that nodes pull images with, for the identity module."
  value       = google_service_account.nodes.email
}

output "egress_cidrs" {
  description = "Addresses that the cluster's traffic to the internet comes from, for allow-lists elsewhere."
  value       = ["${google_compute_address.nat.address}/32"]
}

output "cidrs" {
  description = "Networks that the cluster uses and that others must not overlap."
  value       = [var.subnet_cidr, var.pod_cidr, var.service_cidr, var.control_plane_cidr]
}

output "member" {
  description = "The cluster as the module `join` takes it, without access and store."
  value = {
    name         = local.member_name
    provider     = "gcp"
    region       = var.region
    jurisdiction = local.jurisdiction
    cidrs        = [var.subnet_cidr, var.pod_cidr, var.service_cidr, var.control_plane_cidr]
  }
}

output "access" {
  description = "How the hub reaches the API server; merge in what the identity module's `access` says."
  value = {
    projectId   = var.project_id
    location    = var.region
    clusterName = google_container_cluster.this.name
    endpoint    = "https://${google_container_cluster.this.endpoint}"
    caData      = google_container_cluster.this.master_auth[0].cluster_ca_certificate
  }
}
