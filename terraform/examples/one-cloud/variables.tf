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

variable "project_number" {
  description = "Number of the Google Cloud project."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{6,20}$", var.project_number))
    error_message = "project_number: expected digits."
  }
}

variable "region" {
  description = "Google Cloud region."
  type        = string
  default     = "europe-west4"

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region: expected a region such as europe-west4."
  }
}

variable "model_prefix" {
  description = "The prefix of objects that model pods may read, such as `digits/`."
  type        = string

  validation {
    condition     = endswith(var.model_prefix, "/") && length(var.model_prefix) > 1
    error_message = "model_prefix: expected a path that ends with '/', such as digits/."
  }
}

variable "deletion_protection" {
  description = "Refuse to delete what holds models. Turn off, apply, then destroy."
  type        = bool
  default     = true
}
