//! Requests to the clouds' own services, as any other tool would make them.

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// One request over plain HTTP: status and body.
pub(crate) async fn ask(address: &str, request: Request<Full<Bytes>>) -> (u16, Bytes) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(request).await.unwrap();
    let status = answer.status().as_u16();
    (
        status,
        answer.into_body().collect().await.unwrap().to_bytes(),
    )
}

pub(crate) fn request(
    method: Method,
    address: &str,
    path: &str,
    kind: &str,
    body: Bytes,
) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, address)
        .header(header::CONTENT_TYPE, kind)
        .header(header::ACCEPT, kind)
        .body(Full::new(body))
        .unwrap()
}
