# One public zone in Cloud DNS, and the right to change records in just that zone.

locals {
  base = "${var.name}-${var.environment}"

  labels = merge(var.labels, {
    mcdeploy-fleet       = var.name
    mcdeploy-environment = var.environment
    managed-by           = "terraform"
  })

  zone = var.existing_zone_name == null ? google_dns_managed_zone.this[0] : data.google_dns_managed_zone.existing[0]
}

data "google_dns_managed_zone" "existing" {
  count = var.existing_zone_name == null ? 0 : 1

  project = var.project_id
  name    = var.existing_zone_name

  lifecycle {
    postcondition {
      condition     = self.dns_name == "${var.domain}."
      error_message = "existing_zone_name: is the zone ${self.dns_name}, but domain says ${var.domain}."
    }
  }
}

resource "google_dns_managed_zone" "this" {
  count = var.existing_zone_name == null ? 1 : 0

  project       = var.project_id
  name          = "${local.base}-${substr(sha256(var.domain), 0, 8)}"
  dns_name      = "${var.domain}."
  description   = "mcdeploy ${local.base}"
  visibility    = "public"
  force_destroy = false
  labels        = local.labels

  dnssec_config {
    state = "on"
  }

  cloud_logging_config {
    enable_logging = true
  }
}

resource "google_project_iam_custom_role" "writer" {
  count = var.assign_writer ? 1 : 0

  project = var.project_id
  role_id = replace("mcdeploy_${local.base}_zone_${substr(sha256(var.domain), 0, 8)}", "-", "_")
  title   = "mcdeploy operator of ${local.base}: change records"
  permissions = [
    "dns.changes.create",
    "dns.changes.get",
    "dns.changes.list",
    "dns.managedZones.get",
    "dns.resourceRecordSets.create",
    "dns.resourceRecordSets.delete",
    "dns.resourceRecordSets.get",
    "dns.resourceRecordSets.list",
    "dns.resourceRecordSets.update",
  ]
}

resource "google_dns_managed_zone_iam_member" "writer" {
  count = var.assign_writer ? 1 : 0

  project      = var.project_id
  managed_zone = local.zone.name
  role         = google_project_iam_custom_role.writer[0].id
  member       = "serviceAccount:${var.writer_email}"

  lifecycle {
    precondition {
      condition     = var.writer_email != null
      error_message = "writer_email: is needed while assign_writer is true."
    }
  }
}
