//! What Jobs that copy something have in common: one pod, one plan, an end.

use k8s_openapi::{
    api::{
        batch::v1::{
            Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnPodConditionsPattern,
            PodFailurePolicyRule,
        },
        core::v1::{Container, PodSpec, PodTemplateSpec},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use crate::pod::{
    Ambient, Labels, PLAN_DIR, TERMINATION_LOG, container_security, mount, plan_volume,
    pod_security, small_resources,
};

/// Tries before the Job is failed.
const BACKOFF_LIMIT: i32 = 3;
/// Seconds after which an ended Job removes itself, should nothing else have done it.
const TTL_SECONDS: i32 = 600;
/// Seconds after which a Job is failed, whatever it is doing.
const DEADLINE_SECONDS: i64 = 3600;

/// One subcommand of `mcdeployd` with one plan.
pub(crate) struct CopyJob<'a> {
    /// Name and labels of the Job.
    pub(crate) metadata: ObjectMeta,
    /// The subcommand.
    pub(crate) command: &'a str,
    /// Name of the container.
    pub(crate) container: &'a str,
    /// Secret with the plan.
    pub(crate) secret: &'a str,
    /// The plan's key in it.
    pub(crate) key: &'a str,
    /// Image of `mcdeployd`, by digest.
    pub(crate) daemon_image: &'a str,
    /// Set where a store is used by an identity of its cloud.
    pub(crate) ambient: Option<Ambient>,
}

impl CopyJob<'_> {
    pub(crate) fn render(self) -> Job {
        let labels: Labels = self.metadata.labels.clone().unwrap_or_default();
        let pod_labels = self.ambient.as_ref().map(|ambient| ambient.label(&labels));
        let pod = self.pod();
        Job {
            metadata: self.metadata,
            spec: Some(JobSpec {
                backoff_limit: Some(BACKOFF_LIMIT),
                ttl_seconds_after_finished: Some(TTL_SECONDS),
                active_deadline_seconds: Some(DEADLINE_SECONDS),
                pod_failure_policy: Some(disruptions_are_no_tries()),
                template: PodTemplateSpec {
                    metadata: Some(ObjectMeta {
                        labels: Some(pod_labels.unwrap_or(labels)),
                        ..ObjectMeta::default()
                    }),
                    spec: Some(pod),
                },
                ..JobSpec::default()
            }),
            ..Job::default()
        }
    }

    fn pod(&self) -> PodSpec {
        let plan = format!("{PLAN_DIR}/{}", self.key);
        let args = [self.command, "--plan", &plan];
        PodSpec {
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            restart_policy: Some("Never".to_owned()),
            security_context: Some(pod_security()),
            service_account_name: self.ambient.as_ref().map(Ambient::account),
            termination_grace_period_seconds: Some(10),
            containers: vec![Container {
                name: self.container.to_owned(),
                image: Some(self.daemon_image.to_owned()),
                args: Some(args.map(str::to_owned).to_vec()),
                resources: Some(small_resources("64Mi", "128Mi")),
                security_context: Some(container_security(true)),
                termination_message_path: Some(TERMINATION_LOG.to_owned()),
                termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
                volume_mounts: Some(vec![mount("plan", PLAN_DIR, true)]),
                ..Container::default()
            }],
            volumes: Some(vec![plan_volume(self.secret, self.key)]),
            ..PodSpec::default()
        }
    }
}

/// A pod that was evicted, drained away or lost with its node did nothing wrong: another
/// one goes on with what the target has, and no try is counted.
fn disruptions_are_no_tries() -> PodFailurePolicy {
    PodFailurePolicy {
        rules: vec![PodFailurePolicyRule {
            action: "Ignore".to_owned(),
            on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
                status: Some("True".to_owned()),
                type_: "DisruptionTarget".to_owned(),
            }]),
            ..PodFailurePolicyRule::default()
        }],
    }
}

/// A name of at most 63 characters that begins readably and differs for every `identity`.
pub(crate) fn job_name(readable: &str, identity: &str) -> String {
    let digest = mcdeploy_api::Sha256Digest::of(identity).short(10);
    let readable: String = readable
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
