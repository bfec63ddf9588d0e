//! What is rendered, word for word, and what must hold for it.

#![expect(clippy::unwrap_used, reason = "helpers of tests end the test")]

mod copy_image;

use k8s_openapi::api::core::v1::{Container, PodSpec, Secret};
use mcdeploy_api::{
    ArtifactStoreSpec, EnvVar, FetchPlan, NodeCache, Provider, S3Location, SecretValues,
    Sha256Digest, StoreAccess, StoreAuth, StoreLocation, TransferPlan, names,
};
use mcdeploy_manifests::{
    RevisionInput, RevisionObjects, RevisionTemplate, TransferInput, TransferObjects,
    render_revision, render_transfer, transfer_name,
};

fn store(name: &str) -> StoreAccess {
    StoreAccess {
        name: name.to_owned(),
        spec: ArtifactStoreSpec {
            provider: Provider::Aws,
            region: "us-east-1".to_owned(),
            jurisdiction: None,
            location: StoreLocation {
                s3: Some(S3Location {
                    bucket: "models".to_owned(),
                    endpoint: None,
                    path_style: false,
                    checksums: mcdeploy_api::S3Checksums::default(),
                }),
                ..StoreLocation::default()
            },
            auth: StoreAuth {
                secret_ref: Some(mcdeploy_api::ObjectName::new("store")),
                ..StoreAuth::default()
            },
        },
        secret: SecretValues([("secretAccessKey".to_owned(), "hunter2".to_owned())].into()),
    }
}

fn revision() -> RevisionInput {
    let digest = Sha256Digest::of("manifest");
    RevisionInput {
        namespace: "default".to_owned(),
        deployment: "digits".to_owned(),
        revision: "0a1b2c3d4e".to_owned(),
        model: "digits".to_owned(),
        version: "v3".to_owned(),
        container: mcdeploy_api::Container {
            image: format!("registry.example.com/mcserve@{}", Sha256Digest::of("image")),
            args: vec!["--max-batch=64".to_owned()],
            env: vec![EnvVar {
                name: "RUST_LOG".to_owned(),
                value: "info".to_owned(),
            }],
            resources: Some(mcdeploy_api::ResourceRequirements {
                limits: [("memory".to_owned(), quantity("256Mi"))].into(),
                ..mcdeploy_api::ResourceRequirements::default()
            }),
        },
        replicas: 2,
        fetch: FetchPlan {
            model: "digits".to_owned(),
            version: "v3".to_owned(),
            manifest_digest: digest,
            store: store("aws"),
            node_cache: None,
        },
        size_bytes: Some(1_000_000),
        cache: None,
        daemon_image: format!(
            "registry.example.com/mcdeployd@{}",
            Sha256Digest::of("daemon")
        ),
    }
}

fn with_cache() -> RevisionInput {
    RevisionInput {
        cache: Some(NodeCache::of(100 << 30)),
        ..revision()
    }
}

fn quantity(text: &str) -> k8s_openapi::apimachinery::pkg::api::resource::Quantity {
    k8s_openapi::apimachinery::pkg::api::resource::Quantity(text.to_owned())
}

fn transfer() -> TransferInput {
    let plan = TransferPlan {
        model: "digits".to_owned(),
        version: "v3".to_owned(),
        manifest_digest: Sha256Digest::of("manifest"),
        source: store("aws"),
        targets: vec![store("gcp")],
    };
    TransferInput {
        namespace: names::SYSTEM_NAMESPACE.to_owned(),
        name: transfer_name("digits", "v3", &["gcp".to_owned()]),
        plan,
        daemon_image: format!(
            "registry.example.com/mcdeployd@{}",
            Sha256Digest::of("daemon")
        ),
    }
}

#[test]
fn a_revision_is_rendered_like_this() {
    let RevisionObjects {
        fetch_secret,
        deployment,
        service,
    } = render_revision(&revision());
    insta::assert_yaml_snapshot!("revision_deployment", deployment);
    let cached = render_revision(&with_cache()).deployment;
    insta::assert_yaml_snapshot!("revision_deployment_with_node_cache", cached);
    insta::assert_yaml_snapshot!("revision_service", service);
    insta::assert_yaml_snapshot!("revision_fetch_secret", fetch_secret);
}

#[test]
fn a_transfer_is_rendered_like_this() {
    let TransferObjects { secret, job } = render_transfer(&transfer());
    insta::assert_yaml_snapshot!("transfer_job", job);
    assert_eq!(secret.metadata, job.metadata);
}

