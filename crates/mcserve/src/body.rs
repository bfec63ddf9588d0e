//! The bytes of a request body to an inference request. Pure.

use std::io::Read;

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};

use crate::{error::RequestError, protocol::InferRequest};

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Deflate,
}

impl Encoding {
    /// What the headers say.
    ///
    /// # Errors
    /// An encoding that is not read here.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, RequestError> {
        let Some(value) = headers.get(header::CONTENT_ENCODING) else {
            return Ok(Self::Identity);
        };
        let text = String::from_utf8_lossy(value.as_bytes());
        match text.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            _ => Err(RequestError::UnknownEncoding {
                encoding: text.into_owned(),
            }),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }
}

/// The request that a body holds, of at most `limit` bytes once it is decoded.
///
/// # Errors
/// A body that is not what its headers say, is too large, or is no request.
pub(crate) fn request(
    body: Bytes,
    encoding: Encoding,
    limit: usize,
) -> Result<InferRequest, RequestError> {
    let body = match encoding {
        Encoding::Identity => body,
        Encoding::Gzip => inflate(MultiGzDecoder::new(&*body), encoding, limit)?,
        Encoding::Deflate => inflate(ZlibDecoder::new(&*body), encoding, limit)?,
    };
    let error = match serde_json::from_slice(&body) {
        Ok(request) => return Ok(request),
        Err(error) => error,
    };
    // Triton's client and Python's `json` write NaN and Infinity as bare words.
    let quoted = quote_bare_words(&body).and_then(|quoted| serde_json::from_slice(&quoted).ok());
    quoted.ok_or_else(|| RequestError::BadBody {
        message: error.to_string(),
    })
}

fn inflate(from: impl Read, encoding: Encoding, limit: usize) -> Result<Bytes, RequestError> {
    let mut decoded = vec![];
    let one_more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    from.take(one_more)
        .read_to_end(&mut decoded)
        .map_err(|error| RequestError::BadEncoding {
            encoding: encoding.name().into(),
            message: error.to_string(),
        })?;
    if decoded.len() > limit {
        return Err(RequestError::BodyTooLarge { limit });
    }
    Ok(decoded.into())
}

/// The body with `NaN`, `Infinity` and `-Infinity` as texts; `None` when it holds none.
fn quote_bare_words(body: &[u8]) -> Option<Vec<u8>> {
    let mut quoted = Vec::with_capacity(body.len() + 64);
    let mut rest = body;
    let mut found = false;
    while let [first, after @ ..] = rest {
        if *first == b'"' {
            let text = &rest[..text_length(rest)];
            quoted.extend_from_slice(text);
            rest = &rest[text.len()..];
            continue;
        }
        let words: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
        if let Some(word) = words.into_iter().find(|word| rest.starts_with(word)) {
            quoted.push(b'"');
            quoted.extend_from_slice(word);
            quoted.push(b'"');
            rest = &rest[word.len()..];
            found = true;
            continue;
        }
        quoted.push(*first);
        rest = after;
    }
    found.then_some(quoted)
}

/// Length of the JSON text at the start, with its quotes.
fn text_length(body: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = body.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    body.len()
}

#[cfg(test)]
mod tests;
