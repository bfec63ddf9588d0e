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

variable "project_id" {
  description = "Google Cloud project that everything is made in."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id: expected 6 to 30 characters of a-z, 0-9 and '-', starting with a letter."
  }
}

variable "region" {
  description = "Google Cloud region, such as `europe-west4`."
  type        = string

  validation {
    condition     = contains(keys(local.regions), var.region)
    error_message = "region: Google Cloud has no region of this name; expected one such as europe-west4 (all of them are in terraform/modules/regions.json)."
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

variable "member_name" {
  description = "Name of the MemberCluster in mcdeploy. Left out: `gcp-<region>`."
  type        = string
  default     = null

  validation {
    condition     = var.member_name == null ? true : can(regex("^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$", var.member_name))
    error_message = "member_name: expected at most 40 characters of a-z, 0-9 and '-', starting and ending with a letter or digit."
  }
}

variable "subnet_cidr" {
  description = "Addresses of nodes and load balancers."
  type        = string
  default     = "10.80.0.0/20"

  validation {
    condition     = can(cidrhost(var.subnet_cidr, 0)) && can(regex("/(16|17|18|19|20|21|22)$", var.subnet_cidr))
    error_message = "subnet_cidr: expected an IPv4 network of /16 to /22, such as 10.80.0.0/20."
  }

  validation {
    # Two networks overlap when they are the same network at the shorter of both prefixes.
    condition = alltrue([
      for cidr in var.reserved_cidrs : try(
        cidrhost("${split("/", cidr)[0]}/${min(split("/", cidr)[1], split("/", var.subnet_cidr)[1])}", 0) !=
        cidrhost("${split("/", var.subnet_cidr)[0]}/${min(split("/", cidr)[1], split("/", var.subnet_cidr)[1])}", 0),
      true)
    ])
    error_message = "subnet_cidr: overlaps one of reserved_cidrs."
  }
}

variable "pod_cidr" {
  description = "Addresses of pods."
  type        = string
  default     = "10.84.0.0/14"

  validation {
    condition     = can(cidrhost(var.pod_cidr, 0)) && can(regex("/(11|12|13|14|15|16|17|18|19|20)$", var.pod_cidr))
    error_message = "pod_cidr: expected an IPv4 network of /11 to /20, such as 10.84.0.0/14."
  }

  validation {
    # Two networks overlap when they are the same network at the shorter of both prefixes.
    condition = alltrue([
      for cidr in concat([var.subnet_cidr], var.reserved_cidrs) : try(
        cidrhost("${split("/", cidr)[0]}/${min(split("/", cidr)[1], split("/", var.pod_cidr)[1])}", 0) !=
        cidrhost("${split("/", var.pod_cidr)[0]}/${min(split("/", cidr)[1], split("/", var.pod_cidr)[1])}", 0),
      true)
    ])
    error_message = "pod_cidr: overlaps subnet_cidr or one of reserved_cidrs."
  }
}

variable "service_cidr" {
  description = "Addresses of the cluster's Services."
  type        = string
  default     = "10.88.0.0/20"

  validation {
    condition     = can(cidrhost(var.service_cidr, 0)) && can(regex("/(16|17|18|19|20|21|22|23|24)$", var.service_cidr))
    error_message = "service_cidr: expected an IPv4 network of /16 to /24, such as 10.88.0.0/20."
  }

  validation {
    # Two networks overlap when they are the same network at the shorter of both prefixes.
    condition = alltrue([
      for cidr in concat([var.subnet_cidr, var.pod_cidr], var.reserved_cidrs) : try(
        cidrhost("${split("/", cidr)[0]}/${min(split("/", cidr)[1], split("/", var.service_cidr)[1])}", 0) !=
        cidrhost("${split("/", var.service_cidr)[0]}/${min(split("/", cidr)[1], split("/", var.service_cidr)[1])}", 0),
      true)
    ])
    error_message = "service_cidr: overlaps subnet_cidr, pod_cidr or one of reserved_cidrs."
  }
}

variable "control_plane_cidr" {
  description = "Addresses of the control plane's private endpoint."
  type        = string
  default     = "10.80.16.0/28"

  validation {
    condition     = can(cidrhost(var.control_plane_cidr, 0)) && can(regex("/(28)$", var.control_plane_cidr))
    error_message = "control_plane_cidr: expected an IPv4 network of /28 to /28, such as 10.80.16.0/28."
  }

  validation {
    # Two networks overlap when they are the same network at the shorter of both prefixes.
    condition = alltrue([
      for cidr in concat([var.subnet_cidr, var.pod_cidr, var.service_cidr], var.reserved_cidrs) : try(
        cidrhost("${split("/", cidr)[0]}/${min(split("/", cidr)[1], split("/", var.control_plane_cidr)[1])}", 0) !=
        cidrhost("${split("/", var.control_plane_cidr)[0]}/${min(split("/", cidr)[1], split("/", var.control_plane_cidr)[1])}", 0),
      true)
    ])
    error_message = "control_plane_cidr: overlaps subnet_cidr, pod_cidr, service_cidr or one of reserved_cidrs."
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
  description = "The pool that runs mcdeploy and models without accelerators. Counts are per zone."
  type = object({
    machine_type = optional(string, "e2-standard-2")
    min_count    = optional(number, 1)
    max_count    = optional(number, 3)
    disk_gib     = optional(number, 50)
    labels       = optional(map(string), {})
  })
  default = {}

  validation {
    condition     = var.cpu_pool.min_count >= 1 && var.cpu_pool.max_count >= var.cpu_pool.min_count && var.cpu_pool.max_count <= 1000
    error_message = "cpu_pool: expected 1 <= min_count <= max_count <= 1000."
  }

  validation {
    condition     = var.cpu_pool.disk_gib >= 20 && var.cpu_pool.disk_gib <= 65536
    error_message = "cpu_pool: expected disk_gib from 20 to 65536."
  }
}

variable "gpu_pools" {
  description = "GPU pools by name. Nodes carry the taint `nvidia.com/gpu=present:NoSchedule` and the label `mcdeploy.dev/accelerator`, which placement can read. Counts are per zone."
  type = map(object({
    machine_type      = string
    accelerator       = string
    accelerator_count = optional(number, 1)
    min_count         = optional(number, 0)
    max_count         = optional(number, 2)
    disk_gib          = optional(number, 200)
    spot              = optional(bool, false)
    zones             = optional(list(string))
    labels            = optional(map(string), {})
  }))
  default = {}

  validation {
    condition     = alltrue([for name, pool in var.gpu_pools : can(regex("^[a-z][a-z0-9-]{0,11}$", name)) && can(regex("^nvidia-[a-z0-9-]{1,50}$", pool.accelerator))])
    error_message = "gpu_pools: expected names of at most 12 characters of a-z, 0-9 and '-', and accelerator in Google's spelling, such as nvidia-l4."
  }

  validation {
    condition     = alltrue([for pool in values(var.gpu_pools) : pool.min_count >= 0 && pool.max_count >= max(pool.min_count, 1) && pool.max_count <= 1000])
    error_message = "gpu_pools: expected 0 <= min_count <= max_count, and 1 <= max_count <= 1000."
  }

  validation {
    condition     = alltrue([for pool in values(var.gpu_pools) : pool.disk_gib >= 50 && pool.disk_gib <= 65536 && contains([1, 2, 4, 8, 16], pool.accelerator_count)])
    error_message = "gpu_pools: expected disk_gib from 50 to 65536, and accelerator_count of 1, 2, 4, 8 or 16."
  }
}

variable "kms_key_id" {
  description = "Customer key for Kubernetes Secrets and node disks, in the cluster's region; the service agents of GKE and Compute Engine need rights on it. Left out: keys that Google owns."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_id == null ? true : can(regex("^projects/[a-z0-9-]+/locations/[a-z0-9-]+/keyRings/[A-Za-z0-9_-]+/cryptoKeys/[A-Za-z0-9_-]+$", var.kms_key_id))
    error_message = "kms_key_id: expected projects/P/locations/L/keyRings/R/cryptoKeys/K."
  }
}

variable "release_channel" {
  description = "How fast GKE upgrades: `RAPID`, `REGULAR` or `STABLE`."
  type        = string
  default     = "REGULAR"

  validation {
    condition     = contains(["RAPID", "REGULAR", "STABLE"], var.release_channel)
    error_message = "release_channel: expected RAPID, REGULAR or STABLE."
  }
}

variable "deletion_protection" {
  description = "Refuse to delete the cluster. Turn off, apply, then destroy."
  type        = bool
  default     = true
}

variable "labels" {
  description = "Labels for everything made here that takes labels, beside the module's own."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(var.labels) <= 55 && alltrue([for key, value in var.labels : can(regex("^[a-z][a-z0-9_-]{0,62}$", key)) && can(regex("^[a-z0-9_-]{0,63}$", value))])
    error_message = "labels: expected at most 55, keys and values of at most 63 characters of a-z, 0-9, '_' and '-', keys starting with a letter."
  }
}