#[test]
fn an_identity_of_a_cloud_is_asked_for_where_a_store_is_used_by_it() {
    let by_identity = |store: &mut StoreAccess, provider| {
        store.spec.provider = provider;
        store.spec.auth = StoreAuth {
            ambient: Some(mcdeploy_api::Empty {}),
            ..StoreAuth::default()
        };
    };
    let mut input = revision();
    by_identity(&mut input.fetch.store, Provider::Azure);
    let template = render_revision(&input).deployment.spec.template;
    let account = template.spec.unwrap().service_account_name;
    assert_eq!(account.as_deref(), Some(names::MODEL_SERVICE_ACCOUNT));
    let metadata = template.metadata.unwrap();
    assert_eq!(
        metadata.labels.unwrap()["azure.workload.identity/use"],
        "true"
    );
    // The model server itself gets none.
    let skipped = metadata.annotations.unwrap();
    assert!(skipped.values().all(|name| name == names::SERVER_CONTAINER));
    let mut input = transfer();
    by_identity(&mut input.plan.targets[0], Provider::Gcp);
    let template = render_transfer(&input).job.spec.unwrap().template;
    let account = template.spec.unwrap().service_account_name;
    assert_eq!(account.as_deref(), Some(names::TRANSFER_SERVICE_ACCOUNT));
    let labels = template.metadata.unwrap().labels.unwrap();
    assert!(!labels.contains_key("azure.workload.identity/use"));
}

#[test]
fn what_is_kept_is_what_was_rendered_for_every_kind_of_store() {
    let rendered = revision();
    let template = RevisionTemplate::render(&rendered);
    let text = serde_json::to_string(&template).unwrap();
    assert!(!text.contains("hunter2"), "no credential is kept");
    let template: RevisionTemplate = serde_json::from_str(&text).unwrap();
    for provider in Provider::ALL {
        for (ambient, cache) in [
            (None, None),
            (None, Some(NodeCache::of(5))),
            (Some(mcdeploy_api::Empty {}), None),
            (Some(mcdeploy_api::Empty {}), Some(NodeCache::of(5))),
        ] {
            let mut input = revision();
            input.replicas = 5;
            input.cache = cache;
            input.fetch.store.spec.provider = provider;
            input.fetch.store.spec.auth.ambient = ambient;
            assert_eq!(template.objects(&input), render_revision(&input));
        }
    }
}

#[test]
fn a_later_daemon_changes_nothing_of_what_is_kept() {
    let template = RevisionTemplate::render(&revision());
    let mut later = revision();
    later.daemon_image = "registry.example.com/mcdeployd@later".to_owned();
    assert_ne!(
        render_revision(&later).deployment,
        render_revision(&revision()).deployment
    );
    assert_eq!(template.objects(&later), render_revision(&revision()));
}

#[test]
fn what_an_older_daemon_rendered_is_not_asked_to_use_a_cache_that_it_does_not_know() {
    let mut template = serde_json::to_value(RevisionTemplate::render(&revision())).unwrap();
    template
        .as_object_mut()
        .unwrap()
        .remove("nodeCache")
        .unwrap();
    let template: RevisionTemplate = serde_json::from_value(template).unwrap();
    assert_eq!(
        template.objects(&with_cache()),
        render_revision(&revision())
    );
}

#[test]
fn with_a_cache_the_server_sees_its_own_version_only_and_writes_nothing() {
    let objects = render_revision(&with_cache());
    let pod = objects.deployment.spec.template.spec.unwrap();
    let cached = |container: &Container| {
        let mounts = container.volume_mounts.clone().unwrap_or_default();
        let mut mounts = mounts.into_iter();
        mounts.find(|mount| mount.name == "node-cache").unwrap()
    };
    let server = cached(&pod.containers[0]);
    let slot = with_cache().fetch.manifest_digest.hex();
    assert_eq!(server.sub_path, Some(slot));
    assert_eq!(server.read_only, Some(true));
    assert_eq!(server.mount_path, names::CACHED_DIR);
    let fetch = cached(&pod.init_containers.unwrap()[0]);
    assert_eq!((fetch.sub_path, fetch.read_only), (None, Some(false)));
    let plan: FetchPlan = serde_json::from_slice(&only_value(&objects.fetch_secret)).unwrap();
    assert_eq!(plan.node_cache.unwrap().quota_bytes, 100 << 30);
}

#[test]
fn the_volume_of_a_pod_holds_its_version_and_not_much_more() {
    let volume = |size_bytes| {
        let mut input = revision();
        input.size_bytes = size_bytes;
        let pod = render_revision(&input).deployment.spec.template.spec;
        let volume = pod.unwrap().volumes.unwrap().remove(0);
        volume.empty_dir.unwrap().size_limit
    };
    assert_eq!(volume(Some(1 << 30)), Some(quantity("1610612736")));
    assert_eq!(volume(None), None);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let text = || {
        let objects = render_revision(&revision());
        serde_json::to_string(&objects.deployment).unwrap()
    };
    assert_eq!(text(), text());
}

