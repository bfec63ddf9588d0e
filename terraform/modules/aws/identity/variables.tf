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

variable "issuers" {
  description = "OIDC issuers of ServiceAccount tokens, by the name of their cluster: the hub's and those of members. AWS fetches their keys from there, so they are reachable from the internet."
  type        = map(string)

  validation {
    condition = alltrue([
      for name, url in var.issuers :
      can(regex("^[a-z0-9-]{1,40}$", name)) && can(regex("^https://[a-z0-9][a-z0-9.-]*[a-z0-9](/[A-Za-z0-9._~/-]*)?$", url))
    ])
    error_message = "issuers: expected https URLs without port, query and fragment, exactly as in the tokens' `iss`, under names of at most 40 characters of a-z, 0-9 and '-'."
  }

  validation {
    condition     = length(distinct(values(var.issuers))) == length(var.issuers)
    error_message = "issuers: the same issuer is listed under two names; a hub that is a member too is listed once."
  }
}

variable "hub" {
  description = "Which of `issuers` is the hub's."
  type        = string

  validation {
    condition     = contains(keys(var.issuers), var.hub)
    error_message = "hub: expected one of the names in issuers."
  }
}

variable "members" {
  description = "Which of `issuers` are member clusters: their transfer Jobs and model pods may take the identities made here."
  type        = set(string)

  validation {
    condition     = length(setsubtract(var.members, keys(var.issuers))) == 0
    error_message = "members: expected names in issuers."
  }
}

variable "existing_oidc_provider_arns" {
  description = "IAM OIDC providers that the account already has, by name in `issuers`; the others are made."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for arn in values(var.existing_oidc_provider_arns) : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:oidc-provider/.+$", arn))])
    error_message = "existing_oidc_provider_arns: expected ARNs such as arn:aws:iam::ACCOUNT:oidc-provider/HOST/PATH."
  }
}

variable "system_namespace" {
  description = "Namespace of mcdeploy in the hub and in members."
  type        = string
  default     = "mcdeploy-system"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.system_namespace))
    error_message = "system_namespace: expected the name of a Kubernetes namespace; wildcards are refused."
  }
}

variable "hub_service_account" {
  description = "ServiceAccount of the operator in the hub."
  type        = string
  default     = "mcdeploy-operator"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$", var.hub_service_account))
    error_message = "hub_service_account: expected the name of a Kubernetes ServiceAccount; wildcards are refused."
  }
}

variable "transfer_service_account" {
  description = "ServiceAccount of transfer Jobs in members, in `system_namespace`."
  type        = string
  default     = "mcdeploy-transfer"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$", var.transfer_service_account))
    error_message = "transfer_service_account: expected the name of a Kubernetes ServiceAccount; wildcards are refused."
  }
}

variable "model_service_accounts" {
  description = "ServiceAccounts of model pods in members, as `namespace/name`."
  type        = set(string)
  default     = ["default/mcdeploy-model"]

  validation {
    condition = length(var.model_service_accounts) > 0 && alltrue([
      for account in var.model_service_accounts : can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$", account))
    ])
    error_message = "model_service_accounts: expected at least one namespace/name; wildcards are refused."
  }
}

variable "model_prefix" {
  description = "The one prefix of objects that model pods may read and transfer Jobs may write, such as `digits/`."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9._-]*[a-z0-9])?(/[a-z0-9]([a-z0-9._-]*[a-z0-9])?)*/$", var.model_prefix))
    error_message = "model_prefix: expected a path that ends with '/', such as digits/; the empty prefix (every model) is refused."
  }
}

variable "bucket_arn" {
  description = "Bucket of model versions (output `bucket_arn` of the artifacts module)."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.bucket_arn))
    error_message = "bucket_arn: expected the ARN of a bucket, arn:aws:s3:::NAME."
  }
}

variable "kms_key_arn" {
  description = "Customer key of the bucket; left out when it has none."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[0-9a-f-]{36}$", var.kms_key_arn))
    error_message = "kms_key_arn: expected the ARN of a KMS key, arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}

variable "repository_arns" {
  description = "Repositories whose images the operator resolves (output of the artifacts module)."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.repository_arns : can(regex("^arn:aws[a-z-]*:ecr:[a-z0-9-]+:[0-9]{12}:repository/[a-z0-9._/-]+$", arn))])
    error_message = "repository_arns: expected ARNs of ECR repositories without wildcards."
  }
}

variable "cluster_arns" {
  description = "EKS clusters that the operator deploys to, by name; each gets an access entry for the group `mcdeploy:hub`."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for arn in values(var.cluster_arns) : can(regex("^arn:aws[a-z-]*:eks:[a-z0-9-]+:[0-9]{12}:cluster/[A-Za-z0-9_-]+$", arn))])
    error_message = "cluster_arns: expected ARNs of EKS clusters, arn:aws:eks:REGION:ACCOUNT:cluster/NAME."
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
