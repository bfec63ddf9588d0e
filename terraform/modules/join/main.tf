# Puts what the other modules made into the one form that `mcdeploy clusters add -f`
# reads: docs/fleet-inventory.schema.json. Makes nothing, needs no provider.

locals {
  regions = jsondecode(file("${path.module}/../regions.json"))

  # What is not set is left out, not null.
  clusters = [
    for cluster in var.clusters : merge(
      {
        name             = cluster.name
        provider         = cluster.provider
        region           = cluster.region
        artifactStoreRef = cluster.store
        access = {
          for kind, access in cluster.access :
          kind => { for key, value in access : key => value if value != null } if access != null
        }
      },
      cluster.jurisdiction == null ? {} : { jurisdiction = cluster.jurisdiction },
      cluster.registry == null ? {} : { imageRegistryRef = cluster.registry },
    )
  ]

  stores = [
    for store in var.stores : merge(
      {
        name     = store.name
        provider = store.provider
        region   = store.region
        location = {
          for kind, location in store.location :
          kind => { for key, value in location : key => value if value != null } if location != null
        }
        auth = { for kind, auth in store.auth : kind => auth if auth != null }
      },
      store.jurisdiction == null ? {} : { jurisdiction = store.jurisdiction },
    )
  ]
}
