//! Why pods are not ready, in one word of [`Reason`].

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use mcdeploy_api::{Reason, names};

/// Longest message that is passed on, in characters.
const MAX_MESSAGE: usize = 500;

/// What keeps a pod from becoming ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodProblem {
    /// Name of the pod.
    pub pod: String,
    /// Container that it is about; `None` for the pod as a whole.
    pub container: Option<String>,
    /// One word.
    pub reason: Reason,
    /// What Kubernetes or the container said.
    pub message: String,
}

impl std::fmt::Display for PodProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.container {
            Some(container) => {
                write!(
                    f,
                    "pod {}, container {container}: {}",
                    self.pod, self.message
                )
            }
            None => write!(f, "pod {}: {}", self.pod, self.message),
        }
    }
}

/// What keeps one pod from becoming ready. `None`: nothing that is known, as with a pod
/// that is ready, has just begun, or is being deleted.
pub fn pod_problem(pod: &Pod) -> Option<PodProblem> {
    if pod.metadata.deletion_timestamp.is_some() || is_ready(pod) {
        return None;
    }
    let found = fetch_refused(pod)
        .or_else(|| container_problem(pod))
        .or_else(|| unschedulable(pod))
        .or_else(|| pod_failed(pod))?;
    let (container, reason, message) = found;
    Some(PodProblem {
        pod: pod.metadata.name.clone().unwrap_or_default(),
        container,
        reason,
        message: shorten(&message),
    })
}

/// The problem of the first pod, by name, that has one; a refused fetch goes before all
/// others, because it tells the cause.
pub fn first_problem(pods: &[Pod]) -> Option<PodProblem> {
    let mut problems: Vec<PodProblem> = pods.iter().filter_map(pod_problem).collect();
    problems.sort_by_key(|problem| {
        let is_fetch = problem.container.as_deref() == Some(names::FETCH_CONTAINER);
        (!is_fetch, problem.pod.clone())
    });
    problems.into_iter().next()
}

/// How many pods are ready and not being deleted.
pub fn ready_pods(pods: &[Pod]) -> i32 {
    let alive = |pod: &&Pod| pod.metadata.deletion_timestamp.is_none() && is_ready(pod);
    i32::try_from(pods.iter().filter(alive).count()).unwrap_or(i32::MAX)
}

/// The last termination message of a container, with the [`Reason`] that its first word
/// is, if it is one.
pub fn termination_message(pod: &Pod, container: &str) -> Option<(Option<Reason>, String)> {
    let status = statuses(pod).find(|status| status.name == container)?;
    let ended = ended(status)?;
    let message = ended.message.as_deref().unwrap_or_default().trim();
    if message.is_empty() {
        return None;
    }
    let word = message.split([':', ' ', '\n']).next().unwrap_or_default();
    Some((Reason::parse(word), shorten(message)))
}

type Found = (Option<String>, Reason, String);

/// The init container ended and did not do its work.
fn fetch_refused(pod: &Pod) -> Option<Found> {
    let name = names::FETCH_CONTAINER;
    let status = statuses(pod).find(|status| status.name == name)?;
    let failed = ended(status).filter(|ended| ended.exit_code != 0)?;
    let succeeded_since = status
        .state
        .as_ref()
        .and_then(|state| state.terminated.as_ref())
        .is_some_and(|ended| ended.exit_code == 0);
    if succeeded_since {
        return None;
    }
    let found = termination_message(pod, name);
    let (reason, message) = found.unwrap_or_else(|| (None, exit_text(failed)));
    Some((
        Some(name.to_owned()),
        reason.unwrap_or(Reason::CrashLoop),
        message,
    ))
}

