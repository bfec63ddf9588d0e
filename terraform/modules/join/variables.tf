variable "clusters" {
  description = "Member clusters: the `member` output of a cluster module with `access` (exactly one kind) and `store`, and `registry` where its pods pull from one of `registries`, or one written by hand for a cluster that exists."
  type = list(object({
    name         = string
    provider     = string
    region       = string
    jurisdiction = optional(string)
    cidrs        = optional(list(string), [])
    store        = string
    registry     = optional(string)
    access = object({
      kubeconfig = optional(object({
        context = string
      }))
      eks = optional(object({
        clusterName = string
        region      = string
        accountId   = string
        roleArn     = string
        endpoint    = string
        caData      = string
      }))
      gke = optional(object({
        projectId                = string
        location                 = string
        clusterName              = string
        serviceAccount           = string
        workloadIdentityProvider = optional(string)
        endpoint                 = string
        caData                   = string
      }))
      aks = optional(object({
        resourceId = string
        tenantId   = string
        clientId   = string
        fqdn       = string
      }))
    })
  }))

  validation {
    condition     = length(distinct([for cluster in var.clusters : cluster.name])) == length(var.clusters)
    error_message = "clusters: two clusters have one name; set member_name of their modules."
  }

  validation {
    condition     = alltrue([for cluster in var.clusters : can(regex("^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$", cluster.name))])
    error_message = "clusters: name: expected at most 40 characters of a-z, 0-9 and '-', starting and ending with a letter or digit."
  }

  validation {
    condition     = alltrue([for cluster in var.clusters : contains(["aws", "azure", "gcp", "onprem"], cluster.provider)])
    error_message = "clusters: provider: expected aws, azure, gcp or onprem."
  }

  validation {
    condition = alltrue([
      for cluster in var.clusters :
      cluster.provider == "onprem" || contains(keys(lookup(local.regions, cluster.provider, {})), cluster.region)
    ])
    error_message = "clusters: region: the provider has no region of this name, see terraform/modules/regions.json."
  }

  validation {
    condition = alltrue([
      for cluster in var.clusters : cluster.jurisdiction == null || cluster.provider == "onprem" ? true : (
        contains(lookup(lookup(local.regions, cluster.provider, {}), cluster.region, []), cluster.jurisdiction)
      )
    ])
    error_message = "clusters: jurisdiction: contradicts region; expected its country (or EU where that is part of it), see terraform/modules/regions.json."
  }

  validation {
    condition     = alltrue([for cluster in var.clusters : length([for kind, access in cluster.access : kind if access != null]) == 1])
    error_message = "clusters: access: expected exactly one of kubeconfig, eks, gke and aks."
  }

  validation {
    condition = alltrue([
      for cluster in var.clusters : alltrue([
        for kind, access in cluster.access :
        access == null || lookup({ eks = "aws", gke = "gcp", aks = "azure" }, kind, cluster.provider) == cluster.provider
      ])
    ])
    error_message = "clusters: access: eks is for provider aws, gke for gcp, aks for azure."
  }

  validation {
    # Two networks overlap when they are the same network at the shorter of both prefixes.
    condition = alltrue(flatten([
      for i, one in var.clusters : [
        for j, other in var.clusters : [
          for pair in setproduct(one.cidrs, other.cidrs) : try(
            cidrhost("${split("/", pair[0])[0]}/${min(split("/", pair[0])[1], split("/", pair[1])[1])}", 0) !=
            cidrhost("${split("/", pair[1])[0]}/${min(split("/", pair[0])[1], split("/", pair[1])[1])}", 0),
          false)
        ] if i < j
      ]
    ]))
    error_message = "clusters: cidrs: networks of two clusters overlap (or one is no IPv4 network); change vpc_cidr, vnet_cidr, subnet_cidr or pod_cidr of one."
  }

  validation {
    condition = alltrue([
      for cluster in var.clusters : anytrue([
        for store in var.stores : store.name == cluster.store && store.provider == cluster.provider
      ])
    ])
    error_message = "clusters: store: expected the name of one of stores, of the cluster's own provider."
  }

  validation {
    condition = alltrue([
      for cluster in var.clusters : cluster.registry == null ? true : contains([for registry in var.registries : registry.name], cluster.registry)
    ])
    error_message = "clusters: registry: expected the name of one of registries."
  }
}

variable "stores" {
  description = "Artifact stores: the `store` outputs of artifacts modules."
  type = list(object({
    name         = string
    provider     = string
    region       = string
    jurisdiction = optional(string)
    location = object({
      s3 = optional(object({
        bucket    = string
        endpoint  = optional(string)
        pathStyle = optional(bool)
        checksums = optional(string)
      }))
      azureBlob = optional(object({
        endpoint  = string
        container = string
      }))
      gcs = optional(object({
        bucket   = string
        endpoint = optional(string)
      }))
    })
    auth = object({
      secretRef = optional(string)
      anonymous = optional(object({}))
      ambient   = optional(object({}))
    })
  }))

  validation {
    condition     = length(distinct([for store in var.stores : store.name])) == length(var.stores)
    error_message = "stores: two stores have one name; set store_name of their modules."
  }

  validation {
    condition     = alltrue([for store in var.stores : contains(["aws", "azure", "gcp", "onprem"], store.provider)])
    error_message = "stores: provider: expected aws, azure, gcp or onprem."
  }

  validation {
    condition = alltrue([
      for store in var.stores : store.jurisdiction == null || store.provider == "onprem" ? true : (
        contains(lookup(lookup(local.regions, store.provider, {}), store.region, []), store.jurisdiction)
      )
    ])
    error_message = "stores: jurisdiction: contradicts region; expected its country (or EU where that is part of it), see terraform/modules/regions.json."
  }

  validation {
    condition     = alltrue([for store in var.stores : length([for kind, location in store.location : kind if location != null]) == 1])
    error_message = "stores: location: expected exactly one of s3, azureBlob and gcs."
  }

  validation {
    condition     = alltrue([for store in var.stores : length([for kind, auth in store.auth : kind if auth != null]) == 1])
    error_message = "stores: auth: expected exactly one of secretRef, anonymous and ambient."
  }
}

variable "registries" {
  description = "OCI registries: the `registry` outputs of artifacts modules."
  type = list(object({
    name         = string
    provider     = string
    region       = string
    prefix       = string
    repositories = optional(list(string), [])
  }))
  default = []

  validation {
    condition     = length(distinct([for registry in var.registries : registry.name])) == length(var.registries)
    error_message = "registries: two registries have one name."
  }
}

variable "zones" {
  description = "DNS zones: the `zone` outputs of dns modules."
  type = list(object({
    name        = string
    provider    = string
    domain      = string
    id          = string
    nameServers = optional(list(string), [])
  }))
  default = []

  validation {
    condition     = length(distinct([for zone in var.zones : zone.name])) == length(var.zones)
    error_message = "zones: two zones have one name."
  }
}
