//! One revision of a model deployment in one cluster.

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        core::v1::{
            Container, ContainerPort, EmptyDirVolumeSource, EnvVar, HTTPGetAction, Lifecycle,
            LifecycleHandler, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, Secret,
            Service, ServicePort, ServiceSpec, SleepAction, TopologySpreadConstraint, Volume,
        },
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};
use mcdeploy_api::{FetchPlan, NodeCache, names};

use crate::node_cache::{cache_plan, use_cache};
use crate::pod::{
    Ambient, Labels, PLAN_DIR, TERMINATION_LOG, container_security, labels, metadata, mount,
    plan_secret, plan_volume, pod_security, small_resources,
};

/// Key of the fetch plan in its Secret.
const FETCH_KEY: &str = "fetch.json";
/// Volume with the models.
const MODELS: &str = "models";
/// Seconds that a pod goes on answering after it was told to end: by then nothing sends
/// it requests any more.
const LEAVE_SECONDS: i64 = 3;
/// Seconds after which a pod that was told to end is killed.
const GRACE_SECONDS: i64 = 30;
/// Seconds that a model may take to load, once its bytes are there.
const START_SECONDS: i32 = 600;
/// What a version may take beside its files' bytes: its manifest (32 MiB at most), and the
/// rest of the last block of each of 100,000 files, which is what that manifest has room for.
const SLACK_BYTES: u64 = 512 * 1024 * 1024;
/// Seconds without progress after which Kubernetes calls a Deployment failed.
const PROGRESS_SECONDS: i32 = 900;

/// What one revision is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct RevisionInput {
    /// Namespace, the same in hub and members.
    pub namespace: String,
    /// Name of the `ModelDeployment`.
    pub deployment: String,
    /// Revision id.
    pub revision: String,
    /// Model name.
    pub model: String,
    /// Model version.
    pub version: String,
    /// The model server.
    pub container: mcdeploy_api::Container,
    /// Pods.
    pub replicas: i32,
    /// What the init container fetches, and from where.
    pub fetch: FetchPlan,
    /// Sum of the sizes of the version's files, in bytes; `None`: not known, as of a
    /// version that the deployment named once.
    pub size_bytes: Option<u64>,
    /// The cache of the cluster's nodes, if there is one.
    pub cache: Option<NodeCache>,
    /// Image of `mcdeployd`, by digest.
    pub daemon_image: String,
}

/// The objects of one revision. Apply them in this order: Secrets cannot be listed, so
/// one that is there without the others must be found by its Service.
#[derive(Clone, Debug, PartialEq)]
pub struct RevisionObjects {
    /// What the gateway finds the model servers by.
    pub service: Service,
    /// The fetch plan, with the store's credentials.
    pub fetch_secret: Secret,
    /// The model servers.
    pub deployment: Deployment,
}

/// Renders one revision. Everything is named [`names::revision_object_name`].
pub fn render_revision(input: &RevisionInput) -> RevisionObjects {
    let name = names::revision_object_name(&input.deployment, &input.revision);
    let labels = object_labels(input);
    let selector = selector(input);
    let meta = metadata(&input.namespace, &name, &labels);
    let mut deployment = deployment(input, &name, meta.clone(), &labels, &selector);
    use_cache(&mut deployment, input);
    RevisionObjects {
        service: service(meta, selector),
        fetch_secret: fetch_secret(input, input.cache.as_ref()),
        deployment,
    }
}

/// The fetch plan, with the store's credentials: never kept, always as it is now.
pub(crate) fn fetch_secret(input: &RevisionInput, cache: Option<&NodeCache>) -> Secret {
    let name = names::revision_object_name(&input.deployment, &input.revision);
    let meta = metadata(&input.namespace, &name, &object_labels(input));
    let mut plan = input.fetch.clone();
    plan.node_cache = cache.map(cache_plan);
    plan_secret(meta, FETCH_KEY, &plan)
}

fn object_labels(input: &RevisionInput) -> Labels {
    labels(&[
        (names::LABEL_DEPLOYMENT, &input.deployment),
        (names::LABEL_REVISION, &input.revision),
        (names::LABEL_MODEL, &input.model),
        (names::LABEL_VERSION, &input.version),
    ])
}

fn selector(input: &RevisionInput) -> Labels {
    let pairs = [
        (names::LABEL_DEPLOYMENT, &input.deployment),
        (names::LABEL_REVISION, &input.revision),
    ];
    pairs
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .into()
}

fn deployment(
    input: &RevisionInput,
    name: &str,
    metadata: ObjectMeta,
    labels: &Labels,
    selector: &Labels,
) -> Deployment {
    let store = &input.fetch.store;
    let ambient = Ambient::of(&[store], names::MODEL_SERVICE_ACCOUNT);
    let pod_labels = ambient.as_ref().map(|ambient| ambient.label(labels));
    Deployment {
        metadata,
        spec: DeploymentSpec {
            replicas: Some(input.replicas),
            revision_history_limit: Some(1),
            progress_deadline_seconds: Some(PROGRESS_SECONDS),
            selector: match_labels(selector),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_unavailable: Some(IntOrString::Int(0)),
                    max_surge: Some(IntOrString::Int(1)),
                }),
            }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(pod_labels.unwrap_or_else(|| labels.clone())),
                    annotations: ambient.as_ref().map(|_| without_identity()),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(input, name, selector, ambient.as_ref())),
            },
            ..DeploymentSpec::default()
        },
        ..Deployment::default()
    }
}

