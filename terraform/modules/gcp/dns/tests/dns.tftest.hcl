mock_provider "google" {
  mock_resource "google_dns_managed_zone" {
    defaults = { name_servers = ["ns-cloud-a1.googledomains.com.", "ns-cloud-a2.googledomains.com."] }
  }
  mock_data "google_dns_managed_zone" {
    defaults = { dns_name = "models.example.com.", name_servers = ["ns-cloud-b1.googledomains.com."] }
  }
}

variables {
  name         = "shop"
  environment  = "prod"
  project_id   = "shop-prod-1"
  domain       = "models.example.com"
  writer_email = "shop-prod-operator@shop-prod-1.iam.gserviceaccount.com"
}

run "writer_may_change_records_of_this_zone_only" {
  command = apply

  assert {
    condition     = google_dns_managed_zone_iam_member.writer[0].managed_zone == google_dns_managed_zone.this[0].name
    error_message = "rights must be on one zone"
  }
  assert {
    condition     = alltrue([for permission in google_project_iam_custom_role.writer[0].permissions : !strcontains(permission, "*")])
    error_message = "permissions must be named"
  }
  assert {
    condition     = google_dns_managed_zone.this[0].dnssec_config[0].state == "on" && length(output.zone.nameServers) == 2
    error_message = "the zone must be signed, and in the outputs"
  }
}

run "existing_zone_is_used" {
  command = apply
  variables {
    existing_zone_name = "mine"
  }
  assert {
    condition     = length(google_dns_managed_zone.this) == 0 && output.zone.nameServers == tolist(["ns-cloud-b1.googledomains.com."])
    error_message = "nothing must be made beside an existing zone"
  }
}

run "refuses_an_existing_zone_of_another_domain" {
  command = plan
  variables {
    existing_zone_name = "mine"
    domain             = "other.example.com"
  }
  expect_failures = [data.google_dns_managed_zone.existing]
}

run "refuses_to_give_rights_to_nobody" {
  command = plan
  variables {
    writer_email = null
  }
  expect_failures = [google_dns_managed_zone_iam_member.writer]
}

run "refuses_values_out_of_range" {
  command = plan
  variables {
    name               = "s"
    environment        = "Prod"
    project_id         = "x"
    domain             = "models"
    existing_zone_name = "Mine"
    writer_email       = "me"
    labels             = { Team = "ml" }
  }
  expect_failures = [
    var.name,
    var.environment,
    var.project_id,
    var.domain,
    var.existing_zone_name,
    var.writer_email,
    var.labels,
  ]
}