fn container_problem(pod: &Pod) -> Option<Found> {
    statuses(pod).find_map(|status| {
        let state = status.state.as_ref()?;
        let waiting = state.waiting.as_ref();
        let word = waiting
            .and_then(|w| w.reason.as_deref())
            .unwrap_or_default();
        let said = waiting.and_then(|w| w.message.clone()).unwrap_or_default();
        let reason = match word {
            "ErrImagePull"
            | "ImagePullBackOff"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "ImageInspectError"
            | "RegistryUnavailable"
            | "SignatureValidationFailed" => Reason::ImagePullFailed,
            "CrashLoopBackOff" | "RunContainerError" | "StartError" => Reason::CrashLoop,
            "CreateContainerConfigError" | "CreateContainerError" => Reason::ApplyRefused,
            _ => {
                let ended = state.terminated.as_ref()?;
                let failed = ended.exit_code != 0;
                let text = failed.then(|| exit_text(ended))?;
                return Some((Some(status.name.clone()), Reason::CrashLoop, text));
            }
        };
        let message = match (reason, ended(status)) {
            (Reason::CrashLoop, Some(ended)) => exit_text(ended),
            _ => format!("{word}: {said}"),
        };
        Some((Some(status.name.clone()), reason, message))
    })
}

fn unschedulable(pod: &Pod) -> Option<Found> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions.iter().find(|c| {
        c.type_ == "PodScheduled"
            && c.status == "False"
            && c.reason.as_deref() == Some("Unschedulable")
    })?;
    let message = condition.message.clone().unwrap_or_default();
    Some((None, Reason::Unschedulable, message))
}

/// Evicted, preempted, refused by the node.
fn pod_failed(pod: &Pod) -> Option<Found> {
    let status = pod.status.as_ref()?;
    if status.phase.as_deref() != Some("Failed") {
        return None;
    }
    let reason = status.reason.as_deref().unwrap_or("failed");
    let message = status.message.as_deref().unwrap_or_default();
    Some((None, Reason::PodsNotReady, format!("{reason}: {message}")))
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    conditions.is_some_and(|list| {
        list.iter()
            .any(|c| c.type_ == "Ready" && c.status == "True")
    })
}

/// Init containers first, as they run.
fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let init = status.and_then(|s| s.init_container_statuses.as_deref());
    let main = status.and_then(|s| s.container_statuses.as_deref());
    init.unwrap_or_default()
        .iter()
        .chain(main.unwrap_or_default())
}

/// How the container ended now, else the time before.
fn ended(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let now = status.state.as_ref().and_then(|s| s.terminated.as_ref());
    now.or_else(|| {
        status
            .last_state
            .as_ref()
            .and_then(|s| s.terminated.as_ref())
    })
}

fn exit_text(ended: &ContainerStateTerminated) -> String {
    let how = match (ended.reason.as_deref(), ended.signal) {
        (Some("OOMKilled"), _) => "killed: out of memory".to_owned(),
        (_, Some(signal)) if signal != 0 => format!("killed by signal {signal}"),
        _ => format!("exit code {}", ended.exit_code),
    };
    match ended.message.as_deref().map(str::trim) {
        Some(message) if !message.is_empty() => format!("{how}: {message}"),
        _ => how,
    }
}

fn shorten(message: &str) -> String {
    let message = message.trim();
    match message.char_indices().nth(MAX_MESSAGE) {
        Some((at, _)) => format!("{}…", &message[..at]),
        None => message.to_owned(),
    }
}

