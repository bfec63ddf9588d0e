//! Calls against an API server that misbehaves: a scripted server on loopback.

#![expect(clippy::unwrap_used, reason = "helpers of tests end the test")]

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Config;
use mcdeploy_api::{ErrorClass, Reason};
use mcdeploy_cluster::{ClientSettings, ClusterClient, ClusterError, Delete, Force, Observation};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};

/// What the server does with one request.
#[derive(Clone)]
enum Turn {
    /// Status, further headers, body.
    Say(u16, &'static str, String),
    /// Reads and says nothing.
    Silence,
    /// Promises more bytes than it sends.
    Half,
}

struct Script {
    client: ClusterClient,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Script {
    /// A server that plays `turns`, one per request, and the last one for ever.
    async fn play(turns: Vec<Turn>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let turns = Arc::new(Mutex::new(VecDeque::from(turns)));
        let heard = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&turns), Arc::clone(&heard)));
            }
        });
        Self {
            client: client(&url),
            seen,
        }
    }

    fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    async fn get(&self) -> Result<Option<ConfigMap>, ClusterError> {
        self.client.get(Some("default"), "c").await
    }

    async fn apply(&self) -> Result<ConfigMap, ClusterError> {
        self.client.apply(&config_map(), "test", Force::Yes).await
    }

    async fn create(&self) -> Result<ConfigMap, ClusterError> {
        self.client.create(&config_map(), "test").await
    }
}

fn client(url: &str) -> ClusterClient {
    let settings = ClientSettings {
        deadline: Duration::from_secs(1),
        connect: Duration::from_millis(500),
        backoff: Duration::from_millis(10),
        longest_wait: Duration::from_millis(200),
        max_body: 1 << 20,
        ..ClientSettings::default()
    };
    ClusterClient::new("aws", Config::new(url.parse().unwrap()), settings).unwrap()
}

fn config_map() -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.name = Some("c".to_owned());
    object.metadata.namespace = Some("default".to_owned());
    object
}

