# This file pins providers. What has no hashes was pinned where the provider could not be
# downloaded: the first `terraform init` adds them; commit what it writes.

provider "registry.terraform.io/hashicorp/azurerm" {
  version     = "4.55.0"
  constraints = ">= 4.40.0, < 5.0.0"
}