#[cfg(test)]
#[expect(
    clippy::needless_pass_by_value,
    reason = "JSON literals read best by value"
)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(status: Value) -> Pod {
        let value = json!({ "metadata": { "name": "p" }, "status": status });
        serde_json::from_value(value).unwrap()
    }

    fn container(name: &str, state: Value, last: Value) -> Value {
        json!({ "name": name, "image": "", "imageID": "", "ready": false, "restartCount": 1,
                "state": state, "lastState": last })
    }

    fn main_container(state: Value, last: Value) -> Value {
        json!({ "phase": "Pending", "containerStatuses": [container("server", state, last)] })
    }

    fn init_container(state: Value, last: Value) -> Value {
        json!({
            "phase": "Pending",
            "initContainerStatuses": [container(names::FETCH_CONTAINER, state, last)],
            "containerStatuses": [container(
                "server", json!({"waiting": {"reason": "PodInitializing"}}), json!({}))],
        })
    }

    fn mismatch() -> Value {
        json!({"terminated": {"exitCode": 1, "message":
            "ChecksumMismatch: model.onnx: expected sha256:aa, actual sha256:bb\n"}})
    }

    fn check(status: Value, reason: Reason, message: &str) {
        let problem = pod_problem(&pod(status.clone())).unwrap_or_else(|| panic!("{status}"));
        assert_eq!(problem.reason, reason, "{status}");
        assert!(problem.message.contains(message), "{problem:?}");
    }

    fn waiting(reason: &str) -> Value {
        json!({"waiting": {"reason": reason, "message": "why"}})
    }

    #[test]
    fn each_state_of_a_container_has_its_reason() {
        let none = || json!({});
        let images = [
            "ErrImagePull",
            "ImagePullBackOff",
            "InvalidImageName",
            "ErrImageNeverPull",
        ];
        for word in images {
            let status = main_container(waiting(word), none());
            check(status, Reason::ImagePullFailed, "why");
            let status = init_container(waiting(word), none());
            check(status, Reason::ImagePullFailed, "why");
        }
        let ended = json!({"terminated": {"exitCode": 3, "message": "bad flag"}});
        let status = main_container(waiting("CrashLoopBackOff"), ended);
        check(status, Reason::CrashLoop, "exit code 3: bad flag");
        let killed = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
        let status = main_container(killed, none());
        check(status, Reason::CrashLoop, "out of memory");
        let status = main_container(waiting("CreateContainerConfigError"), none());
        check(status, Reason::ApplyRefused, "why");
    }

    #[test]
    fn a_refused_fetch_says_which_file_and_why_in_every_state() {
        for (state, last) in [
            (mismatch(), json!({})),
            (waiting("CrashLoopBackOff"), mismatch()),
            (json!({"running": {}}), mismatch()),
        ] {
            let status = init_container(state, last);
            check(status, Reason::ChecksumMismatch, "model.onnx: expected");
        }
        let wordless = json!({"terminated": {"exitCode": 2}});
        let status = init_container(wordless, json!({}));
        check(status, Reason::CrashLoop, "exit code 2");
    }

    #[test]
    fn a_pod_that_finds_no_node_or_lost_it_says_so() {
        let condition = json!({"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/1 nodes"});
        let status = json!({"phase": "Pending", "conditions": [condition]});
        check(status, Reason::Unschedulable, "0/1 nodes");
        let status = json!({"phase": "Failed", "reason": "Evicted", "message": "disk"});
        check(status, Reason::PodsNotReady, "Evicted: disk");
    }

    #[test]
    fn pods_that_only_need_time_have_no_problem() {
        let creating = json!({"waiting": {"reason": "ContainerCreating"}});
        let done = json!({"terminated": {"exitCode": 0}});
        let table = [
            json!({}),
            json!({"phase": "Pending"}),
            main_container(creating, json!({})),
            init_container(json!({"running": {}}), json!({})),
            init_container(done, mismatch()),
            json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}),
        ];
        for status in table {
            assert_eq!(pod_problem(&pod(status.clone())), None, "{status}");
        }
    }

    #[test]
    fn a_refused_fetch_goes_before_other_problems() {
        let image = main_container(json!({"waiting": {"reason": "ErrImagePull"}}), json!({}));
        let pods = [pod(image), pod(init_container(mismatch(), json!({})))];
        assert_eq!(
            first_problem(&pods).unwrap().reason,
            Reason::ChecksumMismatch
        );
    }

    #[test]
    fn a_word_of_nobody_is_no_reason() {
        let state = json!({"terminated": {"exitCode": 1, "message": "Segfault: oh"}});
        let pod = pod(init_container(state, json!({})));
        let found = termination_message(&pod, names::FETCH_CONTAINER);
        assert_eq!(found, Some((None, "Segfault: oh".to_owned())));
    }

    #[test]
    fn a_pod_that_is_going_is_neither_ready_nor_a_problem() {
        let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        let mut going = pod(ready);
        assert_eq!(ready_pods(std::slice::from_ref(&going)), 1);
        going.metadata.deletion_timestamp =
            serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        assert_eq!(ready_pods(std::slice::from_ref(&going)), 0);
        assert_eq!(pod_problem(&going), None);
    }
}