async fn answer(
    mut stream: TcpStream,
    turns: Arc<Mutex<VecDeque<Turn>>>,
    seen: Arc<Mutex<Vec<String>>>,
) {
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    while !text.windows(4).any(|w| w == b"\r\n\r\n") {
        match stream.read(&mut chunk).await {
            Ok(n) if n > 0 => text.extend_from_slice(&chunk[..n]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&text)
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned();
    seen.lock().unwrap().push(head);
    let turn = {
        let mut turns = turns.lock().unwrap();
        match turns.len() {
            1 => turns[0].clone(),
            _ => turns.pop_front().unwrap(),
        }
    };
    let bytes = match turn {
        Turn::Silence => return std::future::pending().await,
        Turn::Half => "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_owned(),
        Turn::Say(code, headers, body) => format!(
            "HTTP/1.1 {code} X\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
            body.len()
        ),
    };
    let _ = stream.write_all(bytes.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn status(code: u16, reason: &str, message: &str) -> Turn {
    let body = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "reason": reason, "message": message,
    });
    Turn::Say(code, "", body.to_string())
}

fn found() -> Turn {
    let body = r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c"}}"#;
    Turn::Say(200, "", body.to_owned())
}

#[tokio::test]
async fn fault_a1_a_retry_after_of_a_day_ends_the_call_at_once() {
    let script = Script::play(vec![Turn::Say(
        429,
        "retry-after: 86400\r\n",
        String::new(),
    )])
    .await;
    let began = Instant::now();
    let error = script.apply().await.unwrap_err();
    assert!(began.elapsed() < Duration::from_millis(900));
    assert_eq!(error.class(), ErrorClass::Throttled);
    assert_eq!(error.retry_after(), Some(ClusterError::MAX_RETRY_AFTER));
    assert_eq!(script.requests().len(), 1);
}

#[tokio::test]
async fn fault_a1_requests_refused_with_429_are_repeated_whatever_they_do() {
    let busy = || Turn::Say(429, "retry-after: 0\r\n", String::new());
    let script = Script::play(vec![busy(), busy(), found()]).await;
    script.create().await.unwrap();
    assert_eq!(script.requests().len(), 3);
}

#[tokio::test]
async fn fault_a1_a_server_that_stays_busy_is_asked_four_times() {
    let script = Script::play(vec![Turn::Say(429, "", String::new())]).await;
    let error = script.get().await.unwrap_err();
    assert_eq!(
        (error.class(), error.retry_after()),
        (ErrorClass::Throttled, None)
    );
    assert_eq!(script.requests().len(), 4);
}

#[tokio::test]
async fn fault_a1_5xx_is_repeated_unless_it_could_do_the_work_twice() {
    for code in [500, 502, 503, 504] {
        let failing = || Turn::Say(code, "", "<html>bad</html>".to_owned());
        let script = Script::play(vec![failing(), found()]).await;
        script.get().await.unwrap();
        let script = Script::play(vec![failing(), found()]).await;
        script.apply().await.unwrap();
        let script = Script::play(vec![failing(), found()]).await;
        let error = script.create().await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Unknown, "{code}: {error}");
        assert_eq!(script.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_silent_server_ends_reads_as_unreachable_and_writes_as_unknown() {
    let script = Script::play(vec![Turn::Silence]).await;
    let began = Instant::now();
    let read = script.get().await.unwrap_err();
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(
        (read.class(), read.reason()),
        (ErrorClass::Transient, Reason::Unreachable)
    );
    let write = script.apply().await.unwrap_err();
    assert_eq!(write.class(), ErrorClass::Unknown);
    let text = write.to_string();
    assert!(
        text.starts_with("apply ConfigMap default/c in cluster aws: no answer"),
        "{text}"
    );
}

#[tokio::test]
async fn what_cannot_be_seen_is_unknown_and_not_absent() {
    let script = Script::play(vec![Turn::Silence]).await;
    let seen: Observation<ConfigMap> = script.client.observe(Some("default"), "c").await;
    assert!(seen.is_unknown());
    let script = Script::play(vec![status(404, "NotFound", "no")]).await;
    let seen: Observation<ConfigMap> = script.client.observe(Some("default"), "c").await;
    assert_eq!(seen, Observation::Absent);
}

#[tokio::test]
async fn a_refused_connection_is_no_unknown_even_for_a_write() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = client(&url)
        .apply(&config_map(), "test", Force::Yes)
        .await
        .unwrap_err();
    assert!(matches!(error, ClusterError::Connect { .. }), "{error:?}");
    assert_eq!(error.class(), ErrorClass::Transient);
    assert!(error.to_string().contains(&url), "{error}");
}

#[tokio::test]
async fn half_an_answer_is_none() {
    let script = Script::play(vec![Turn::Half]).await;
    let error = script.get().await.unwrap_err();
    assert!(matches!(error, ClusterError::NoAnswer { .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let script = Script::play(vec![Turn::Say(200, "", " ".repeat(2 << 20))]).await;
    let error = script.get().await.unwrap_err();
    assert!(
        error.to_string().contains("longer than 1048576 bytes"),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_that_is_no_object_is_told_apart() {
    let script = Script::play(vec![Turn::Say(200, "", "<html>login</html>".to_owned())]).await;
    let error = script.get().await.unwrap_err();
    assert!(matches!(error, ClusterError::Answer { .. }), "{error:?}");
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let rbac = r#"configmaps "c" is forbidden: User "x" cannot get resource"#;
    let quota = r#"pods "p" is forbidden: exceeded quota: small"#;
    let security = r#"pods "p" is forbidden: violates PodSecurity "restricted:latest""#;
    let going = r#"configmaps "c" is forbidden: unable to create new content in namespace a because it is being terminated"#;
    let (auth, apply) = (Reason::AuthFailed, Reason::ApplyRefused);
    let table = [
        (401, "Unauthorized", "no", ErrorClass::Permanent, auth),
        (403, "Forbidden", rbac, ErrorClass::Permanent, auth),
        (403, "Forbidden", quota, ErrorClass::Permanent, apply),
        (403, "Forbidden", security, ErrorClass::Permanent, apply),
        (403, "Forbidden", going, ErrorClass::Permanent, apply),
        (422, "Invalid", "too long", ErrorClass::Permanent, apply),
        (404, "NotFound", "no", ErrorClass::NotFound, apply),
        (409, "Conflict", "no", ErrorClass::Precondition, apply),
    ];
    for (code, reason, message, class, expected) in table {
        let script = Script::play(vec![status(code, reason, message)]).await;
        let error = script.apply().await.unwrap_err();
        assert_eq!(
            (error.class(), error.reason()),
            (class, expected),
            "{error}"
        );
        assert_eq!(script.requests().len(), 1, "{error}");
    }
}

#[tokio::test]
async fn an_object_that_is_there_already_is_told_from_one_that_changed() {
    let script = Script::play(vec![status(409, "AlreadyExists", "there")]).await;
    assert!(script.create().await.unwrap_err().is_already_exists());
    let script = Script::play(vec![status(409, "Conflict", "changed")]).await;
    assert!(!script.create().await.unwrap_err().is_already_exists());
}

#[tokio::test]
async fn deleting_what_is_gone_is_no_error() {
    let script = Script::play(vec![status(404, "NotFound", "no")]).await;
    let deleted = script
        .client
        .delete::<ConfigMap>(Some("default"), "c", Delete::default())
        .await;
    assert!(!deleted.unwrap());
}

fn page(name: &str, next: &str) -> Turn {
    let body = serde_json::json!({
        "kind": "ConfigMapList", "apiVersion": "v1", "metadata": { "continue": next },
        "items": [{ "metadata": { "name": name } }],
    });
    Turn::Say(200, "", body.to_string())
}

fn names(list: &[ConfigMap]) -> Vec<&str> {
    list.iter()
        .filter_map(|c| c.metadata.name.as_deref())
        .collect()
}

#[tokio::test]
async fn a_list_is_read_to_its_last_page() {
    let script = Script::play(vec![page("a", "next"), page("b", "")]).await;
    let list = script
        .client
        .list::<ConfigMap>(Some("default"), "x=y")
        .await
        .unwrap();
    assert_eq!(names(&list), ["a", "b"]);
    assert!(script.requests()[1].contains("continue=next"));
}

#[tokio::test]
async fn fault_a2_a_list_that_grew_too_old_is_read_again_from_the_start() {
    let gone = status(410, "Expired", "too old");
    let script = Script::play(vec![page("a", "next"), gone, page("b", ""), page("c", "")]).await;
    let list = script
        .client
        .list::<ConfigMap>(Some("default"), "")
        .await
        .unwrap();
    assert_eq!(names(&list), ["b"]);
}

#[tokio::test]
async fn a_list_whose_second_page_does_not_come_is_an_error_and_not_half_a_list() {
    let script = Script::play(vec![page("a", "next"), Turn::Silence]).await;
    let began = Instant::now();
    let error = script
        .client
        .list::<ConfigMap>(Some("default"), "")
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient);
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_name_that_no_object_can_have_is_refused_before_anything_is_sent() {
    let script = Script::play(vec![found()]).await;
    for name in ["", "..", "a/b"] {
        let error = script
            .client
            .get::<ConfigMap>(Some("default"), name)
            .await
            .unwrap_err();
        assert!(
            matches!(error, ClusterError::Request { .. }),
            "{name:?}: {error:?}"
        );
    }
    assert!(script.requests().is_empty());
}
