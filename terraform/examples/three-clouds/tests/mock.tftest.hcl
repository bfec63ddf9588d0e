mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { name = "us-east-1" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_availability_zones" {
    defaults = { names = ["us-east-1a", "us-east-1b", "us-east-1c"] }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
  }
  mock_resource "aws_iam_openid_connect_provider" {
    defaults = { arn = "arn:aws:iam::123456789012:oidc-provider/mock" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:us-east-1:123456789012:log-group:mock" }
  }
  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0", latest_version = 1 }
  }
  mock_resource "aws_eip" {
    defaults = { public_ip = "203.0.113.5" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::mock-bucket", id = "mock-bucket" }
  }
  mock_resource "aws_ecr_repository" {
    defaults = { arn = "arn:aws:ecr:us-east-1:123456789012:repository/mock" }
  }
  mock_resource "aws_route53_zone" {
    defaults = { zone_id = "Z0123456789ABCDEFGHIJ", name_servers = ["ns-1.awsdns-1.com"] }
  }
  mock_resource "aws_eks_cluster" {
    defaults = {
      arn                   = "arn:aws:eks:us-east-1:123456789012:cluster/shop-prod"
      identity              = [{ oidc = [{ issuer = "https://oidc.eks.us-east-1.amazonaws.com/id/ABC" }] }]
      endpoint              = "https://abc.eks.amazonaws.com"
      certificate_authority = [{ data = "Q0E=" }]
    }
  }
}

mock_provider "azurerm" {
  mock_resource "azurerm_kubernetes_cluster" {
    defaults = {
      id              = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/shop-prod/providers/Microsoft.ContainerService/managedClusters/shop-prod"
      oidc_issuer_url = "https://eastus.oic.prod-aks.azure.com/tenant/cluster/"
      private_fqdn    = "shop-prod.privatelink.eastus.azmk8s.io"
    }
  }
  mock_resource "azurerm_subnet" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/shop-prod/providers/Microsoft.Network/virtualNetworks/shop-prod/subnets/nodes" }
  }
  mock_resource "azurerm_public_ip" {
    defaults = { ip_address = "203.0.113.7" }
  }
  mock_resource "azurerm_storage_account" {
    defaults = { primary_blob_endpoint = "https://shopprodab12.blob.core.windows.net/" }
  }
  mock_resource "azurerm_storage_container" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/shop-prod/providers/Microsoft.Storage/storageAccounts/shopprodab12/blobServices/default/containers/models" }
  }
  mock_resource "azurerm_container_registry" {
    defaults = {
      id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/shop-prod/providers/Microsoft.ContainerRegistry/registries/shopprodab12"
      login_server = "shopprodab12.azurecr.io"
    }
  }
  mock_resource "azurerm_user_assigned_identity" {
    defaults = {
      client_id    = "11111111-2222-3333-4444-666666666666"
      principal_id = "11111111-2222-3333-4444-777777777777"
    }
  }
}

mock_provider "google" {
  mock_resource "google_compute_address" {
    defaults = { address = "203.0.113.9" }
  }
  mock_resource "google_container_cluster" {
    defaults = { endpoint = "10.80.16.2" }
  }
  mock_resource "google_service_account" {
    defaults = { email = "mock@shop-prod-1.iam.gserviceaccount.com" }
  }
}

variables {
  name                  = "shop"
  environment           = "prod"
  aws_account_id        = "123456789012"
  azure_subscription_id = "00000000-0000-0000-0000-000000000000"
  azure_tenant_id       = "11111111-2222-3333-4444-555555555555"
  azure_unique_suffix   = "ab12"
  gcp_project_id        = "shop-prod-1"
  gcp_project_number    = "123456789012"
  model_prefix          = "digits/"
  domain                = "models.example.com"
}

# With nothing made yet every id is unknown: keys and counts must not need them.
run "first_plan_works" {
  command = plan
}

run "fleet_lists_three_clouds" {
  command = apply

  assert {
    condition     = [for cluster in output.mcdeploy.clusters : cluster.name] == ["aws-us-east-1", "azure-eastus", "gcp-europe-west4"]
    error_message = "all clusters must be in the inventory"
  }
  assert {
    condition     = output.mcdeploy.clusters[0].access.eks.roleArn == "arn:aws:iam::123456789012:role/mock" && length(output.mcdeploy.stores) == 3 && length(output.mcdeploy.registries) == 3 && length(output.mcdeploy.zones) == 1
    error_message = "access, stores, registries and zones must be in the inventory"
  }
}
