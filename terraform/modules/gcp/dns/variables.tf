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

variable "domain" {
  description = "Domain of the zone, such as `models.example.com`."
  type        = string

  validation {
    condition     = length(var.domain) <= 253 && can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,63}$", var.domain))
    error_message = "domain: expected a lower-case domain of at least two labels without a final dot, such as models.example.com."
  }
}

variable "existing_zone_name" {
  description = "Name of a managed zone that exists already. Left out: one is made."
  type        = string
  default     = null

  validation {
    condition     = var.existing_zone_name == null ? true : can(regex("^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", var.existing_zone_name))
    error_message = "existing_zone_name: expected the name of a managed zone, at most 63 characters."
  }
}

variable "writer_email" {
  description = "Service account that may change records of this zone (output `operator_email` of the identity module)."
  type        = string
  default     = null

  validation {
    condition     = var.writer_email == null ? true : can(regex("^[a-z0-9-]+@[a-z0-9-]+\\.iam\\.gserviceaccount\\.com$", var.writer_email))
    error_message = "writer_email: expected the e-mail address of a service account."
  }
}

variable "assign_writer" {
  description = "Give the right to `writer_email`. Says so beside the address, because the address may be known only after apply."
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
