mock_provider "google" {
  mock_resource "google_service_account" {
    defaults = {
      email = "mock@shop-prod-1.iam.gserviceaccount.com"
      name  = "projects/shop-prod-1/serviceAccounts/mock@shop-prod-1.iam.gserviceaccount.com"
    }
  }
}

variables {
  name           = "shop"
  environment    = "prod"
  project_id     = "shop-prod-1"
  project_number = "123456789012"
  hub            = "hub"
  members        = ["aws", "gcp"]
  issuers = {
    hub = "https://hub.example.com/id/HUB"
    aws = "https://oidc.eks.us-east-1.amazonaws.com/id/ABC"
    gcp = "https://container.googleapis.com/v1/projects/shop-prod-1/locations/europe-west4/clusters/shop-prod"
  }
  gke_issuers  = ["gcp"]
  model_prefix = "digits/"
  bucket       = "shop-prod-1-shop-prod-models"
}

run "operator_is_the_hubs_service_account_and_nobody_else" {
  command = apply

  assert {
    condition = [
      for key, binding in google_service_account_iam_member.trust : binding.member if startswith(key, "operator/")
    ] == ["principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/shop-prod/subject/hub::system:serviceaccount:mcdeploy-system:mcdeploy-operator"]
    error_message = "issuer and sub of the hub's ServiceAccount must be pinned"
  }
  assert {
    condition     = google_iam_workload_identity_pool_provider.this["hub"].attribute_condition == "assertion.sub in ['system:serviceaccount:mcdeploy-system:mcdeploy-operator']"
    error_message = "the provider must take only the hub's ServiceAccount"
  }
  assert {
    condition     = google_iam_workload_identity_pool_provider.this["hub"].oidc[0].allowed_audiences == tolist(["https://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/shop-prod/providers/oidc-hub"])
    error_message = "aud must be the one of this provider"
  }
  assert {
    condition     = output.access.workloadIdentityProvider == "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/shop-prod/providers/oidc-hub"
    error_message = "the hub must learn which provider to ask"
  }
}

run "every_provider_pins_aud_and_sub_without_wildcards" {
  command = apply

  assert {
    condition = alltrue([
      for name, provider in google_iam_workload_identity_pool_provider.this :
      length(provider.oidc[0].allowed_audiences) == 1 && startswith(provider.attribute_condition, "assertion.sub in ['system:serviceaccount:") && provider.attribute_mapping["google.subject"] == "'${name}::' + assertion.sub"
    ])
    error_message = "each provider must compare aud and sub exactly, and keep issuers apart"
  }
  assert {
    condition     = sort(keys(google_iam_workload_identity_pool_provider.this)) == tolist(["aws", "hub"])
    error_message = "clusters of the project come by its own pool"
  }
  assert {
    condition     = google_service_account_iam_member.trust["transfer/gcp/system:serviceaccount:mcdeploy-system:mcdeploy-transfer"].member == "serviceAccount:shop-prod-1.svc.id.goog[mcdeploy-system/mcdeploy-transfer]"
    error_message = "a cluster of the project must be pinned to namespace and name"
  }
}

run "models_read_one_prefix_and_write_nothing" {
  command = apply

  assert {
    condition     = google_project_iam_custom_role.bucket["models"].permissions == toset(["storage.objects.get", "storage.objects.list"])
    error_message = "model pods only list and read"
  }
  assert {
    condition     = google_storage_bucket_iam_member.this["models"].condition[0].expression == "resource.name.startsWith('projects/_/buckets/shop-prod-1-shop-prod-models/objects/digits/') || api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('digits/')"
    error_message = "reading and listing must be limited to one prefix"
  }
}

