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

variable "domain" {
  description = "Domain of the zone, such as `models.example.com`."
  type        = string

  validation {
    condition     = length(var.domain) <= 253 && can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,63}$", var.domain))
    error_message = "domain: expected a lower-case domain of at least two labels without a final dot, such as models.example.com."
  }
}

variable "zone_id" {
  description = "Hosted zone that exists already. Left out: one is made."
  type        = string
  default     = null

  validation {
    condition     = var.zone_id == null ? true : can(regex("^Z[A-Z0-9]{1,31}$", var.zone_id))
    error_message = "zone_id: expected the id of a Route 53 hosted zone, such as Z0123456789ABCDEFGHIJ."
  }
}

variable "writer_role_name" {
  description = "IAM role that may change records of this zone (output `operator_role_name` of the identity module). Left out: nobody."
  type        = string
  default     = null

  validation {
    condition     = var.writer_role_name == null ? true : can(regex("^[A-Za-z0-9+=,.@_-]{1,64}$", var.writer_role_name))
    error_message = "writer_role_name: expected the name (not the ARN) of an IAM role, at most 64 characters."
  }
}

variable "query_log_group_arn" {
  description = "CloudWatch log group in us-east-1 that gets the zone's queries; its resource policy must allow route53.amazonaws.com. Left out: none are logged."
  type        = string
  default     = null

  validation {
    condition     = var.query_log_group_arn == null ? true : can(regex("^arn:aws[a-z-]*:logs:us-east-1:[0-9]{12}:log-group:.+$", var.query_log_group_arn))
    error_message = "query_log_group_arn: expected the ARN of a log group in us-east-1, where Route 53 writes."
  }
}

variable "dnssec_key_arn" {
  description = "KMS key (ECC_NIST_P256, us-east-1) that signs the zone. Left out: the zone is not signed."
  type        = string
  default     = null

  validation {
    condition     = var.dnssec_key_arn == null ? true : can(regex("^arn:aws[a-z-]*:kms:us-east-1:[0-9]{12}:key/[0-9a-f-]{36}$", var.dnssec_key_arn))
    error_message = "dnssec_key_arn: expected the ARN of a KMS key in us-east-1, where Route 53 signs."
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
