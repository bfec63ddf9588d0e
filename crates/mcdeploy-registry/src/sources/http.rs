//! Plain HTTP to a source.

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Version, header};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::Reading;
use crate::{
    RegistryCause, RegistryError,
    request::{self, CONNECT_TIMEOUT, Call, READ_TIMEOUT},
};

/// Longest error text that is read, in bytes.
const MAX_ERROR_BYTES: usize = 4 * 1024;

/// How each request is authorised.
#[derive(Clone, Default)]
pub(super) enum Authorization {
    #[default]
    None,
    Bearer(String),
    Basic {
        username: String,
        password: Option<String>,
    },
}

impl Authorization {
    pub(super) fn bearer(token: Option<String>) -> Self {
        token.map_or(Self::None, Self::Bearer)
    }
}

/// A client of one source, which authorises itself the same way in each request.
#[derive(Clone)]
pub(super) struct Http {
    client: Client,
    /// Where it is, for errors.
    pub(super) place: String,
    authorization: Authorization,
}

impl Http {
    pub(super) fn new(place: String, authorization: Authorization) -> Result<Self, RegistryError> {
        // Unpacking on the way would hide the length of a file, and ranges would be those of
        // the packed one.
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .user_agent("mcdeploy")
            .build();
        let client = client.map_err(|error| {
            Call::new("open", "").error(place.clone(), RegistryCause::unreachable(&error))
        })?;
        Ok(Self {
            client,
            place,
            authorization,
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
    ) -> Result<Reading, RegistryError> {
        let call = Call::new("read", file);
        let outcome = request::send(&call, cancel, || async {
            let mut get = self.get(url);
            if offset > 0 {
                get = get.header(header::RANGE, format!("bytes={offset}-"));
            }
            let answer = checked(get.send().await).await?;
            let head = Head {
                is_part: answer.status() == StatusCode::PARTIAL_CONTENT,
                content_range: text(&answer, &header::CONTENT_RANGE),
                content_encoding: text(&answer, &header::CONTENT_ENCODING),
                content_length: answer.content_length(),
                says_its_end: answer.version() >= Version::HTTP_2
                    || answer.headers().contains_key(header::TRANSFER_ENCODING),
            };
            let (begin, whole_bytes) = head.place(offset)?;
            let body = answer.bytes_stream();
            let body = body.map_err(|error| RegistryCause::unreachable(&error));
            Ok(Reading {
                begin,
                whole_bytes,
                body: body.boxed(),
            })
        });
        outcome
            .await
            .map_err(|cause| call.error(self.place.clone(), cause))
    }

    fn get(&self, url: &str) -> RequestBuilder {
        let get = self.client.get(url);
        match &self.authorization {
            Authorization::None => get,
            Authorization::Bearer(token) => get.bearer_auth(token),
            Authorization::Basic { username, password } => {
                get.basic_auth(username, password.as_ref())
            }
        }
    }
}

fn text(answer: &Response, name: &header::HeaderName) -> Option<String> {
    let value = answer.headers().get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// What an answer says of its body.
#[derive(Clone, Debug, Default)]
struct Head {
    is_part: bool,
    content_range: Option<String>,
    content_encoding: Option<String>,
    content_length: Option<u64>,
    /// By its framing: chunks, or a frame that ends the stream.
    says_its_end: bool,
}

impl Head {
    /// Where in the file its bytes begin, and the length of the whole file where it is said.
    fn place(&self, offset: u64) -> Result<(u64, Option<u64>), RegistryCause> {
        let refused = |detail: String| Err(RegistryCause::Refused { detail });
        if let Some(packed) = self.content_encoding.as_deref()
            && packed != "identity"
        {
            return refused(format!(
                "the server sends the file packed (Content-Encoding: {packed}): store it as it is"
            ));
        }
        if self.is_part {
            let said = self.content_range.as_deref().unwrap_or_default();
            return match range(said) {
                Some((begin, whole)) if begin == offset => Ok((begin, whole)),
                Some(_) | None => refused(format!(
                    "the server was asked for bytes from {offset} on, and gives others \
                     (Content-Range: {said})"
                )),
            };
        }
        if self.content_length.is_none() && !self.says_its_end {
            return refused(
                "the answer says neither how long the file is nor where it ends: a broken \
                 connection would look like its end"
                    .to_owned(),
            );
        }
        Ok((0, self.content_length))
    }
}

/// Begin and whole length of `bytes 5-9/10` or `bytes 5-9/*`.
fn range(said: &str) -> Option<(u64, Option<u64>)> {
    let (places, whole) = said.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let begin = places.split_once('-')?.0.parse().ok()?;
    Some((begin, whole.parse().ok()))
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
    fn bytes_are_taken_only_where_the_answer_says_that_they_belong() {
        let part = |range: &str| Head {
            is_part: true,
            content_range: Some(range.to_owned()),
            content_length: Some(5),
            ..Head::default()
        };
        assert_eq!(
            part("bytes 5-9/10").place(5).unwrap(),
            (5, Some(10)),
            "the length is that of the file"
        );
        assert_eq!(part("bytes 5-9/*").place(5).unwrap(), (5, None));
        for other in [
            "bytes 0-4/10",
            "bytes 6-9/10",
            "bytes */10",
            "",
            "lines 5-9/10",
        ] {
            assert!(part(other).place(5).is_err(), "{other}");
        }
        let whole = |content_length, says_its_end| Head {
            content_length,
            says_its_end,
            ..Head::default()
        };
        assert_eq!(whole(Some(10), false).place(5).unwrap(), (0, Some(10)));
        assert_eq!(whole(None, true).place(5).unwrap(), (0, None));
        assert!(whole(None, false).place(0).is_err(), "its end is not said");
        let packed = Head {
            content_encoding: Some("gzip".to_owned()),
            ..whole(Some(10), false)
        };
        let error = packed.place(0).unwrap_err().to_string();
        assert!(error.contains("gzip"), "{error}");
    }

    #[test]
    fn names_are_encoded_and_slashes_stay() {
        assert_eq!(encode_path("a b/ü?.bin"), "a%20b/%C3%BC%3F.bin");
        assert_eq!(encode("refs/pr/1"), "refs%2Fpr%2F1");
    }
}
