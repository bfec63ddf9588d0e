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

variable "store_name" {
  description = "Name of the ArtifactStore in mcdeploy. Left out: `azure-<region>`."
  type        = string
  default     = null

  validation {
    condition     = var.store_name == null ? true : can(regex("^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$", var.store_name))
    error_message = "store_name: expected at most 40 characters of a-z, 0-9 and '-', starting and ending with a letter or digit."
  }
}

variable "unique_suffix" {
  description = "Four characters that make the names of storage account and registry unique in the world."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]{4}$", var.unique_suffix))
    error_message = "unique_suffix: expected exactly 4 characters of a-z and 0-9: more do not fit into the 24 of a storage account's name."
  }
}

variable "account_name" {
  description = "Name of the storage account, unique in the world. Left out: `<name><environment><unique_suffix>` without hyphens."
  type        = string
  default     = null

  validation {
    condition     = var.account_name == null ? true : can(regex("^[a-z0-9]{3,24}$", var.account_name))
    error_message = "account_name: expected 3 to 24 characters of a-z and 0-9: Azure takes no longer names of storage accounts."
  }
}

variable "container_name" {
  description = "Name of the container in the storage account."
  type        = string
  default     = "models"

  validation {
    condition     = can(regex("^[a-z0-9](-?[a-z0-9]){2,62}$", var.container_name))
    error_message = "container_name: expected 3 to 63 characters of a-z, 0-9 and single '-' between them."
  }
}

variable "replication" {
  description = "Copies that Azure keeps: `LRS` (one datacentre), `ZRS` (three zones) or `GRS` (another region, which may be another jurisdiction)."
  type        = string
  default     = "ZRS"

  validation {
    condition     = contains(["LRS", "ZRS", "GRS"], var.replication)
    error_message = "replication: expected LRS, ZRS or GRS."
  }
}

variable "allowed_subnet_ids" {
  description = "Subnets, with service endpoints for Microsoft.Storage, that reach the storage account: those of the provider's own clusters."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for id in var.allowed_subnet_ids : can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.Network/virtualNetworks/[^/]+/subnets/[^/]+$", id))])
    error_message = "allowed_subnet_ids: expected resource ids of subnets."
  }
}

variable "allowed_cidrs" {
  description = "Networks that reach storage account and registry over the internet: addresses that other clouds' transfers, and this one's pulls, come from. Everybody else is refused."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.allowed_cidrs : can(cidrhost(cidr, 0)) && can(regex("/(8|9|[12][0-9]|30|32)$", cidr))])
    error_message = "allowed_cidrs: expected public IPv4 networks of /8 to /30, or single addresses as /32."
  }
}

variable "deletion_protection" {
  description = "Lock storage account and registry against deletion. Turn off, apply, then destroy."
  type        = bool
  default     = true
}

variable "noncurrent_days" {
  description = "Days that an overwritten or deleted object can be brought back."
  type        = number
  default     = 30

  validation {
    condition     = var.noncurrent_days >= 1 && var.noncurrent_days <= 365 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "noncurrent_days: expected a whole number from 1 to 365."
  }
}

variable "customer_key" {
  description = "Customer key for objects and images, and the user-assigned identity that may use it. Left out: keys that Azure owns."
  type = object({
    key_vault_key_id   = string
    identity_id        = string
    identity_client_id = string
  })
  default = null

  validation {
    condition = var.customer_key == null ? true : (
      can(regex("^https://[a-z0-9-]+\\.vault\\.azure\\.net/keys/[A-Za-z0-9-]+(/[0-9a-f]{32})?$", var.customer_key.key_vault_key_id)) &&
      can(regex("(?i)/providers/Microsoft.ManagedIdentity/userAssignedIdentities/[^/]+$", var.customer_key.identity_id))
    )
    error_message = "customer_key: expected key_vault_key_id as https://VAULT.vault.azure.net/keys/NAME and identity_id as the resource id of a user-assigned identity."
  }
}

variable "log_analytics_workspace_id" {
  description = "Workspace that gets the logs of reads, writes and deletions. Left out: none are kept."
  type        = string
  default     = null

  validation {
    condition     = var.log_analytics_workspace_id == null ? true : can(regex("(?i)/providers/Microsoft.OperationalInsights/workspaces/[^/]+$", var.log_analytics_workspace_id))
    error_message = "log_analytics_workspace_id: expected the resource id of a Log Analytics workspace."
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