#[test]
fn all_pods_are_restricted() {
    let revision = render_revision(&revision())
        .deployment
        .spec
        .template
        .spec
        .unwrap();
    let transfer = render_transfer(&transfer())
        .job
        .spec
        .unwrap()
        .template
        .spec
        .unwrap();
    let cached = render_revision(&with_cache()).deployment.spec.template.spec;
    for pod in [revision, transfer, cached.unwrap()] {
        assert_restricted(&pod);
    }
}

/// The `restricted` Pod Security Standard.
/// Source: <https://kubernetes.io/docs/concepts/security/pod-security-standards/> (2026-11-23)
fn assert_restricted(pod: &PodSpec) {
    let security = pod.security_context.as_ref().unwrap();
    assert_eq!(security.run_as_non_root, Some(true));
    assert_ne!(security.run_as_user, Some(0));
    let seccomp = security.seccomp_profile.as_ref().unwrap();
    assert_eq!(seccomp.type_, "RuntimeDefault");
    assert_eq!(pod.automount_service_account_token, Some(false));
    assert!(pod.host_network.is_none() && pod.host_pid.is_none() && pod.host_ipc.is_none());
    let init = pod.init_containers.as_deref().unwrap_or_default();
    for container in init.iter().chain(&pod.containers) {
        let security = container.security_context.as_ref().unwrap();
        assert_eq!(security.allow_privilege_escalation, Some(false));
        let capabilities = security.capabilities.as_ref().unwrap();
        assert_eq!(capabilities.drop.as_deref(), Some(&["ALL".to_owned()][..]));
        assert_eq!(capabilities.add, None);
        for port in container.ports.as_deref().unwrap_or_default() {
            assert_eq!(port.host_port, None);
        }
    }
    for volume in pod.volumes.as_deref().unwrap_or_default() {
        assert!(volume.host_path.is_none());
    }
}

#[test]
fn only_the_init_container_sees_the_credentials() {
    let objects = render_revision(&revision());
    let pod = objects.deployment.spec.template.spec.unwrap();
    let sees_plan = |container: &Container| {
        let mounts = container.volume_mounts.as_deref().unwrap_or_default();
        mounts.iter().any(|mount| mount.name == "plan")
    };
    assert!(pod.init_containers.unwrap().iter().all(sees_plan));
    assert!(!pod.containers.iter().any(sees_plan));
}

#[test]
fn the_server_reads_models_and_does_not_write_them() {
    let objects = render_revision(&revision());
    let pod = objects.deployment.spec.template.spec.unwrap();
    let mounts = pod.containers[0].volume_mounts.as_ref().unwrap();
    assert_eq!(mounts[0].mount_path, names::MODELS_DIR);
    assert_eq!(mounts[0].read_only, Some(true));
}

#[test]
fn the_secret_holds_the_plan_that_was_given() {
    let input = revision();
    let objects = render_revision(&input);
    let plan: FetchPlan = serde_json::from_slice(&only_value(&objects.fetch_secret)).unwrap();
    assert_eq!(plan, input.fetch);
    let input = transfer();
    let objects = render_transfer(&input);
    let plan: TransferPlan = serde_json::from_slice(&only_value(&objects.secret)).unwrap();
    assert_eq!(plan, input.plan);
}

fn only_value(secret: &Secret) -> Vec<u8> {
    let data = secret.data.as_ref().unwrap();
    assert_eq!(data.len(), 1);
    data.values().next().unwrap().0.clone()
}

#[test]
fn no_credential_stands_anywhere_but_in_the_secret() {
    let objects = render_revision(&revision());
    let deployment = serde_json::to_string(&objects.deployment).unwrap();
    let service = serde_json::to_string(&objects.service).unwrap();
    let job = serde_json::to_string(&render_transfer(&transfer()).job).unwrap();
    for text in [deployment, service, job] {
        assert!(!text.contains("hunter2"));
    }
}

#[test]
fn transfer_names_fit_and_differ() {
    let names = [
        transfer_name("digits", "v3", &["gcp".to_owned()]),
        transfer_name("digits", "v3", &["aws".to_owned()]),
        transfer_name("digits", "v3.1", &["gcp".to_owned()]),
        transfer_name("digits", "v3-1", &["gcp".to_owned()]),
        transfer_name("digits", "v3", &["aws".to_owned(), "gcp".to_owned()]),
        transfer_name(&"m".repeat(40), &"v".repeat(20), &["s".repeat(63)]),
        transfer_name(&"m".repeat(40), &"v".repeat(20), &["s".repeat(62)]),
    ];
    for name in &names {
        assert!(name.len() <= 63, "{name}");
        let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(name.chars().all(valid), "{name}");
    }
    let mut unique = names.to_vec();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), names.len());
}
