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

variable "resource_group_name" {
  description = "Resource group, existing, that everything is made in."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_().-]{0,89}[A-Za-z0-9_()-]$", var.resource_group_name))
    error_message = "resource_group_name: expected at most 90 letters, digits, '_', '(', ')', '.' and '-', not ending with '.'."
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

variable "existing_zone" {
  description = "The zone is in the resource group already. Otherwise it is made."
  type        = bool
  default     = false
}

variable "writer_principal_id" {
  description = "Identity that may change records of this zone (output `operator_principal_id` of the identity module). Left out: nobody."
  type        = string
  default     = null

  validation {
    condition     = var.writer_principal_id == null ? true : can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.writer_principal_id))
    error_message = "writer_principal_id: expected an object id (a UUID in lower case)."
  }
}

variable "assign_writer" {
  description = "Give the right to `writer_principal_id`. Says so beside the id, because the id may be known only after apply."
  type        = bool
  default     = true
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
