# Network: one subnet with ranges for pods and Services, and a NAT of one known address.

resource "google_compute_network" "this" {
  #checkov:skip=CKV2_GCP_18:without rules everything from outside is refused; GKE adds those of its nodes and load balancers
  name                    = local.global
  project                 = var.project_id
  auto_create_subnetworks = false
  routing_mode            = "REGIONAL"
}

resource "google_compute_subnetwork" "nodes" {
  name                     = "${local.base}-nodes"
  project                  = var.project_id
  region                   = var.region
  network                  = google_compute_network.this.id
  ip_cidr_range            = var.subnet_cidr
  private_ip_google_access = true

  secondary_ip_range {
    range_name    = "pods"
    ip_cidr_range = var.pod_cidr
  }

  secondary_ip_range {
    range_name    = "services"
    ip_cidr_range = var.service_cidr
  }

  log_config {
    aggregation_interval = "INTERVAL_10_MIN"
    flow_sampling        = 0.5
    metadata             = "INCLUDE_ALL_METADATA"
  }
}

resource "google_compute_router" "this" {
  name    = local.base
  project = var.project_id
  region  = var.region
  network = google_compute_network.this.id
}

# Transfers to other clouds leave by one known address.
resource "google_compute_address" "nat" {
  name    = "${local.base}-nat"
  project = var.project_id
  region  = var.region
  labels  = local.labels
}

resource "google_compute_router_nat" "this" {
  name                               = local.base
  project                            = var.project_id
  region                             = var.region
  router                             = google_compute_router.this.name
  nat_ip_allocate_option             = "MANUAL_ONLY"
  nat_ips                            = [google_compute_address.nat.id]
  source_subnetwork_ip_ranges_to_nat = "LIST_OF_SUBNETWORKS"

  subnetwork {
    name                    = google_compute_subnetwork.nodes.id
    source_ip_ranges_to_nat = ["ALL_IP_RANGES"]
  }

  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}

# Nodes write logs and metrics, and nothing else; images are allowed by the identity module.
resource "google_service_account" "nodes" {
  project      = var.project_id
  account_id   = local.account
  display_name = "Nodes of ${local.global}"
}

resource "google_project_iam_member" "nodes" {
  project = var.project_id
  role    = "roles/container.defaultNodeServiceAccount"
  member  = "serviceAccount:${google_service_account.nodes.email}"
}
