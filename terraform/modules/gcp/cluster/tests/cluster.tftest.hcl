mock_provider "google" {
  mock_resource "google_compute_address" {
    defaults = { address = "203.0.113.9" }
  }
  mock_resource "google_container_cluster" {
    defaults = { endpoint = "10.80.16.2" }
  }
}

variables {
  name        = "shop"
  environment = "prod"
  project_id  = "shop-prod-1"
  region      = "europe-west4"
}

run "api_and_nodes_are_private" {
  command = apply

  assert {
    condition     = google_container_cluster.this.private_cluster_config[0].enable_private_endpoint && google_container_cluster.this.private_cluster_config[0].enable_private_nodes
    error_message = "API endpoint and nodes must be private by default"
  }
  assert {
    condition     = google_container_cluster.this.workload_identity_config[0].workload_pool == "shop-prod-1.svc.id.goog" && google_container_cluster.this.deletion_protection
    error_message = "workload identity and deletion protection must be on"
  }
  assert {
    condition     = google_container_node_pool.cpu.node_config[0].workload_metadata_config[0].mode == "GKE_METADATA"
    error_message = "pods must not get the node's credentials"
  }
  assert {
    condition     = output.member.name == "gcp-europe-west4" && output.member.jurisdiction == "NL" && output.egress_cidrs == ["203.0.113.9/32"]
    error_message = "outputs must name the member and the address that traffic leaves by"
  }
  assert {
    condition     = output.issuer_url == "https://container.googleapis.com/v1/projects/shop-prod-1/locations/europe-west4/clusters/shop-prod"
    error_message = "the issuer must be GKE's"
  }
}

run "public_api_is_limited_to_the_list" {
  command = plan
  variables {
    public_api_cidrs = ["203.0.113.0/24"]
    jurisdiction     = "EU"
  }
  assert {
    condition     = !google_container_cluster.this.private_cluster_config[0].enable_private_endpoint && [for block in google_container_cluster.this.master_authorized_networks_config[0].cidr_blocks : block.cidr_block] == ["203.0.113.0/24"]
    error_message = "public access must be on for exactly the list"
  }
  assert {
    condition     = output.member.jurisdiction == "EU"
    error_message = "the wider jurisdiction is allowed"
  }
}

run "gpu_pool_has_taint_and_labels_that_placement_reads" {
  command = plan
  variables {
    gpu_pools  = { l4 = { machine_type = "g2-standard-4", accelerator = "nvidia-l4" } }
    kms_key_id = "projects/shop-prod-1/locations/europe-west4/keyRings/ring/cryptoKeys/key"
  }
  assert {
    condition     = one(google_container_node_pool.gpu["l4"].node_config[0].taint).key == "nvidia.com/gpu" && google_container_node_pool.gpu["l4"].node_config[0].labels["mcdeploy.dev/accelerator"] == "nvidia-l4"
    error_message = "GPU nodes must be tainted and labelled"
  }
  assert {
    condition     = google_container_cluster.this.database_encryption[0].key_name == var.kms_key_id && google_container_node_pool.cpu.node_config[0].boot_disk_kms_key == var.kms_key_id
    error_message = "the customer key must be used"
  }
}

run "refuses_a_region_that_google_does_not_have" {
  command = plan
  variables {
    region = "europe-west5"
  }
  expect_failures = [var.region]
}

run "refuses_a_jurisdiction_that_contradicts_the_region" {
  command = plan
  variables {
    jurisdiction = "US"
  }
  expect_failures = [var.jurisdiction]
}

run "refuses_pods_that_overlap_nodes" {
  command = plan
  variables {
    pod_cidr = "10.80.0.0/14"
  }
  expect_failures = [var.pod_cidr]
}

run "refuses_a_control_plane_inside_the_services" {
  command = plan
  variables {
    control_plane_cidr = "10.88.0.16/28"
  }
  expect_failures = [var.control_plane_cidr]
}

run "refuses_nodes_that_overlap_another_network" {
  command = plan
  variables {
    reserved_cidrs = ["10.80.8.0/24"]
  }
  expect_failures = [var.subnet_cidr]
}

run "refuses_values_out_of_range" {
  command = plan
  variables {
    name             = "shop-of-everything"
    environment      = "pre-prod"
    project_id       = "Shop"
    member_name      = "GCP"
    reserved_cidrs   = ["everywhere"]
    public_api_cidrs = ["0.0.0.0/0"]
    cpu_pool         = { min_count = 0 }
    gpu_pools        = { l4 = { machine_type = "g2-standard-4", accelerator = "L4" } }
    kms_key_id       = "mine"
    release_channel  = "NONE"
    labels           = { Team = "ml" }
  }
  expect_failures = [
    var.name,
    var.environment,
    var.project_id,
    var.member_name,
    var.reserved_cidrs,
    var.public_api_cidrs,
    var.cpu_pool,
    var.gpu_pools,
    var.kms_key_id,
    var.release_channel,
    var.labels,
  ]
}

# Networks and service accounts have one space of names for all regions.
run "global_names_carry_the_region" {
  command = apply
  variables {
    name        = "shop-of-ever"
    environment = "staging1"
  }
  assert {
    condition     = google_compute_network.this.name == "shop-of-ever-staging1-europe-west4" && google_service_account.nodes.account_id == "shop-of-ever-staging1-n-${substr(sha256("europe-west4"), 0, 4)}"
    error_message = "a second region of the same fleet must not collide"
  }
  assert {
    condition     = length(google_service_account.nodes.account_id) <= 30
    error_message = "the longest name must fit"
  }
}
