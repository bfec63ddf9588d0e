//! Plain HTTP to a source.

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use reqwest::{Client, RequestBuilder, Response, StatusCode, header};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::Body;
use crate::{
    RegistryCause, RegistryError,
    request::{self, CONNECT_TIMEOUT, Call, READ_TIMEOUT},
};

/// Longest error text that is read, in bytes.
const MAX_ERROR_BYTES: usize = 4 * 1024;

/// A client of one source, which authorises itself the same way in each request.
#[derive(Clone)]
pub(super) struct Http {
    client: Client,
    /// Where it is, for errors.
    pub(super) place: String,
    token: Option<String>,
}

impl Http {
    pub(super) fn new(place: String, token: Option<String>) -> Result<Self, RegistryError> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .user_agent("mcdeploy")
            .build();
        let client = client.map_err(|error| {
            Call::new("open", "").error(place.clone(), RegistryCause::unreachable(&error))
        })?;
        Ok(Self {
            client,
            place,
            token,
        })
    }

    /// An answer in JSON.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        url: &str,
        cancel: &CancellationToken,
    ) -> Result<T, RegistryError> {
        let call = Call::new(operation, "");
        let outcome = request::send(&call, cancel, || async {
            let answer = checked(self.get(url).send().await).await?;
            let bytes = answer.bytes().await;
            let bytes = bytes.map_err(|error| RegistryCause::unreachable(&error))?;
            serde_json::from_slice(&bytes).map_err(|error| RegistryCause::Refused {
                detail: format!("the answer is not as documented: {error}"),
            })
        });
        outcome
            .await
            .map_err(|cause| call.error(self.place.clone(), cause))
    }

    /// A file's bytes from `offset` on, or from 0 when the server knows no ranges.
    pub(super) async fn body(
        &self,
        file: &str,
        url: &str,
        offset: u64,
        cancel: &CancellationToken,
    ) -> Result<(u64, Body), RegistryError> {
        let call = Call::new("read", file);
        let outcome = request::send(&call, cancel, || async {
            let mut get = self.get(url);
            if offset > 0 {
                get = get.header(header::RANGE, format!("bytes={offset}-"));
            }
            let answer = checked(get.send().await).await?;
            let begin = if answer.status() == StatusCode::PARTIAL_CONTENT {
                offset
            } else {
                0
            };
            let body = answer.bytes_stream();
            let body = body.map_err(|error| RegistryCause::unreachable(&error));
            Ok((begin, body.boxed()))
        });
        outcome
            .await
            .map_err(|cause| call.error(self.place.clone(), cause))
    }

    fn get(&self, url: &str) -> RequestBuilder {
        let get = self.client.get(url);
        match &self.token {
            Some(token) => get.bearer_auth(token),
            None => get,
        }
    }
}

/// The answer, or the cause that its status stands for.
async fn checked(answer: reqwest::Result<Response>) -> Result<Response, RegistryCause> {
    let answer = answer.map_err(|error| RegistryCause::unreachable(&error))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let mut text = Vec::new();
    let mut body = answer.bytes_stream();
    while let Some(Ok(chunk)) = body.next().await {
        text.extend_from_slice(&chunk);
        if text.len() > MAX_ERROR_BYTES {
            break;
        }
    }
    let text: Bytes = text.into();
    Err(RegistryCause::of_status(
        status.as_u16(),
        &String::from_utf8_lossy(&text),
    ))
}

/// Percent-encodes each name of a path; slashes stay.
pub(super) fn encode_path(path: &str) -> String {
    path.split('/').map(encode).collect::<Vec<_>>().join("/")
}

/// Percent-encodes everything but unreserved characters (RFC 3986, 2.3).
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for nibble in [byte >> 4, byte & 15] {
                let digit = char::from_digit(u32::from(nibble), 16).unwrap_or('0');
                out.push(digit.to_ascii_uppercase());
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_and_slashes_stay() {
        assert_eq!(encode_path("a b/ü?.bin"), "a%20b/%C3%BC%3F.bin");
        assert_eq!(encode("refs/pr/1"), "refs%2Fpr%2F1");
    }
}
