variable "name" {
  description = "Name of the fleet. Every name made here starts with `<name>-<environment>`."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,10}[a-z0-9]$", var.name))
    error_message = "name: expected 3 to 12 characters of a-z, 0-9 and '-', starting with a letter: longer ones do not fit into the names of storage accounts and service accounts that are made from it."
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
  description = "OIDC issuers of ServiceAccount tokens, by the name of their cluster: the hub's and those of members. Entra fetches their keys from there, so they are reachable from the internet."
  type        = map(string)

  validation {
    condition = alltrue([
      for name, url in var.issuers :
      can(regex("^[a-z0-9-]{1,40}$", name)) && can(regex("^https://[a-z0-9][a-z0-9.-]*[a-z0-9](/[A-Za-z0-9._~/-]*)?$", url))
    ])
    error_message = "issuers: expected https URLs without port, query and fragment, exactly as in the tokens' `iss`, under names of at most 40 characters of a-z, 0-9 and '-'."
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

  validation {
    # Source: https://learn.microsoft.com/entra/workload-id/workload-identity-federation-considerations (2026-11-23).
    condition     = length(var.members) * length(var.model_service_accounts) <= 20
    error_message = "model_service_accounts, members: an identity in Azure takes at most 20 credentials, and each account needs one for each member."
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

variable "region" {
  description = "Azure region, such as `eastus`."
  type        = string

  validation {
    condition     = contains(keys(local.regions), var.region)
    error_message = "region: Azure has no region of this name; expected one such as eastus (all of them are in terraform/modules/regions.json)."
  }
}

variable "resource_group_name" {
  description = "Resource group, existing, that everything is made in."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_().-]{0,89}[A-Za-z0-9_()-]$", var.resource_group_name))
    error_message = "resource_group_name: expected at most 90 letters, digits, '_', '(', ')', '.' and '-', not ending with '.'."
  }
}

variable "container_id" {
  description = "Container of model versions (output `container_id` of the artifacts module)."
  type        = string

  validation {
    condition     = can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.Storage/storageAccounts/[a-z0-9]+/blobServices/default/containers/[a-z0-9-]+$", var.container_id))
    error_message = "container_id: expected the resource id of one container; an account or a subscription is refused."
  }
}

variable "registry_ids" {
  description = "Registries whose images the operator resolves and nodes pull, by any name (output `registry_id` of the artifacts module)."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for id in values(var.registry_ids) : can(regex("(?i)/providers/Microsoft.ContainerRegistry/registries/[a-z0-9]+$", id))])
    error_message = "registry_ids: expected resource ids of container registries."
  }
}

variable "kubelet_principal_ids" {
  description = "Identities of nodes that pull from the registry, by cluster name (output of the cluster module)."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for id in values(var.kubelet_principal_ids) : can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", id))])
    error_message = "kubelet_principal_ids: expected object ids (UUIDs in lower case)."
  }
}

variable "cluster_ids" {
  description = "AKS clusters that the operator deploys to, by name. In the cluster it is the user with its object id; its rights are the chart's."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for id in values(var.cluster_ids) : can(regex("(?i)/providers/Microsoft.ContainerService/managedClusters/[^/]+$", id))])
    error_message = "cluster_ids: expected resource ids of AKS clusters."
  }
}

variable "tags" {
  description = "Tags for everything made here, beside the module's own."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(var.tags) <= 40 && alltrue([for key in keys(var.tags) : length(key) <= 128 && !can(regex("[<>%&\\\\?/]", key))])
    error_message = "tags: expected at most 40, with keys of at most 128 characters and none of < > % & \\ ? /."
  }
}
