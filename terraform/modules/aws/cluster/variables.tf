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
  description = "AWS region, such as `us-east-1`; must be the region of the AWS provider that the module is given."
  type        = string

  validation {
    condition     = contains(keys(local.regions), var.region)
    error_message = "region: AWS has no region of this name; expected one such as us-east-1 (all of them are in terraform/modules/regions.json)."
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
  description = "Name of the MemberCluster in mcdeploy. Left out: `aws-<region>`."
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

variable "vpc_cidr" {
  description = "Addresses of the VPC: nodes and pods. A /16 to /20."
  type        = string
  default     = "10.64.0.0/16"

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0)) && can(regex("/(16|17|18|19|20)$", var.vpc_cidr))
    error_message = "vpc_cidr: expected an IPv4 network of /16 to /20, such as 10.64.0.0/16."
  }
}

variable "service_cidr" {
  description = "Addresses of the cluster's Services; overlaps neither `vpc_cidr` nor `reserved_cidrs`."
  type        = string
  default     = "172.20.0.0/16"

  validation {
    condition     = can(cidrhost(var.service_cidr, 0)) && can(regex("/(1[2-9]|2[0-4])$", var.service_cidr))
    error_message = "service_cidr: expected an IPv4 network of /12 to /24, such as 172.20.0.0/16."
  }

  validation {
    # Two networks overlap when they are the same network at the shorter of both prefixes.
    condition = alltrue([
      for cidr in concat([var.vpc_cidr], var.reserved_cidrs) : try(
        cidrhost("${split("/", cidr)[0]}/${min(split("/", cidr)[1], split("/", var.service_cidr)[1])}", 0) !=
        cidrhost("${split("/", var.service_cidr)[0]}/${min(split("/", cidr)[1], split("/", var.service_cidr)[1])}", 0),
      true)
    ])
    error_message = "service_cidr: overlaps vpc_cidr or one of reserved_cidrs."
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

  validation {
    # Two networks overlap when they are the same network at the shorter of both prefixes.
    condition = alltrue([
      for cidr in var.reserved_cidrs : try(
        cidrhost("${split("/", cidr)[0]}/${min(split("/", cidr)[1], split("/", var.vpc_cidr)[1])}", 0) !=
        cidrhost("${split("/", var.vpc_cidr)[0]}/${min(split("/", cidr)[1], split("/", var.vpc_cidr)[1])}", 0),
      true)
    ])
    error_message = "reserved_cidrs: one of them overlaps vpc_cidr."
  }
}

variable "availability_zones" {
  description = "Two or three availability zones of the region. Left out: the first three that the region has."
  type        = list(string)
  default     = null

  validation {
    condition = var.availability_zones == null ? true : (
      contains([2, 3], length(var.availability_zones)) &&
      alltrue([for zone in var.availability_zones : startswith(zone, var.region)])
    )
    error_message = "availability_zones: expected two or three zones of the region, such as us-east-1a and us-east-1b."
  }
}

variable "nat_gateways" {
  description = "How private nodes reach the internet, which transfers to other clouds need: `none`, `single`, or `per-zone` (survives the loss of a zone)."
  type        = string
  default     = "single"

  validation {
    condition     = contains(["none", "single", "per-zone"], var.nat_gateways)
    error_message = "nat_gateways: expected none, single or per-zone."
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
  description = "The pool that runs mcdeploy and models without accelerators."
  type = object({
    instance_types = optional(list(string), ["m7i.large"])
    min_size       = optional(number, 2)
    max_size       = optional(number, 6)
    disk_gib       = optional(number, 50)
    labels         = optional(map(string), {})
  })
  default = {}

  validation {
    condition     = var.cpu_pool.min_size >= 1 && var.cpu_pool.max_size >= var.cpu_pool.min_size && var.cpu_pool.max_size <= 450
    error_message = "cpu_pool: expected 1 <= min_size <= max_size <= 450."
  }

  validation {
    condition     = var.cpu_pool.disk_gib >= 20 && var.cpu_pool.disk_gib <= 16384 && length(var.cpu_pool.instance_types) > 0
    error_message = "cpu_pool: expected disk_gib from 20 to 16384 and at least one of instance_types."
  }
}

variable "gpu_pools" {
  description = "GPU pools by name. Nodes carry the taint `nvidia.com/gpu=present:NoSchedule` and the label `mcdeploy.dev/accelerator`, which placement can read."
  type = map(object({
    instance_types = list(string)
    accelerator    = string
    min_size       = optional(number, 0)
    max_size       = optional(number, 4)
    disk_gib       = optional(number, 200)
    spot           = optional(bool, false)
    labels         = optional(map(string), {})
  }))
  default = {}

  validation {
    condition     = alltrue([for name, pool in var.gpu_pools : can(regex("^[a-z][a-z0-9-]{0,11}$", name)) && can(regex("^[a-z0-9-]{1,63}$", pool.accelerator))])
    error_message = "gpu_pools: expected names of at most 12 characters of a-z, 0-9 and '-', and accelerator such as nvidia-l4."
  }

  validation {
    condition     = alltrue([for pool in values(var.gpu_pools) : pool.min_size >= 0 && pool.max_size >= max(pool.min_size, 1) && pool.max_size <= 450])
    error_message = "gpu_pools: expected 0 <= min_size <= max_size, and 1 <= max_size <= 450."
  }

  validation {
    condition     = alltrue([for pool in values(var.gpu_pools) : pool.disk_gib >= 50 && pool.disk_gib <= 16384 && length(pool.instance_types) > 0])
    error_message = "gpu_pools: expected disk_gib from 50 to 16384 and at least one of instance_types."
  }
}

variable "kms_key_arn" {
  description = "Customer key for Kubernetes Secrets, node disks and logs. Left out: keys that AWS owns. Its policy must allow CloudWatch Logs and the Auto Scaling service role."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[0-9a-f-]{36}$", var.kms_key_arn))
    error_message = "kms_key_arn: expected the ARN of a KMS key, arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}

variable "log_retention_days" {
  description = "Days that control plane and flow logs are kept."
  type        = number
  default     = 365

  validation {
    condition     = contains([30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days: expected a period that CloudWatch Logs has, such as 30, 90, 365 or 731."
  }
}

variable "tags" {
  description = "Tags for everything made here, beside the module's own."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(lower(key), "aws:")])
    error_message = "tags: keys that start with 'aws:' are reserved by AWS."
  }
}
