variable "name" {
  description = "Name of the fleet. Every name made here starts with `<name>-<environment>`."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,10}[a-z0-9]$", var.name))
    error_message = "name: expected 3 to 12 characters of a-z, 0-9 and '-', starting with a letter: longer ones do not fit into the names of storage accounts and service accounts that are made from it."
  }

  validation {
    condition     = !startswith(var.name, "gcp-")
    error_message = "name: must not start with gcp-: Google reserves identity pools of such names."
  }
}

variable "environment" {
  description = "Environment, such as `dev` or `prod`; second part of every name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,7}$", var.environment))
    error_message = "environment: expected 2 to 8 characters of a-z and 0-9, starting with a letter."
  }
}

variable "issuers" {
  description = "OIDC issuers of ServiceAccount tokens, by the name of their cluster: the hub's and those of members. Google fetches their keys from there, so they are reachable from the internet."
  type        = map(string)

  validation {
    condition = alltrue([
      for name, url in var.issuers :
      can(regex("^[a-z0-9-]{1,27}$", name)) && can(regex("^https://[a-z0-9][a-z0-9.-]*[a-z0-9](/[A-Za-z0-9._~/-]*)?$", url))
    ])
    error_message = "issuers: expected https URLs without port, query and fragment, exactly as in the tokens' `iss`, under names of at most 27 characters of a-z, 0-9 and '-'."
  }

  validation {
    condition     = length(distinct(values(var.issuers))) == length(var.issuers)
    error_message = "issuers: the same issuer is listed under two names; a hub that is a member too is listed once."
  }
}

variable "hub" {
  description = "Which of `issuers` is the hub's."
  type        = string

  validation {
    condition     = contains(keys(var.issuers), var.hub)
    error_message = "hub: expected one of the names in issuers."
  }
}

variable "members" {
  description = "Which of `issuers` are member clusters: their transfer Jobs and model pods may take the identities made here."
  type        = set(string)

  validation {
    condition     = length(setsubtract(var.members, keys(var.issuers))) == 0
    error_message = "members: expected names in issuers."
  }
}


variable "system_namespace" {
  description = "Namespace of mcdeploy in the hub and in members."
  type        = string
  default     = "mcdeploy-system"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.system_namespace))
    error_message = "system_namespace: expected the name of a Kubernetes namespace; wildcards are refused."
  }
}

variable "hub_service_account" {
  description = "ServiceAccount of the operator in the hub."
  type        = string
  default     = "mcdeploy-operator"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$", var.hub_service_account))
    error_message = "hub_service_account: expected the name of a Kubernetes ServiceAccount; wildcards are refused."
  }
}

variable "transfer_service_account" {
  description = "ServiceAccount of transfer Jobs in members, in `system_namespace`."
  type        = string
  default     = "mcdeploy-transfer"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$", var.transfer_service_account))
    error_message = "transfer_service_account: expected the name of a Kubernetes ServiceAccount; wildcards are refused."
  }
}

variable "model_service_accounts" {
  description = "ServiceAccounts of model pods in members, as `namespace/name`."
  type        = set(string)
  default     = ["default/mcdeploy-model"]

  validation {
    condition = length(var.model_service_accounts) > 0 && alltrue([
      for account in var.model_service_accounts : can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$", account))
    ])
    error_message = "model_service_accounts: expected at least one namespace/name; wildcards are refused."
  }
}

variable "model_prefix" {
  description = "The one prefix of objects that model pods may read and transfer Jobs may write, such as `digits/`."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9._-]*[a-z0-9])?(/[a-z0-9]([a-z0-9._-]*[a-z0-9])?)*/$", var.model_prefix))
    error_message = "model_prefix: expected a path that ends with '/', such as digits/; the empty prefix (every model) is refused."
  }
}

variable "project_id" {
  description = "Google Cloud project that everything is made in."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id: expected 6 to 30 characters of a-z, 0-9 and '-', starting with a letter."
  }
}

variable "project_number" {
  description = "Number of the project; the audience of tokens is made from it."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{6,20}$", var.project_number))
    error_message = "project_number: expected digits, such as 123456789012."
  }
}

variable "bucket" {
  description = "Bucket of model versions (output of the artifacts module)."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "bucket: expected the name of a bucket, 3 to 63 characters."
  }
}

variable "repository" {
  description = "Repository whose images the operator resolves and nodes pull (output of the artifacts module). Left out: no rights on a registry."
  type = object({
    location = string
    id       = string
  })
  default = null

  validation {
    condition     = var.repository == null ? true : can(regex("^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", var.repository.id))
    error_message = "repository: expected id of at most 63 characters of a-z, 0-9 and '-'."
  }
}

variable "node_service_accounts" {
  description = "Service accounts of nodes that pull from the repository, by cluster name (output of the cluster module)."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for email in values(var.node_service_accounts) : can(regex("^[a-z0-9-]+@[a-z0-9-]+\\.iam\\.gserviceaccount\\.com$", email))])
    error_message = "node_service_accounts: expected e-mail addresses of service accounts."
  }
}

variable "reach_clusters" {
  description = "Let the operator find and reach the GKE clusters of the project; in a cluster its rights are the chart's."
  type        = bool
  default     = true
}

variable "gke_issuers" {
  description = "Which of `issuers` are GKE clusters of this project: the project's own workload pool trusts them already, by namespace and name of the ServiceAccount, in any cluster of the project."
  type        = set(string)
  default     = []

  validation {
    condition     = length(setsubtract(var.gke_issuers, keys(var.issuers))) == 0
    error_message = "gke_issuers: expected names in issuers."
  }
}
