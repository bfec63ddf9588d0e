# Who may do what in Google Cloud, without a stored secret: ServiceAccounts of the hub
# and of members exchange their projected tokens for service accounts by workload
# identity federation.

locals {
  base = "${var.name}-${var.environment}"

  # GKE clusters of this project are trusted by the project's own pool, where the subject
  # is namespace and name; every other issuer gets a provider of its own.
  external = { for name, url in var.issuers : name => url if !contains(var.gke_issuers, name) }

  hub_subjects      = ["system:serviceaccount:${var.system_namespace}:${var.hub_service_account}"]
  transfer_subjects = ["system:serviceaccount:${var.system_namespace}:${var.transfer_service_account}"]
  model_subjects    = [for account in sort(tolist(var.model_service_accounts)) : "system:serviceaccount:${replace(account, "/", ":")}"]

  # Issuer name > subjects that it may vouch for.
  subjects = {
    for name in keys(var.issuers) : name => concat(
      name == var.hub ? local.hub_subjects : [],
      contains(var.members, name) ? concat(local.transfer_subjects, local.model_subjects) : [],
    )
  }

  # One entry for each service account and principal that may act as it.
  trust = merge(
    { for subject in local.hub_subjects : "operator/${var.hub}/${subject}" => { account = "operator", issuer = var.hub, subject = subject } },
    [
      for name in var.members : merge(
        { for subject in local.transfer_subjects : "transfer/${name}/${subject}" => { account = "transfer", issuer = name, subject = subject } },
        { for subject in local.model_subjects : "models/${name}/${subject}" => { account = "models", issuer = name, subject = subject } },
      )
    ]...
  )

  pool = "projects/${var.project_number}/locations/global/workloadIdentityPools/${local.base}"
  principals = {
    for key, entry in local.trust : key => contains(keys(local.external), entry.issuer) ? (
      "principal://iam.googleapis.com/${local.pool}/subject/${entry.issuer}::${entry.subject}"
      ) : (
      # system:serviceaccount:NAMESPACE:NAME becomes [NAMESPACE/NAME].
      "serviceAccount:${var.project_id}.svc.id.goog[${split(":", entry.subject)[2]}/${split(":", entry.subject)[3]}]"
    )
  }

  bucket_permissions = {
    operator = ["storage.objects.get", "storage.objects.list"]
    transfer = ["storage.objects.create", "storage.objects.get", "storage.objects.list"]
    models   = ["storage.objects.get", "storage.objects.list"]
  }

  objects = "projects/_/buckets/${var.bucket}/objects/"
  # Below a prefix: reading, writing and listing.
  below = {
    for prefix in [var.model_prefix, ".mcdeploy/"] : prefix => join(" || ", [
      "resource.name.startsWith('${local.objects}${prefix}')",
      "api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('${prefix}')",
    ])
  }
  conditions = {
    operator = []
    # Leases, receipts and parts are below .mcdeploy/.
    transfer = [join(" || ", values(local.below))]
    models   = [local.below[var.model_prefix]]
  }
}

resource "google_iam_workload_identity_pool" "this" {
  project                   = var.project_id
  workload_identity_pool_id = local.base
  display_name              = "mcdeploy ${local.base}"
}

resource "google_iam_workload_identity_pool_provider" "this" {
  for_each = local.external

  project                            = var.project_id
  workload_identity_pool_id          = google_iam_workload_identity_pool.this.workload_identity_pool_id
  workload_identity_pool_provider_id = "oidc-${each.key}"
  # The issuer's name goes into the subject: two clusters' equal subjects stay apart.
  attribute_mapping   = { "google.subject" = "'${each.key}::' + assertion.sub" }
  attribute_condition = "assertion.sub in [${join(", ", [for subject in local.subjects[each.key] : "'${subject}'"])}]"

  oidc {
    issuer_uri        = each.value
    allowed_audiences = ["https://iam.googleapis.com/${local.pool}/providers/oidc-${each.key}"]
  }

  lifecycle {
    precondition {
      condition     = alltrue([for subject in local.subjects[each.key] : length("${each.key}::${subject}") <= 127])
      error_message = "model_service_accounts, system_namespace: with the issuer's name a subject is longer than the 127 characters that Google takes."
    }
  }
}

