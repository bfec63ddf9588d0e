# This file pins providers. What has no hashes was pinned where the provider could not be
# downloaded: the first `terraform init` adds them; commit what it writes.

provider "registry.terraform.io/hashicorp/google" {
  version     = "6.50.0"
  constraints = ">= 6.40.0, < 7.0.0"
}
