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

variable "jurisdiction" {
  description = "Jurisdiction that placement may rely on: the region's country (ISO 3166 code, such as `DE`) or `EU`. Left out: the region's country."
  type        = string
  default     = null

  validation {
    condition     = var.jurisdiction == null ? true : contains(lookup(local.regions, var.region, []), var.jurisdiction)
    error_message = "jurisdiction: contradicts region; expected the country of the region (or EU where that is part of it), see terraform/modules/regions.json."
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

variable "member_name" {
  description = "Name of the MemberCluster in mcdeploy. Left out: `azure-<region>`."
  type        = string
  default     = null

  validation {
    condition     = var.member_name == null ? true : can(regex("^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$", var.member_name))
    error_message = "member_name: expected at most 40 characters of a-z, 0-9 and '-', starting and ending with a letter or digit."
  }
}

variable "kubernetes_version" {
  description = "Kubernetes minor version, such as `1.33`."
  type        = string
  default     = "1.33"

  validation {
    condition     = can(regex("^1\\.(3[1-9]|4[0-9])$", var.kubernetes_version))
    error_message = "kubernetes_version: expected a minor version from 1.31 on, such as 1.33."
  }
}

variable "vnet_cidr" {
  description = "Addresses of the virtual network: nodes and load balancers."
  type        = string
  default     = "10.72.0.0/16"

  validation {
    condition     = can(cidrhost(var.vnet_cidr, 0)) && can(regex("/(12|13|14|15|16|17|18|19|20|21|22)$", var.vnet_cidr))
    error_message = "vnet_cidr: expected an IPv4 network of /12 to /22, such as 10.72.0.0/16."
  }

  validation {
    # Two networks overlap when they are the same network at the shorter of both prefixes.
    condition = alltrue([
      for cidr in var.reserved_cidrs : try(
        cidrhost("${split("/", cidr)[0]}/${min(split("/", cidr)[1], split("/", var.vnet_cidr)[1])}", 0) !=
        cidrhost("${split("/", var.vnet_cidr)[0]}/${min(split("/", cidr)[1], split("/", var.vnet_cidr)[1])}", 0),
      true)
    ])
    error_message = "vnet_cidr: overlaps one of reserved_cidrs."
  }
}

variable "pod_cidr" {
  description = "Addresses of pods, seen inside the cluster only."
  type        = string
  default     = "10.73.0.0/16"

  validation {
    condition     = can(cidrhost(var.pod_cidr, 0)) && can(regex("/(12|13|14|15|16|17|18|19|20)$", var.pod_cidr))
    error_message = "pod_cidr: expected an IPv4 network of /12 to /20, such as 10.73.0.0/16."
  }

  validation {
    # Two networks overlap when they are the same network at the shorter of both prefixes.
    condition = alltrue([
      for cidr in concat([var.vnet_cidr], var.reserved_cidrs) : try(
        cidrhost("${split("/", cidr)[0]}/${min(split("/", cidr)[1], split("/", var.pod_cidr)[1])}", 0) !=
        cidrhost("${split("/", var.pod_cidr)[0]}/${min(split("/", cidr)[1], split("/", var.pod_cidr)[1])}", 0),
      true)
    ])
    error_message = "pod_cidr: overlaps vnet_cidr or one of reserved_cidrs."
  }
}

variable "service_cidr" {
  description = "Addresses of the cluster's Services, seen inside the cluster only."
  type        = string
  default     = "172.21.0.0/16"

  validation {
    condition     = can(cidrhost(var.service_cidr, 0)) && can(regex("/(12|13|14|15|16|17|18|19|20|21|22|23|24)$", var.service_cidr))
    error_message = "service_cidr: expected an IPv4 network of /12 to /24, such as 172.21.0.0/16."
  }

  validation {
    # Two networks overlap when they are the same network at the shorter of both prefixes.
    condition = alltrue([
      for cidr in concat([var.vnet_cidr, var.pod_cidr], var.reserved_cidrs) : try(
        cidrhost("${split("/", cidr)[0]}/${min(split("/", cidr)[1], split("/", var.service_cidr)[1])}", 0) !=
        cidrhost("${split("/", var.service_cidr)[0]}/${min(split("/", cidr)[1], split("/", var.service_cidr)[1])}", 0),
      true)
    ])
    error_message = "service_cidr: overlaps vnet_cidr, pod_cidr or one of reserved_cidrs."
  }
}

variable "reserved_cidrs" {
  description = "Networks used elsewhere (other clusters, offices) that this one must not overlap."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.reserved_cidrs : can(cidrhost(cidr, 0))])
    error_message = "reserved_cidrs: expected IPv4 networks such as 10.0.0.0/16."
  }
}

