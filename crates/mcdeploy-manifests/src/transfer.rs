//! The Job that copies one version from one store to another.

use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{Container, PodSpec, PodTemplateSpec, Secret},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use mcdeploy_api::{Sha256Digest, TransferPlan, names};

use crate::pod::{
    Ambient, PLAN_DIR, TERMINATION_LOG, container_security, labels, metadata, mount, plan_secret,
    plan_volume, pod_security, small_resources,
};

/// Key of the transfer plan in its Secret.
const TRANSFER_KEY: &str = "transfer.json";
/// Tries before the Job is failed.
const BACKOFF_LIMIT: i32 = 3;
/// Seconds after which an ended Job removes itself, should nobody have done it.
const TTL_SECONDS: i32 = 600;
/// Seconds after which a Job is failed, whatever it is doing.
const DEADLINE_SECONDS: i64 = 3600;

/// What one transfer is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct TransferInput {
    /// The system namespace: tenants must not see the target's credentials.
    pub namespace: String,
    /// Name of both objects: [`transfer_name`].
    pub name: String,
    /// What moves from where to where.
    pub plan: TransferPlan,
    /// Image of `mcdeployd`, by digest.
    pub daemon_image: String,
}

/// The objects of one transfer. Apply the Secret first; delete both when the Job ended.
#[derive(Clone, Debug, PartialEq)]
pub struct TransferObjects {
    /// The plan, with the credentials of both stores.
    pub secret: Secret,
    /// What carries it out.
    pub job: Job,
}

/// Name of the objects of one transfer, at most 63 characters. Different transfers have
/// different names.
pub fn transfer_name(model: &str, version: &str, target_store: &str) -> String {
    let identity = format!("{model}\n{version}\n{target_store}");
    let digest = Sha256Digest::of(identity).short(10);
    let readable: String = format!("transfer-{model}-{version}-{target_store}")
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(52)
        .collect();
    format!("{}-{digest}", readable.trim_end_matches('-'))
}

/// Renders one transfer.
pub fn render_transfer(input: &TransferInput) -> TransferObjects {
    let TransferInput {
        namespace,
        name,
        plan,
        daemon_image,
    } = input;
    let labels = labels(&[
        (names::LABEL_MODEL, &plan.model),
        (names::LABEL_VERSION, &plan.version),
        (names::LABEL_STORE, &plan.target.name),
    ]);
    let meta = metadata(namespace, name, &labels);
    let secret = plan_secret(meta.clone(), TRANSFER_KEY, plan);
    let stores = [&plan.source, &plan.target];
    let ambient = Ambient::of(&stores, names::TRANSFER_SERVICE_ACCOUNT);
    let pod_labels = ambient.as_ref().map(|ambient| ambient.label(&labels));
    let job = Job {
        metadata: meta,
        spec: Some(JobSpec {
            backoff_limit: Some(BACKOFF_LIMIT),
            ttl_seconds_after_finished: Some(TTL_SECONDS),
            active_deadline_seconds: Some(DEADLINE_SECONDS),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(pod_labels.unwrap_or(labels)),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(name, daemon_image, ambient.as_ref())),
            },
            ..JobSpec::default()
        }),
        ..Job::default()
    };
    TransferObjects { secret, job }
}

fn pod(secret: &str, daemon_image: &str, ambient: Option<&Ambient>) -> PodSpec {
    let plan = format!("{PLAN_DIR}/{TRANSFER_KEY}");
    let args = ["transfer", "--plan", &plan];
    PodSpec {
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        restart_policy: Some("Never".to_owned()),
        security_context: Some(pod_security()),
        service_account_name: ambient.map(Ambient::account),
        termination_grace_period_seconds: Some(10),
        containers: vec![Container {
            name: names::TRANSFER_CONTAINER.to_owned(),
            image: Some(daemon_image.to_owned()),
            args: Some(args.map(str::to_owned).to_vec()),
            resources: Some(small_resources("64Mi", "128Mi")),
            security_context: Some(container_security(true)),
            termination_message_path: Some(TERMINATION_LOG.to_owned()),
            termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
            volume_mounts: Some(vec![mount("plan", PLAN_DIR, true)]),
            ..Container::default()
        }],
        volumes: Some(vec![plan_volume(secret, TRANSFER_KEY)]),
        ..PodSpec::default()
    }
}
