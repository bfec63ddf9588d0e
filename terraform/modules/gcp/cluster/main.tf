# One GKE cluster that can serve models: private nodes and API endpoint, workload
# identity on, logs on.

locals {
  base = "${var.name}-${var.environment}"

  # Networks and service accounts are global: a second region of the same fleet has its own. The
  # name of an account is too short for a region.
  global  = "${local.base}-${var.region}"
  account = "${local.base}-n-${substr(sha256(var.region), 0, 4)}"

  labels = merge(var.labels, {
    mcdeploy-fleet       = var.name
    mcdeploy-environment = var.environment
    managed-by           = "terraform"
  })

  regions      = jsondecode(file("${path.module}/../../regions.json")).gcp
  jurisdiction = coalesce(var.jurisdiction, local.regions[var.region][0])
  member_name  = coalesce(var.member_name, "gcp-${var.region}")
}

resource "google_container_cluster" "this" {
  #checkov:skip=CKV_GCP_20:authorized networks are those of public_api_cidrs; without them the endpoint has no public address
  #checkov:skip=CKV_GCP_65:Google groups for RBAC need a Workspace domain; rights in the cluster are bound to service accounts
  #checkov:skip=CKV_GCP_66:which images may run is decided by digest in mcdeploy; binary authorization needs a policy of the project
  #checkov:skip=CKV_GCP_69:metadata server mode is set in the node pools
  #checkov:skip=CKV_GCP_12:Dataplane V2 enforces NetworkPolicy without the old add-on
  name                = local.base
  project             = var.project_id
  location            = var.region
  network             = google_compute_network.this.id
  subnetwork          = google_compute_subnetwork.nodes.id
  deletion_protection = var.deletion_protection
  resource_labels     = local.labels

  networking_mode             = "VPC_NATIVE"
  datapath_provider           = "ADVANCED_DATAPATH"
  enable_intranode_visibility = true
  enable_shielded_nodes       = true
  enable_legacy_abac          = false

  # Pools are resources of their own.
  remove_default_node_pool = true
  initial_node_count       = 1

  node_config {
    service_account = google_service_account.nodes.email

    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }

    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }

  release_channel {
    channel = var.release_channel
  }

  private_cluster_config {
    enable_private_nodes    = true
    enable_private_endpoint = length(var.public_api_cidrs) == 0
    master_ipv4_cidr_block  = var.control_plane_cidr
  }

  master_authorized_networks_config {
    gcp_public_cidrs_access_enabled = false

    dynamic "cidr_blocks" {
      for_each = length(var.public_api_cidrs) == 0 ? [var.subnet_cidr] : var.public_api_cidrs

      content {
        cidr_block = cidr_blocks.value
      }
    }
  }

  ip_allocation_policy {
    cluster_secondary_range_name  = "pods"
    services_secondary_range_name = "services"
  }

  workload_identity_config {
    workload_pool = "${var.project_id}.svc.id.goog"
  }

  master_auth {
    client_certificate_config {
      issue_client_certificate = false
    }
  }

  dynamic "database_encryption" {
    for_each = var.kms_key_id == null ? [] : [var.kms_key_id]

    content {
      state    = "ENCRYPTED"
      key_name = database_encryption.value
    }
  }

  logging_config {
    enable_components = ["SYSTEM_COMPONENTS", "WORKLOADS", "APISERVER", "CONTROLLER_MANAGER", "SCHEDULER"]
  }

  monitoring_config {
    enable_components = ["SYSTEM_COMPONENTS"]

    managed_prometheus {
      enabled = true
    }
  }

  security_posture_config {
    mode               = "BASIC"
    vulnerability_mode = "VULNERABILITY_BASIC"
  }
}

resource "google_container_node_pool" "cpu" {
  name     = "cpu"
  project  = var.project_id
  cluster  = google_container_cluster.this.id
  location = var.region

  autoscaling {
    min_node_count = var.cpu_pool.min_count
    max_node_count = var.cpu_pool.max_count
  }

  management {
    auto_repair  = true
    auto_upgrade = true
  }

  node_config {
    machine_type      = var.cpu_pool.machine_type
    disk_size_gb      = var.cpu_pool.disk_gib
    disk_type         = "pd-balanced"
    image_type        = "COS_CONTAINERD"
    boot_disk_kms_key = var.kms_key_id
    service_account   = google_service_account.nodes.email
    oauth_scopes      = ["https://www.googleapis.com/auth/cloud-platform"]
    labels            = merge(var.cpu_pool.labels, { "mcdeploy.dev/pool" = "cpu" })
    resource_labels   = local.labels
    metadata          = { disable-legacy-endpoints = "true" }

    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }

    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }
}

resource "google_container_node_pool" "gpu" {
  #checkov:skip=CKV_GCP_68:the drivers of some GPUs are not signed for secure boot; integrity monitoring is on
  for_each = var.gpu_pools

  name           = "gpu-${each.key}"
  project        = var.project_id
  cluster        = google_container_cluster.this.id
  location       = var.region
  node_locations = each.value.zones

  autoscaling {
    min_node_count = each.value.min_count
    max_node_count = each.value.max_count
  }

  management {
    auto_repair  = true
    auto_upgrade = true
  }

  node_config {
    machine_type      = each.value.machine_type
    disk_size_gb      = each.value.disk_gib
    disk_type         = "pd-balanced"
    image_type        = "COS_CONTAINERD"
    spot              = each.value.spot
    boot_disk_kms_key = var.kms_key_id
    service_account   = google_service_account.nodes.email
    oauth_scopes      = ["https://www.googleapis.com/auth/cloud-platform"]
    resource_labels   = local.labels
    metadata          = { disable-legacy-endpoints = "true" }

    labels = merge(each.value.labels, {
      "mcdeploy.dev/pool"        = "gpu"
      "mcdeploy.dev/accelerator" = each.value.accelerator
    })

    taint {
      key    = "nvidia.com/gpu"
      value  = "present"
      effect = "NO_SCHEDULE"
    }

    guest_accelerator {
      type  = each.value.accelerator
      count = each.value.accelerator_count

      gpu_driver_installation_config {
        gpu_driver_version = "DEFAULT"
      }
    }

    shielded_instance_config {
      # The drivers of some GPUs are not signed for secure boot.
      enable_secure_boot          = false
      enable_integrity_monitoring = true
    }

    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }
}
