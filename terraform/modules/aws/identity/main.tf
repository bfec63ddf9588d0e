# Who may do what in AWS, without a stored secret: ServiceAccounts of the hub and of
# members exchange their projected tokens for roles by AssumeRoleWithWebIdentity.

locals {
  base = "${var.name}-${var.environment}"

  tags = merge(var.tags, {
    "mcdeploy-fleet"       = var.name
    "mcdeploy-environment" = var.environment
    "managed-by"           = "terraform"
  })

  audience = "sts.amazonaws.com"

  new_issuers = { for name, url in var.issuers : name => url if !contains(keys(var.existing_oidc_provider_arns), name) }
  provider_arns = {
    for name in keys(var.issuers) : name => contains(keys(var.existing_oidc_provider_arns), name) ? (
      var.existing_oidc_provider_arns[name]
    ) : aws_iam_openid_connect_provider.this[name].arn
  }

  members           = sort(tolist(var.members))
  hub_subjects      = ["system:serviceaccount:${var.system_namespace}:${var.hub_service_account}"]
  transfer_subjects = ["system:serviceaccount:${var.system_namespace}:${var.transfer_service_account}"]
  model_subjects    = [for account in sort(tolist(var.model_service_accounts)) : "system:serviceaccount:${replace(account, "/", ":")}"]

  # Role name > issuer names and subjects that may take it.
  trusted = {
    operator = { issuers = [var.hub], subjects = local.hub_subjects }
    transfer = { issuers = local.members, subjects = local.transfer_subjects }
    models   = { issuers = local.members, subjects = local.model_subjects }
  }
}

resource "aws_iam_openid_connect_provider" "this" {
  for_each = local.new_issuers

  url            = each.value
  client_id_list = [local.audience]
  tags           = local.tags
}

resource "aws_iam_role" "this" {
  # Without members nobody could take the roles of members.
  for_each = { for role, trust in local.trusted : role => trust if length(trust.issuers) > 0 }

  name                 = "${local.base}-${each.key}"
  description          = "mcdeploy ${each.key} of ${local.base}"
  max_session_duration = 3600
  tags                 = local.tags

  # Audience and subject are both compared as they are: no StringLike, no wildcard.
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      for issuer in each.value.issuers : {
        Effect    = "Allow"
        Action    = "sts:AssumeRoleWithWebIdentity"
        Principal = { Federated = local.provider_arns[issuer] }
        Condition = {
          StringEquals = {
            "${trimprefix(var.issuers[issuer], "https://")}:aud" = local.audience
            "${trimprefix(var.issuers[issuer], "https://")}:sub" = each.value.subjects
          }
        }
      }
    ]
  })
}

locals {
  # The customer key, where the bucket has one.
  key_read = [for arn in var.kms_key_arn == null ? [] : [var.kms_key_arn] : {
    Sid      = "DecryptObjects"
    Effect   = "Allow"
    Action   = ["kms:Decrypt"]
    Resource = [arn]
  }]
  key_write = [for arn in var.kms_key_arn == null ? [] : [var.kms_key_arn] : {
    Sid      = "EncryptObjects"
    Effect   = "Allow"
    Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource = [arn]
  }]

  # The object that the operator puts once, to see that putting works.
  check_key = ".mcdeploy/check"
  # Where leases, receipts and parts are, and what a claim beside a version is called.
  notes_prefix = ".mcdeploy/"
  claim_file   = "mcdeploy-push.json"

  operator_statements = concat(
    [
      {
        Sid      = "FindVersions"
        Effect   = "Allow"
        Action   = ["s3:ListBucket"]
        Resource = [var.bucket_arn]
      },
      {
        Sid      = "VerifyVersions"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = ["${var.bucket_arn}/*"]
      },
      {
        Sid      = "ProveWriting"
        Effect   = "Allow"
        Action   = ["s3:PutObject"]
        Resource = ["${var.bucket_arn}/${local.check_key}"]
      },
    ],
    [for arns in length(var.repository_arns) == 0 ? [] : [var.repository_arns] : {
      Sid      = "ResolveImages"
      Effect   = "Allow"
      Action   = ["ecr:BatchGetImage", "ecr:DescribeImages"]
      Resource = arns
    }],
    [for arns in length(var.cluster_arns) == 0 ? [] : [values(var.cluster_arns)] : {
      Sid      = "FindClusters"
      Effect   = "Allow"
      Action   = ["eks:DescribeCluster"]
      Resource = arns
    }],
    local.key_write,
  )

  transfer_statements = concat(
    [
      {
        Sid       = "ListVersions"
        Effect    = "Allow"
        Action    = ["s3:ListBucket"]
        Resource  = [var.bucket_arn]
        Condition = { StringLike = { "s3:prefix" = ["${var.model_prefix}*", "${local.notes_prefix}*"] } }
      },
      {
        # A Job that was killed goes on with the parts that its upload has.
        Sid      = "FindUploads"
        Effect   = "Allow"
        Action   = ["s3:ListBucketMultipartUploads"]
        Resource = [var.bucket_arn]
      },
      {
        Sid      = "CopyVersions"
        Effect   = "Allow"
        Action   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"]
        Resource = ["${var.bucket_arn}/${var.model_prefix}*", "${var.bucket_arn}/${local.notes_prefix}*"]
      },
      {
        # Its claims, leases and receipts. No file of a version and no manifest goes.
        Sid      = "FreeNotes"
        Effect   = "Allow"
        Action   = ["s3:DeleteObject"]
        Resource = ["${var.bucket_arn}/${var.model_prefix}*/${local.claim_file}", "${var.bucket_arn}/${local.notes_prefix}*"]
      },
    ],
    local.key_write,
  )

  models_statements = concat(
    [
      {
        Sid       = "ListOnePrefix"
        Effect    = "Allow"
        Action    = ["s3:ListBucket"]
        Resource  = [var.bucket_arn]
        Condition = { StringLike = { "s3:prefix" = ["${var.model_prefix}*"] } }
      },
    ],
    [
      {
        Sid      = "ReadOnePrefix"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = ["${var.bucket_arn}/${var.model_prefix}*"]
      },
    ],
    local.key_read,
  )

  policies = {
    operator = jsonencode({ Version = "2012-10-17", Statement = local.operator_statements })
    transfer = jsonencode({ Version = "2012-10-17", Statement = local.transfer_statements })
    models   = jsonencode({ Version = "2012-10-17", Statement = local.models_statements })
  }
}

resource "aws_iam_role_policy" "this" {
  for_each = aws_iam_role.this

  name   = each.key
  role   = each.value.name
  policy = local.policies[each.key]
}

# In the cluster the operator is the group `mcdeploy:hub`; its rights are the chart's.
resource "aws_eks_access_entry" "operator" {
  for_each = var.cluster_arns

  cluster_name      = each.key
  principal_arn     = aws_iam_role.this["operator"].arn
  kubernetes_groups = ["mcdeploy:hub"]
  type              = "STANDARD"
  tags              = local.tags
}
