output "cluster_name" {
  description = "Name of the EKS cluster."
  value       = aws_eks_cluster.this.name
}

output "cluster_arn" {
  description = "ARN of the EKS cluster."
  value       = aws_eks_cluster.this.arn
}

output "issuer_url" {
  description = "OIDC issuer of the cluster's ServiceAccount tokens, for the identity modules of all clouds."
  value       = aws_eks_cluster.this.identity[0].oidc[0].issuer
}

output "egress_cidrs" {
  description = "Addresses that the cluster's traffic to the internet comes from, for allow-lists elsewhere."
  value       = [for address in aws_eip.nat : "${address.public_ip}/32"]
}

output "private_subnet_ids" {
  description = "Subnets of the nodes."
  value       = [for subnet in aws_subnet.private : subnet.id]
}

output "cidrs" {
  description = "Networks that the cluster uses and that others must not overlap."
  value       = [var.vpc_cidr]
}

output "member" {
  description = "The cluster as the module `join` takes it, without access and store."
  value = {
    name         = local.member_name
    provider     = "aws"
    region       = var.region
    jurisdiction = local.jurisdiction
    cidrs        = [var.vpc_cidr]
  }
}

output "access" {
  description = "How the hub reaches the API server; merge in `roleArn` of the identity module."
  value = {
    clusterName = aws_eks_cluster.this.name
    region      = var.region
    accountId   = data.aws_caller_identity.current.account_id
    endpoint    = aws_eks_cluster.this.endpoint
    caData      = aws_eks_cluster.this.certificate_authority[0].data
  }
}