variable "public_api_cidrs" {
  description = "Networks that may reach the API server over the internet. Empty: the endpoint is private only."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.public_api_cidrs : can(cidrhost(cidr, 0)) && !endswith(cidr, "/0")])
    error_message = "public_api_cidrs: expected IPv4 networks such as 203.0.113.0/24; the whole internet (/0) is refused."
  }
}

variable "cpu_pool" {
  description = "The pool that runs the system, mcdeploy and models without accelerators."
  type = object({
    vm_size   = optional(string, "Standard_D2as_v5")
    min_count = optional(number, 2)
    max_count = optional(number, 6)
    disk_gib  = optional(number, 64)
    labels    = optional(map(string), {})
  })
  default = {}

  validation {
    condition     = var.cpu_pool.min_count >= 1 && var.cpu_pool.max_count >= var.cpu_pool.min_count && var.cpu_pool.max_count <= 1000
    error_message = "cpu_pool: expected 1 <= min_count <= max_count <= 1000."
  }

  validation {
    condition     = var.cpu_pool.disk_gib >= 30 && var.cpu_pool.disk_gib <= 2048 && startswith(var.cpu_pool.vm_size, "Standard_")
    error_message = "cpu_pool: expected disk_gib from 30 to 2048, and vm_size such as Standard_D2as_v5."
  }
}

variable "gpu_pools" {
  description = "GPU pools by name. Nodes carry the taint `nvidia.com/gpu=present:NoSchedule` and the label `mcdeploy.dev/accelerator`, which placement can read."
  type = map(object({
    vm_size     = string
    accelerator = string
    min_count   = optional(number, 0)
    max_count   = optional(number, 4)
    disk_gib    = optional(number, 256)
    spot        = optional(bool, false)
    labels      = optional(map(string), {})
  }))
  default = {}

  validation {
    condition     = alltrue([for name, pool in var.gpu_pools : can(regex("^[a-z][a-z0-9]{0,11}$", name)) && can(regex("^[a-z0-9-]{1,63}$", pool.accelerator))])
    error_message = "gpu_pools: expected names of at most 12 characters of a-z and 0-9 (AKS takes no longer ones), and accelerator such as nvidia-t4."
  }

  validation {
    condition     = alltrue([for pool in values(var.gpu_pools) : pool.min_count >= 0 && pool.max_count >= max(pool.min_count, 1) && pool.max_count <= 1000])
    error_message = "gpu_pools: expected 0 <= min_count <= max_count, and 1 <= max_count <= 1000."
  }

  validation {
    condition     = alltrue([for pool in values(var.gpu_pools) : pool.disk_gib >= 30 && pool.disk_gib <= 2048 && startswith(pool.vm_size, "Standard_N")])
    error_message = "gpu_pools: expected disk_gib from 30 to 2048, and vm_size of the N family, such as Standard_NC4as_T4_v3."
  }
}

variable "zones" {
  description = "Availability zones of nodes and addresses; empty where the region has none."
  type        = list(string)
  default     = ["1", "2", "3"]

  validation {
    condition     = alltrue([for zone in var.zones : contains(["1", "2", "3"], zone)]) && length(distinct(var.zones)) == length(var.zones)
    error_message = "zones: expected some of 1, 2 and 3, each once."
  }
}

variable "tenant_id" {
  description = "Entra tenant whose users and identities may log in to the cluster."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.tenant_id))
    error_message = "tenant_id: expected a UUID in lower case."
  }
}

variable "admin_group_object_ids" {
  description = "Entra groups that administer the cluster. Local accounts are off."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for id in var.admin_group_object_ids : can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", id))])
    error_message = "admin_group_object_ids: expected UUIDs in lower case."
  }
}

variable "disk_encryption_set_id" {
  description = "Disk encryption set that holds the customer key of node disks and volumes. Left out: keys that Azure owns."
  type        = string
  default     = null

  validation {
    condition     = var.disk_encryption_set_id == null ? true : can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.Compute/diskEncryptionSets/[^/]+$", var.disk_encryption_set_id))
    error_message = "disk_encryption_set_id: expected the resource id of a disk encryption set."
  }
}

variable "secrets_key_id" {
  description = "Customer key (Key Vault key id with version) for Kubernetes Secrets in etcd; the cluster's identity gets no right on it here. Left out: keys that Azure owns."
  type        = string
  default     = null

  validation {
    condition     = var.secrets_key_id == null ? true : can(regex("^https://[a-z0-9-]+\\.vault\\.azure\\.net/keys/[A-Za-z0-9-]+/[0-9a-f]{32}$", var.secrets_key_id))
    error_message = "secrets_key_id: expected https://VAULT.vault.azure.net/keys/NAME/VERSION."
  }
}

variable "log_retention_days" {
  description = "Days that control plane logs are kept."
  type        = number
  default     = 90

  validation {
    condition     = var.log_retention_days >= 30 && var.log_retention_days <= 730 && floor(var.log_retention_days) == var.log_retention_days
    error_message = "log_retention_days: expected a whole number from 30 to 730."
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
