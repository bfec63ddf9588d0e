//! Requests that two readers could read in two ways: refused, or passed on exactly as the
//! gateway read them, and never with another model's answer.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    requests::Lone,
    world::{Pod, config},
};

/// What has to come of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// This many requests reach the pod, each answered from there, and nothing else does.
    Passed(u64),
    /// One answer of the gateway's own, with this status, and nothing reaches the pod.
    Refused(u16),
    /// The connection is closed without a word, or with a refusal; nothing reaches the pod.
    Closed,
}

use Outcome::{Closed, Passed, Refused};

const INFER: &str = "POST /v2/models/digits/infer HTTP/1.1\r\nhost: x\r\n";

/// Name, bytes, outcome. `{}` stands for a good head but its last line end.
const TABLE: &[(&str, &str, Outcome)] = &[
    // Length against chunks.
    ("a length", "{}content-length: 3\r\n\r\nabc", Passed(1)),
    (
        "chunks",
        "{}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Passed(1),
    ),
    (
        "both, and a request after the chunks",
        "{}content-length: 44\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /v2/models/other/infer HTTP/1.1\r\n\r\n",
        Passed(1),
    ),
    (
        "both, the length shorter",
        "{}transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Passed(1),
    ),
    (
        "two lengths that differ",
        "{}content-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        Refused(400),
    ),
    (
        "two lengths that agree",
        "{}content-length: 3\r\ncontent-length: 3\r\n\r\nabc",
        Passed(1),
    ),
    (
        "a list of lengths",
        "{}content-length: 3, 3\r\n\r\nabc",
        Refused(400),
    ),
    (
        "a list of lengths that differ",
        "{}content-length: 3, 4\r\n\r\nabcd",
        Refused(400),
    ),
    (
        "a negative length",
        "{}content-length: -1\r\n\r\n",
        Refused(400),
    ),
    (
        "a length with a plus",
        "{}content-length: +3\r\n\r\nabc",
        Refused(400),
    ),
    (
        "a length in hex",
        "{}content-length: 0x3\r\n\r\nabc",
        Refused(400),
    ),
    (
        "a length with a point",
        "{}content-length: 3.0\r\n\r\nabc",
        Refused(400),
    ),
    (
        "a length beyond 64 bits",
        "{}content-length: 99999999999999999999\r\n\r\n",
        Refused(400),
    ),
    (
        "an empty length",
        "{}content-length: \r\n\r\n",
        Refused(400),
    ),
    (
        "a length with a space within",
        "{}content-length: 1 2\r\n\r\n",
        Refused(400),
    ),
    (
        "a length over the limit",
        "{}content-length: 8388609\r\n\r\n",
        Refused(413),
    ),
    (
        "a name with a space before the colon",
        "{}content-length : 3\r\n\r\nabc",
        Refused(400),
    ),
    (
        "a name with a tab before the colon",
        "{}content-length\t: 3\r\n\r\nabc",
        Refused(400),
    ),
    (
        "an underscore for a hyphen",
        "{}content_length: 3\r\n\r\n",
        Passed(1),
    ),
    // Encodings.
    (
        "an encoding in other letters",
        "{}transfer-encoding: Chunked\r\n\r\n0\r\n\r\n",
        Passed(1),
    ),
    (
        "an unknown encoding",
        "{}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "identity",
        "{}transfer-encoding: identity\r\n\r\n",
        Refused(400),
    ),
    (
        "chunked before another",
        "{}transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "another before chunked",
        "{}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "chunked twice",
        "{}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "chunked, then identity",
        "{}transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "chunked in quotes",
        "{}transfer-encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a vertical tab before chunked",
        "{}transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "an encoding name with a space",
        "{}transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "an encoding of HTTP/1.0",
        "POST /v2/models/digits/infer HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    // Chunks.
    (
        "a size in hex with 0x",
        "{}transfer-encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a negative size",
        "{}transfer-encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a size beyond 64 bits",
        "{}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a size over the limit",
        "{}transfer-encoding: chunked\r\n\r\nffffffff\r\nabc",
        Closed,
    ),
    (
        "a chunk longer than its size",
        "{}transfer-encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "an extension of a chunk",
        "{}transfer-encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n",
        Passed(1),
    ),
    (
        "a bare line feed after a size",
        "{}transfer-encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "trailers",
        "{}transfer-encoding: chunked\r\n\r\n0\r\nx-after: 1\r\n\r\n",
        Passed(1),
    ),
    // Lines.
    ("a folded header", "{}x-a: 1\r\n 2\r\n\r\n", Refused(400)),
    (
        "a folded header by a tab",
        "{}x-a: 1\r\n\t2\r\n\r\n",
        Refused(400),
    ),
    (
        "a bare carriage return in a value",
        "{}x-a: 1\r2\r\n\r\n",
        Refused(400),
    ),
    (
        "a zero byte in a value",
        "{}x-a: 1\x002\r\n\r\n",
        Refused(400),
    ),
    ("a zero byte in a name", "{}x\x00a: 1\r\n\r\n", Refused(400)),
    ("a header without a colon", "{}x-a\r\n\r\n", Refused(400)),
    ("a header without a name", "{}: 1\r\n\r\n", Refused(400)),
    (
        "a space before the first header",
        "POST /v2/models/digits/infer HTTP/1.1\r\n host: x\r\n\r\n",
        Refused(400),
    ),
    // The first line.
    (
        "HTTP/1.0",
        "POST /v2/models/digits/infer HTTP/1.0\r\ncontent-length: 1\r\n\r\nx",
        Passed(1),
    ),
    (
        "HTTP/0.9",
        "GET /v2/models/digits/infer\r\n\r\n",
        Refused(400),
    ),
    (
        "HTTP/2 in clear",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        Refused(400),
    ),
    (
        "another protocol",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        Refused(400),
    ),
    ("TLS", "\x16\x03\x01\x02\r\n\r\n", Refused(400)),
    (
        "two spaces",
        "POST  /v2/models/digits/infer HTTP/1.1\r\nhost: x\r\n\r\n",
        Refused(404),
    ),
    (
        "a method with a space",
        "PO ST /v2/models/digits/infer HTTP/1.1\r\nhost: x\r\n\r\n",
        Refused(404),
    ),
    (
        "the whole URL",
        "POST http://x/v2/models/digits/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
        Refused(404),
    ),
    (
        "the whole URL of another host",
        "POST http://y/v2/models/digits/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
        Refused(400),
    ),
    (
        "an authority",
        "CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n",
        Refused(404),
    ),
    (
        "a star",
        "OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",
        Refused(404),
    ),
    // Paths.
    (
        "dots above the model",
        "GET /v2/models/digits/../other/infer HTTP/1.1\r\nhost: x\r\n\r\n",
        Refused(404),
    ),
    (
        "dots in escapes",
        "GET /v2/models/digits/%2e%2e/other/infer HTTP/1.1\r\nhost: x\r\n\r\n",
        Refused(404),
    ),
    (
        "a slash in an escape",
        "GET /v2/models/digits%2f..%2fother/infer HTTP/1.1\r\nhost: x\r\n\r\n",
        Refused(404),
    ),
    (
        "a slash in an escape of the rest",
        "GET /v2/models/digits/..%2fother/infer HTTP/1.1\r\nhost: x\r\n\r\n",
        Refused(404),
    ),
    (
        "a backslash",
        "GET /v2/models/digits/..\\other/infer HTTP/1.1\r\nhost: x\r\n\r\n",
        Refused(404),
    ),
    (
        "two slashes",
        "GET /v2/models//digits/infer HTTP/1.1\r\nhost: x\r\n\r\n",
        Refused(404),
    ),
    (
        "a zero byte in an escape",
        "GET /v2/models/digits/infer%00 HTTP/1.1\r\nhost: x\r\n\r\n",
        Refused(404),
    ),
    (
        "a line end in an escape",
        "GET /v2/models/digits/infer%0d%0ax:1 HTTP/1.1\r\nhost: x\r\n\r\n",
        Refused(404),
    ),
    (
        "a semicolon",
        "GET /v2/models/digits;a=b/infer HTTP/1.1\r\nhost: x\r\n\r\n",
        Refused(404),
    ),
    (
        "bytes that are no UTF-8",
        "GET /v2/models/digits/\u{ff} HTTP/1.1\r\nhost: x\r\n\r\n",
        Refused(400),
    ),
    // What a proxy has to leave out or to answer.
    (
        "a header that is named as one of the connection",
        "{}connection: content-length\r\ncontent-length: 3\r\n\r\nabc",
        Passed(1),
    ),
    (
        "an upgrade",
        "GET /v2/models/digits/infer HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        Passed(1),
    ),
    (
        "an expectation",
        "{}expect: 100-continue\r\ncontent-length: 3\r\n\r\nabc",
        Passed(1),
    ),
    (
        "two requests at once",
        "{}content-length: 1\r\n\r\nxPOST /v2/models/digits/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\ny",
        Passed(2),
    ),
    (
        "a body that looks like a request",
        "{}content-length: 37\r\n\r\nGET /v2/models/other/infer HTTP/1.1\r\n\r\n",
        Passed(1),
    ),
];

#[tokio::test]
async fn what_can_be_read_in_two_ways_is_refused_or_passed_on_as_read() {
    let pod = Pod::start().await;
    let mut wrong = Vec::new();
    let lone = Lone::start(pod.link.address(), config("aws"), |_| {}).await;
    for (name, bytes, expected) in TABLE {
        let before = pod.begun();
        let answers = talk(&lone, &bytes.replace("{}", INFER)).await;
        let actual = outcome(&answers, pod.begun() - before);
        let as_good = *expected == Closed && matches!(actual, Refused(_));
        if actual != *expected && !as_good {
            wrong.push(format!(
                "{name}: {expected:?}, and was {actual:?}: {answers:?}"
            ));
        }
        assert!(!answers.contains("/v2/models/other"), "{name}: {answers}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(TABLE.len() >= 60);
}

/// All that comes back until the connection closes or falls still.
async fn talk(lone: &Lone, bytes: &str) -> String {
    let mut stream = TcpStream::connect(lone.address).await.unwrap();
    // One byte a character: `\u{ff}` is no UTF-8.
    let bytes: Vec<u8> = bytes.chars().map(|c| u8::try_from(c).unwrap()).collect();
    stream.write_all(&bytes).await.unwrap();
    let mut answers = Vec::new();
    let still = Duration::from_millis(300);
    while let Ok(Ok(1..)) = timeout(still, stream.read_buf(&mut answers)).await {}
    String::from_utf8_lossy(&answers).into_owned()
}

fn outcome(answers: &str, seen: u64) -> Outcome {
    let own = answers.matches("mcdeploy-gateway-reason: ").count();
    let status = answers.get(9..12).and_then(|s| s.parse().ok());
    let passed = answers.matches("\"/v2/models/digits/infer ").count() as u64;
    match (seen, own, status) {
        (0, 1, Some(status)) => Refused(status),
        (0, ..) => Closed,
        (seen, 0, _) if passed == seen => Passed(seen),
        // Seen by the pod, and answered otherwise: told by a number that no row has.
        (seen, ..) => Passed(seen + 1000),
    }
}