run "transfers_write_one_prefix_and_delete_their_notes_alone" {
  command = apply

  assert {
    condition     = google_project_iam_custom_role.bucket["transfer"].permissions == toset(["storage.objects.create", "storage.objects.get", "storage.objects.list"])
    error_message = "transfer Jobs delete no file of a version"
  }
  assert {
    condition = google_storage_bucket_iam_member.this["transfer"].condition[0].expression == join(" || ", [
      "resource.name.startsWith('projects/_/buckets/shop-prod-1-shop-prod-models/objects/.mcdeploy/')",
      "api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('.mcdeploy/')",
      "resource.name.startsWith('projects/_/buckets/shop-prod-1-shop-prod-models/objects/digits/')",
      "api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('digits/')",
    ])
    error_message = "transfer Jobs read, list and write one prefix, and their notes"
  }
  assert {
    condition = google_project_iam_custom_role.notes.permissions == toset(["storage.objects.delete"]) && google_storage_bucket_iam_member.notes.condition[0].expression == join(" || ", [
      "resource.name.startsWith('projects/_/buckets/shop-prod-1-shop-prod-models/objects/.mcdeploy/')",
      "resource.name.startsWith('projects/_/buckets/shop-prod-1-shop-prod-models/objects/digits/') && resource.name.endsWith('/mcdeploy-push.json')",
    ])
    error_message = "transfer Jobs delete their notes alone"
  }
}

run "operator_writes_one_object_only" {
  command = apply

  assert {
    condition     = google_project_iam_custom_role.bucket["operator"].permissions == toset(["storage.objects.get", "storage.objects.list"]) && google_storage_bucket_iam_member.check.condition[0].expression == "resource.name == 'projects/_/buckets/shop-prod-1-shop-prod-models/objects/.mcdeploy/check'"
    error_message = "the operator carries decisions, never object bytes"
  }
}

run "no_role_has_a_star" {
  command = apply

  assert {
    condition     = alltrue(flatten([for role in concat(values(google_project_iam_custom_role.bucket), google_project_iam_custom_role.clusters) : [for permission in role.permissions : !strcontains(permission, "*")]]))
    error_message = "permissions must be named"
  }
}

run "hub_on_gke_needs_no_provider" {
  command = apply
  variables {
    hub         = "hub"
    gke_issuers = ["hub", "gcp"]
  }
  assert {
    condition     = !contains(keys(google_iam_workload_identity_pool_provider.this), "hub") && output.access.workloadIdentityProvider == null
    error_message = "a hub of the project comes by the project's own pool"
  }
  assert {
    condition     = google_service_account_iam_member.trust["operator/hub/system:serviceaccount:mcdeploy-system:mcdeploy-operator"].member == "serviceAccount:shop-prod-1.svc.id.goog[mcdeploy-system/mcdeploy-operator]"
    error_message = "the hub must be pinned to namespace and name"
  }
}

run "refuses_a_subject_that_is_too_long" {
  command = plan
  variables {
    model_service_accounts = ["a-namespace-of-a-team-with-a-really-long-name-that-goes-on/a-service-account-with-a-name-that-goes-on-and-on-and-on-and-on"]
  }
  expect_failures = [google_iam_workload_identity_pool_provider.this]
}

run "refuses_an_issuer_name_that_is_too_long" {
  command = plan
  variables {
    issuers     = { hub = "https://hub.example.com", a-name-of-a-member-cluster-that-goes-on = "https://one.example.com" }
    members     = []
    gke_issuers = []
  }
  expect_failures = [var.issuers]
}

run "refuses_names_that_are_no_issuers" {
  command = plan
  variables {
    hub     = "nobody"
    members = ["somebody"]
  }
  expect_failures = [var.hub, var.members]
}

run "refuses_an_issuer_without_tls" {
  command = plan
  variables {
    issuers = { hub = "http://hub.example.com" }
    members = []
  }
  expect_failures = [var.issuers]
}

run "refuses_values_out_of_range" {
  command = plan
  variables {
    name                     = "shop-of-everything"
    environment              = "production"
    project_id               = "X"
    project_number           = "shop"
    system_namespace         = "*"
    hub_service_account      = "*"
    transfer_service_account = "*"
    model_service_accounts   = ["default"]
    model_prefix             = "digits"
    bucket                   = "No"
    repository               = { location = "europe-west4", id = "No" }
    node_service_accounts    = { a = "me" }
  }
  expect_failures = [
    var.name,
    var.environment,
    var.project_id,
    var.project_number,
    var.system_namespace,
    var.hub_service_account,
    var.transfer_service_account,
    var.model_service_accounts,
    var.model_prefix,
    var.bucket,
    var.repository,
    var.node_service_accounts,
  ]
}

run "refuses_a_name_that_google_reserves" {
  command = plan
  variables {
    name = "gcp-shop"
  }
  expect_failures = [var.name]
}
