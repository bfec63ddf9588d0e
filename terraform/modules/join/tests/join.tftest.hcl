variables {
  clusters = [
    {
      name         = "aws-us-east-1"
      provider     = "aws"
      region       = "us-east-1"
      jurisdiction = "US"
      cidrs        = ["10.64.0.0/16"]
      store        = "aws"
      access = {
        eks = {
          clusterName = "shop-prod"
          region      = "us-east-1"
          accountId   = "123456789012"
          roleArn     = "arn:aws:iam::123456789012:role/shop-prod-operator"
          endpoint    = "https://abc.eks.amazonaws.com"
          caData      = "Q0E="
        }
      }
    },
    {
      name     = "garage"
      provider = "onprem"
      region   = "garage"
      cidrs    = ["192.168.0.0/16"]
      store    = "garage"
      access   = { kubeconfig = { context = "garage" } }
    },
  ]
  stores = [
    {
      name         = "aws"
      provider     = "aws"
      region       = "us-east-1"
      jurisdiction = "US"
      location     = { s3 = { bucket = "shop-prod-models" } }
      auth         = { ambient = {} }
    },
    {
      name     = "garage"
      provider = "onprem"
      region   = "garage"
      location = { s3 = { bucket = "models", endpoint = "https://s3.garage.example.com", pathStyle = true } }
      auth     = { secretRef = "garage-store" }
    },
  ]
}

run "leaves_out_what_is_not_set" {
  command = apply

  assert {
    condition     = keys(output.mcdeploy.clusters[0].access) == ["eks"] && keys(output.mcdeploy.clusters[1].access) == ["kubeconfig"]
    error_message = "each cluster must have one kind of access"
  }
  assert {
    condition     = !strcontains(jsonencode(output.mcdeploy), "null")
    error_message = "nothing may be null"
  }
  assert {
    condition     = jsonencode(output.mcdeploy.stores[0].auth) == "{\"ambient\":{}}"
    error_message = "auth must be as the API has it"
  }
  assert {
    condition     = output.mcdeploy.stores[0].jurisdiction == "US" && !contains(keys(output.mcdeploy.stores[1]), "jurisdiction")
    error_message = "a store's jurisdiction is put out where it is said"
  }
}

run "refuses_two_clusters_with_one_name" {
  command = plan
  variables {
    clusters = [
      { name = "one", provider = "onprem", region = "a", store = "garage", access = { kubeconfig = { context = "a" } } },
      { name = "one", provider = "onprem", region = "b", store = "garage", access = { kubeconfig = { context = "b" } } },
    ]
  }
  expect_failures = [var.clusters]
}

run "refuses_networks_that_overlap" {
  command = plan
  variables {
    clusters = [
      { name = "one", provider = "onprem", region = "a", cidrs = ["10.0.0.0/8"], store = "garage", access = { kubeconfig = { context = "a" } } },
      { name = "two", provider = "onprem", region = "b", cidrs = ["10.64.0.0/16"], store = "garage", access = { kubeconfig = { context = "b" } } },
    ]
  }
  expect_failures = [var.clusters]
}

run "refuses_a_region_that_the_provider_does_not_have" {
  command = plan
  variables {
    clusters = [{ name = "one", provider = "aws", region = "eastus", store = "aws", access = { kubeconfig = { context = "a" } } }]
  }
  expect_failures = [var.clusters]
}

run "refuses_a_jurisdiction_that_contradicts_the_region" {
  command = plan
  variables {
    clusters = [{ name = "one", provider = "aws", region = "eu-west-1", jurisdiction = "US", store = "aws", access = { kubeconfig = { context = "a" } } }]
  }
  expect_failures = [var.clusters]
}

run "refuses_a_store_whose_jurisdiction_contradicts_its_region" {
  command = plan
  variables {
    clusters = []
    stores   = [{ name = "a", provider = "azure", region = "westeurope", jurisdiction = "US", location = { s3 = { bucket = "one" } }, auth = { ambient = {} } }]
  }
  expect_failures = [var.stores]
}

run "refuses_a_store_of_another_provider" {
  command = plan
  variables {
    clusters = [{ name = "one", provider = "gcp", region = "europe-west4", store = "aws", access = { kubeconfig = { context = "a" } } }]
  }
  expect_failures = [var.clusters]
}

run "refuses_access_of_another_provider" {
  command = plan
  variables {
    clusters = [{ name = "one", provider = "aws", region = "us-east-1", store = "aws", access = { aks = { resourceId = "x", tenantId = "x", clientId = "x", fqdn = "x" } } }]
  }
  expect_failures = [var.clusters]
}

run "refuses_two_kinds_of_access" {
  command = plan
  variables {
    clusters = [{ name = "one", provider = "azure", region = "eastus", store = "aws", access = { kubeconfig = { context = "a" }, aks = { resourceId = "x", tenantId = "x", clientId = "x", fqdn = "x" } } }]
  }
  expect_failures = [var.clusters]
}

run "refuses_stores_registries_and_zones_with_one_name" {
  command = plan
  variables {
    clusters = []
    stores = [
      { name = "a", provider = "aws", region = "us-east-1", location = { s3 = { bucket = "one" } }, auth = { ambient = {} } },
      { name = "a", provider = "aws", region = "us-east-1", location = { s3 = { bucket = "two" } }, auth = { ambient = {} } },
    ]
    registries = [
      { name = "a", provider = "aws", region = "us-east-1", prefix = "x" },
      { name = "a", provider = "aws", region = "us-east-1", prefix = "y" },
    ]
    zones = [
      { name = "a", provider = "aws", domain = "a.example.com", id = "x" },
      { name = "a", provider = "aws", domain = "b.example.com", id = "y" },
    ]
  }
  expect_failures = [var.stores, var.registries, var.zones]
}

run "refuses_a_store_without_location_and_auth" {
  command = plan
  variables {
    clusters = []
    stores   = [{ name = "a", provider = "aws", region = "us-east-1", location = {}, auth = {} }]
  }
  expect_failures = [var.stores]
}