resource "google_service_account" "this" {
  for_each = local.bucket_permissions

  project = var.project_id
  # 21 + 9 characters at most: fits into 30.
  account_id   = "${local.base}-${each.key}"
  display_name = "mcdeploy ${each.key} of ${local.base}"
}

resource "google_service_account_iam_member" "trust" {
  for_each = local.trust

  service_account_id = google_service_account.this[each.value.account].name
  role               = "roles/iam.workloadIdentityUser"
  member             = local.principals[each.key]
}

resource "google_project_iam_custom_role" "bucket" {
  for_each = local.bucket_permissions

  project     = var.project_id
  role_id     = replace("mcdeploy_${local.base}_bucket_${each.key}", "-", "_")
  title       = "mcdeploy ${each.key} of ${local.base}, on one bucket"
  permissions = each.value
}

resource "google_storage_bucket_iam_member" "this" {
  for_each = local.bucket_permissions

  bucket = var.bucket
  role   = google_project_iam_custom_role.bucket[each.key].id
  member = "serviceAccount:${google_service_account.this[each.key].email}"

  dynamic "condition" {
    for_each = local.conditions[each.key]

    content {
      title       = "one-prefix"
      description = "Only below ${var.model_prefix}${each.key == "transfer" ? " and .mcdeploy/" : ""}"
      expression  = condition.value
    }
  }
}

# The operator writes only the object that it puts once, to see that putting works.
resource "google_project_iam_custom_role" "check" {
  project     = var.project_id
  role_id     = replace("mcdeploy_${local.base}_bucket_check", "-", "_")
  title       = "mcdeploy operator of ${local.base}, on one object"
  permissions = ["storage.objects.create"]
}

resource "google_storage_bucket_iam_member" "check" {
  bucket = var.bucket
  role   = google_project_iam_custom_role.check.id
  member = "serviceAccount:${google_service_account.this["operator"].email}"

  condition {
    title       = "one-object"
    description = "Only .mcdeploy/check"
    expression  = "resource.name == 'projects/_/buckets/${var.bucket}/objects/.mcdeploy/check'"
  }
}

# Transfer Jobs delete their claims, leases, receipts and parts. No file of a version and
# no manifest goes.
resource "google_project_iam_custom_role" "notes" {
  project     = var.project_id
  role_id     = replace("mcdeploy_${local.base}_bucket_notes", "-", "_")
  title       = "mcdeploy transfer of ${local.base}, on its notes"
  permissions = ["storage.objects.delete"]
}

resource "google_storage_bucket_iam_member" "notes" {
  bucket = var.bucket
  role   = google_project_iam_custom_role.notes.id
  member = "serviceAccount:${google_service_account.this["transfer"].email}"

  condition {
    title       = "notes"
    description = "Only mcdeploy's own notes"
    expression = join(" || ", [
      "resource.name.startsWith('${local.objects}.mcdeploy/')",
      "resource.name.startsWith('${local.objects}${var.model_prefix}') && resource.name.endsWith('/mcdeploy-push.json')",
    ])
  }
}

# GKE has no rights on a single cluster: these two let the operator find and reach API
# servers of the project, what it may do in them is the chart's.
resource "google_project_iam_custom_role" "clusters" {
  count = var.reach_clusters ? 1 : 0

  project     = var.project_id
  role_id     = replace("mcdeploy_${local.base}_clusters", "-", "_")
  title       = "mcdeploy operator of ${local.base}: reach clusters"
  permissions = ["container.clusters.connect", "container.clusters.get"]
}

resource "google_project_iam_member" "clusters" {
  count = var.reach_clusters ? 1 : 0

  project = var.project_id
  role    = google_project_iam_custom_role.clusters[0].id
  member  = "serviceAccount:${google_service_account.this["operator"].email}"
}

resource "google_artifact_registry_repository_iam_member" "resolve_images" {
  count = var.repository == null ? 0 : 1

  project    = var.project_id
  location   = var.repository.location
  repository = var.repository.id
  role       = "roles/artifactregistry.reader"
  member     = "serviceAccount:${google_service_account.this["operator"].email}"
}

resource "google_artifact_registry_repository_iam_member" "pull_images" {
  for_each = var.repository == null ? {} : var.node_service_accounts

  project    = var.project_id
  location   = var.repository.location
  repository = var.repository.id
  role       = "roles/artifactregistry.reader"
  member     = "serviceAccount:${each.value}"
}
