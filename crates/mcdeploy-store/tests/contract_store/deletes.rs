//! What a deletion on S3 says to the service. The server here answers as documented: a
//! version id with every object of a versioned bucket, 412 where `If-Match` does not hold,
//! 403 without the right to delete versions, 501 where a server does not know the header.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html>
//! (2026-11-30).

use std::sync::{Arc, Mutex};

use mcdeploy_api::ErrorClass;
use mcdeploy_sandbox::testing::Versitygw;
use mcdeploy_store::{Store, StoreError, open};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::tools::{class, key, token};

/// Method, query and condition of each request.
type Log = Arc<Mutex<Vec<String>>>;

async fn answer(
    mut stream: TcpStream,
    version: Option<&str>,
    deletes: &Mutex<Vec<u16>>,
    log: &Mutex<Vec<String>>,
) {
    let (mut head, mut byte) = (vec![], [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).await.unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let method = head.split(' ').next().unwrap().to_owned();
    let target = head.split(' ').nth(1).unwrap();
    let line = |name: &str| head.lines().find(|l| l.to_lowercase().starts_with(name));
    let version_id = target
        .split(['?', '&'])
        .find(|q| q.starts_with("versionId="));
    let said = [Some(method.as_str()), version_id, line("if-match:")];
    let said: Vec<_> = said.into_iter().flatten().collect();
    log.lock().unwrap().push(said.join(" "));
    let status = if method == "HEAD" {
        200
    } else {
        deletes.lock().unwrap().remove(0)
    };
    let code = match status {
        403 => "AccessDenied",
        412 => "PreconditionFailed",
        501 => "NotImplemented",
        _ => "",
    };
    let body = if code.is_empty() {
        String::new()
    } else {
        format!("<Error><Code>{code}</Code><Message>no</Message></Error>")
    };
    let length = if method == "HEAD" { 3 } else { body.len() };
    let id = version.map_or_else(String::new, |id| format!("x-amz-version-id: {id}\r\n"));
    let text = format!(
        "HTTP/1.1 {status} X\r\netag: \"abc\"\r\n{id}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
}

/// Deletes `a`, which has `version`, where deletions are answered like this.
async fn delete(
    version: Option<&'static str>,
    deletes: &[u16],
) -> (Vec<String>, Result<(), StoreError>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let log = Log::default();
    let deletes = Arc::new(Mutex::new(deletes.to_vec()));
    let seen = Arc::clone(&log);
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            answer(stream, version, &deletes, &seen).await;
        }
    });
    let mut access = Versitygw::start().await.unwrap().access();
    let location = access.spec.location.s3.as_mut().unwrap();
    location.endpoint = Some(format!("http://{address}"));
    let store: Arc<dyn Store> = open(&access).await.unwrap();
    let object = store.head(&key("a"), &token()).await.unwrap();
    let outcome = store.delete(&object, &token()).await;
    server.abort();
    let mut log = log.lock().unwrap().clone();
    assert_eq!(log.remove(0), "HEAD", "the test's own look");
    assert_eq!(log.remove(0), "HEAD", "it is looked at again");
    (log, outcome)
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_deletes_the_version_that_was_seen_or_under_the_condition_that_it_is_the_same() {
    let by_tag = r#"DELETE if-match: "abc""#;
    let by_version = "DELETE versionId=v7";
    for (version, deletes, expected) in [
        (None, &[204][..], &[by_tag][..]),
        (Some("null"), &[204], &[by_tag]),
        (Some("v7"), &[204], &[by_version]),
        (Some("v7"), &[403, 204], &[by_version, by_tag]),
        (None, &[501, 204], &[by_tag, "DELETE"]),
        (None, &[404], &[by_tag]),
    ] {
        let (said, outcome) = delete(version, deletes).await;
        assert_eq!(said, expected, "{version:?} {deletes:?}");
        outcome.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_deletes_nothing_that_was_written_since_it_was_seen() {
    let (said, outcome) = delete(None, &[412]).await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(class(outcome), ErrorClass::Precondition);
}
