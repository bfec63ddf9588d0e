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

variable "subscription_id" {
  description = "Azure subscription."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.subscription_id))
    error_message = "subscription_id: expected a UUID in lower case."
  }
}

variable "tenant_id" {
  description = "Entra tenant."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.tenant_id))
    error_message = "tenant_id: expected a UUID in lower case."
  }
}

variable "resource_group_name" {
  description = "Resource group of the AKS cluster that exists; store and identities are made in it too."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_().-]{0,89}[A-Za-z0-9_()-]$", var.resource_group_name))
    error_message = "resource_group_name: expected at most 90 letters, digits, '_', '(', ')', '.' and '-', not ending with '.'."
  }
}

variable "aks_cluster_name" {
  description = "AKS cluster that exists, with its OIDC issuer on."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$", var.aks_cluster_name))
    error_message = "aks_cluster_name: expected the name of an AKS cluster, at most 63 characters."
  }
}

variable "azure_region" {
  description = "Region of the AKS cluster and of its store."
  type        = string
  default     = "eastus"

  validation {
    condition     = can(regex("^[a-z]+[0-9]?$", var.azure_region))
    error_message = "azure_region: expected a region such as eastus."
  }
}

variable "unique_suffix" {
  description = "Four characters that make the names of storage account and registry unique in the world."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]{4}$", var.unique_suffix))
    error_message = "unique_suffix: expected exactly 4 characters of a-z and 0-9."
  }
}

variable "egress_cidrs" {
  description = "Addresses that the clusters' traffic comes from; everybody else is refused by store and registry."
  type        = list(string)

  validation {
    condition     = length(var.egress_cidrs) > 0 && alltrue([for cidr in var.egress_cidrs : can(cidrhost(cidr, 0)) && !endswith(cidr, "/0")])
    error_message = "egress_cidrs: expected at least one public IPv4 network such as 203.0.113.7/32."
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
