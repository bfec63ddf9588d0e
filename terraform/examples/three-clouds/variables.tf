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

variable "aws_account_id" {
  description = "AWS account that everything is made in; another one is refused."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.aws_account_id))
    error_message = "aws_account_id: expected 12 digits."
  }
}

variable "aws_region" {
  description = "AWS region."
  type        = string
  default     = "us-east-1"

  validation {
    condition     = can(regex("^[a-z]{2}-[a-z]+-[0-9]$", var.aws_region))
    error_message = "aws_region: expected a region such as us-east-1."
  }
}

variable "azure_subscription_id" {
  description = "Azure subscription."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.azure_subscription_id))
    error_message = "azure_subscription_id: expected a UUID in lower case."
  }
}

variable "azure_tenant_id" {
  description = "Entra tenant."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.azure_tenant_id))
    error_message = "azure_tenant_id: expected a UUID in lower case."
  }
}

variable "azure_region" {
  description = "Azure region."
  type        = string
  default     = "eastus"

  validation {
    condition     = can(regex("^[a-z]+[0-9]?$", var.azure_region))
    error_message = "azure_region: expected a region such as eastus."
  }
}

variable "azure_unique_suffix" {
  description = "Four characters that make the names of storage account and registry unique in the world."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]{4}$", var.azure_unique_suffix))
    error_message = "azure_unique_suffix: expected exactly 4 characters of a-z and 0-9."
  }
}

variable "gcp_project_id" {
  description = "Google Cloud project."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.gcp_project_id))
    error_message = "gcp_project_id: expected 6 to 30 characters of a-z, 0-9 and '-', starting with a letter."
  }
}

variable "gcp_project_number" {
  description = "Number of the Google Cloud project."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{6,20}$", var.gcp_project_number))
    error_message = "gcp_project_number: expected digits."
  }
}

variable "gcp_region" {
  description = "Google Cloud region."
  type        = string
  default     = "europe-west4"

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.gcp_region))
    error_message = "gcp_region: expected a region such as europe-west4."
  }
}

variable "hub" {
  description = "The cluster that is the hub as well: `aws`, `azure` or `gcp`."
  type        = string
  default     = "gcp"

  validation {
    condition     = contains(["aws", "azure", "gcp"], var.hub)
    error_message = "hub: expected aws, azure or gcp."
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

variable "domain" {
  description = "Domain of the zone in Route 53 that clients resolve."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,63}$", var.domain))
    error_message = "domain: expected a lower-case domain of at least two labels, such as models.example.com."
  }
}

variable "public_api_cidrs" {
  description = "Networks that may reach the API servers over the internet, such as the pipeline's. Empty: private endpoints only."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.public_api_cidrs : can(cidrhost(cidr, 0)) && !endswith(cidr, "/0")])
    error_message = "public_api_cidrs: expected IPv4 networks such as 203.0.113.0/24; the whole internet (/0) is refused."
  }
}

variable "deletion_protection" {
  description = "Refuse to delete what holds models. Turn off, apply, then destroy."
  type        = bool
  default     = true
}
