# This file pins providers. What has no hashes was pinned where the provider could not be
# downloaded: the first `terraform init` adds them; commit what it writes.

provider "registry.terraform.io/hashicorp/aws" {
  version     = "5.100.0"
  constraints = ">= 5.90.0, < 6.0.0"
  hashes = [
    "h1:edXOJWE4ORX8Fm+dpVpICzMZJat4AX0VRCAy/xkcOc0=",
  ]
}

provider "registry.terraform.io/hashicorp/azurerm" {
  version     = "4.55.0"
  constraints = ">= 4.40.0, < 5.0.0"
}

provider "registry.terraform.io/hashicorp/google" {
  version     = "6.50.0"
  constraints = ">= 6.40.0, < 7.0.0"
}