fn match_labels(labels: &Labels) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels.clone()),
        match_expressions: None,
    }
}

/// Clouds inject an identity into every container of a pod but those named here: only
/// the one that fetches needs it.
fn without_identity() -> Labels {
    let keys = [
        "azure.workload.identity/skip-containers",
        "eks.amazonaws.com/skip-containers",
    ];
    keys.map(|key| (key.to_owned(), names::SERVER_CONTAINER.to_owned()))
        .into()
}

fn pod(input: &RevisionInput, name: &str, selector: &Labels, ambient: Option<&Ambient>) -> PodSpec {
    let models = Volume {
        name: MODELS.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            // A store that sends without an end fills no node: the pod is evicted.
            size_limit: input.size_bytes.map(size_limit),
            ..EmptyDirVolumeSource::default()
        }),
        ..Volume::default()
    };
    PodSpec {
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        init_containers: Some(vec![fetch(input)]),
        containers: vec![server(input)],
        security_context: Some(pod_security()),
        service_account_name: ambient.map(Ambient::account),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        topology_spread_constraints: Some(vec![TopologySpreadConstraint {
            label_selector: Some(match_labels(selector)),
            max_skew: 1,
            topology_key: "kubernetes.io/hostname".to_owned(),
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            ..TopologySpreadConstraint::default()
        }]),
        volumes: Some(vec![models, plan_volume(name, FETCH_KEY)]),
        ..PodSpec::default()
    }
}

fn size_limit(size_bytes: u64) -> Quantity {
    Quantity(size_bytes.saturating_add(SLACK_BYTES).to_string())
}

/// The only container that sees the store's credentials.
fn fetch(input: &RevisionInput) -> Container {
    let plan = format!("{PLAN_DIR}/{FETCH_KEY}");
    let args = [
        "fetch",
        "--plan",
        &plan,
        "--to",
        names::MODELS_DIR,
        "--termination-log",
        TERMINATION_LOG,
    ];
    Container {
        name: names::FETCH_CONTAINER.to_owned(),
        image: Some(input.daemon_image.clone()),
        args: Some(args.map(str::to_owned).to_vec()),
        resources: Some(small_resources("32Mi", "128Mi")),
        security_context: Some(container_security(true)),
        termination_message_path: Some(TERMINATION_LOG.to_owned()),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(vec![
            mount(MODELS, names::MODELS_DIR, false),
            mount("plan", PLAN_DIR, true),
        ]),
        ..Container::default()
    }
}

fn server(input: &RevisionInput) -> Container {
    let mcdeploy_api::Container {
        image,
        args,
        env,
        resources,
    } = &input.container;
    let ready = format!(
        "/v2/models/{}/versions/{}/ready",
        input.model, input.version
    );
    let env = env.iter().map(|variable| EnvVar {
        name: variable.name.clone(),
        value: Some(variable.value.clone()),
        value_from: None,
    });
    Container {
        name: names::SERVER_CONTAINER.to_owned(),
        image: Some(image.clone()),
        args: (!args.is_empty()).then(|| args.clone()),
        env: Some(env.collect::<Vec<_>>()).filter(|list| !list.is_empty()),
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction {
                    seconds: LEAVE_SECONDS,
                }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        ports: Some(vec![ContainerPort {
            name: Some("http".to_owned()),
            container_port: names::SERVING_PORT.into(),
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        resources: resources.as_ref().map(|wanted| ResourceRequirements {
            requests: Some(wanted.requests.clone()).filter(|map| !map.is_empty()),
            limits: Some(wanted.limits.clone()).filter(|map| !map.is_empty()),
            ..ResourceRequirements::default()
        }),
        security_context: Some(container_security(false)),
        startup_probe: Some(probe(&ready, 1, 2, START_SECONDS)),
        readiness_probe: Some(probe(&ready, 2, 1, 2)),
        liveness_probe: Some(probe("/v2/health/live", 10, 2, 3)),
        volume_mounts: Some(vec![mount(MODELS, names::MODELS_DIR, true)]),
        ..Container::default()
    }
}

fn probe(path: &str, period: i32, timeout: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("http".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(timeout),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

fn service(metadata: ObjectMeta, selector: Labels) -> Service {
    Service {
        metadata,
        spec: Some(ServiceSpec {
            selector: Some(selector),
            ports: Some(vec![ServicePort {
                name: Some("http".to_owned()),
                port: names::SERVING_PORT.into(),
                target_port: Some(IntOrString::String("http".to_owned())),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}
