//! What can go wrong with a registry: where, doing what, and what a caller may do next.

use std::time::Duration;

use mcdeploy_api::{ErrorClass, Reason};
use oci_client::errors::{OciDistributionError, OciErrorCode};

/// An operation on a registry that did not succeed.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {operation} {what}: {cause}")]
pub struct RegistryError {
    /// `host/name` of the repository, or the address of the source.
    pub place: String,
    /// What was tried, such as `read manifest`.
    pub operation: &'static str,
    /// Digest, tag or file.
    pub what: String,
    /// Why it did not succeed.
    pub cause: RegistryCause,
}

/// Why an operation did not succeed. `detail` is the registry's own words, without URLs.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum RegistryCause {
    #[error("not found")]
    NotFound,
    #[error("access denied: {detail}; check the registry's credentials")]
    Denied { detail: String },
    #[error("the registry asks for fewer requests")]
    Throttled,
    #[error("no usable answer: {detail}")]
    Unreachable { detail: String },
    #[error("no answer within {} s", after.as_secs())]
    TimedOut { after: Duration },
    #[error("other bytes than the digest says: {detail}")]
    DigestMismatch { detail: String },
    #[error("refused: {detail}")]
    Refused { detail: String },
    #[error("cancelled")]
    Cancelled,
}

impl RegistryError {
    /// What a caller may do about it.
    pub fn class(&self) -> ErrorClass {
        self.cause.class()
    }

    /// The word for a status.
    pub fn reason(&self) -> Reason {
        match self.cause {
            RegistryCause::NotFound => Reason::ImageMissing,
            RegistryCause::Denied { .. } => Reason::RegistryDenied,
            RegistryCause::Throttled
            | RegistryCause::Unreachable { .. }
            | RegistryCause::TimedOut { .. }
            | RegistryCause::Cancelled => Reason::RegistryUnreachable,
            RegistryCause::DigestMismatch { .. } | RegistryCause::Refused { .. } => {
                Reason::ImageCopyFailed
            }
        }
    }
}

impl RegistryCause {
    /// What a caller may do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NotFound => ErrorClass::NotFound,
            Self::Throttled => ErrorClass::Throttled,
            // A flipped bit on the way is another one the next time.
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::DigestMismatch { .. } => {
                ErrorClass::Transient
            }
            Self::Cancelled => ErrorClass::Cancelled,
            Self::Denied { .. } | Self::Refused { .. } => ErrorClass::Permanent,
        }
    }

    pub(crate) fn of(error: &OciDistributionError) -> Self {
        match error {
            OciDistributionError::ImageManifestNotFoundError(_) => Self::NotFound,
            OciDistributionError::ServerError { code, message, .. } => {
                Self::of_status(*code, message)
            }
            OciDistributionError::RegistryError { envelope, .. } => {
                let text = |e: &oci_client::errors::OciError| format!("{:?} {}", e.code, e.message);
                let detail = envelope.errors.iter().map(text).collect::<Vec<_>>();
                let detail = clean(&detail.join("; "));
                match envelope.errors.first().map(|error| &error.code) {
                    Some(
                        OciErrorCode::ManifestUnknown
                        | OciErrorCode::NameUnknown
                        | OciErrorCode::BlobUnknown
                        | OciErrorCode::NotFound,
                    ) => Self::NotFound,
                    Some(OciErrorCode::Unauthorized | OciErrorCode::Denied) => {
                        Self::Denied { detail }
                    }
                    Some(OciErrorCode::Toomanyrequests) => Self::Throttled,
                    _ => Self::Refused { detail },
                }
            }
            OciDistributionError::UnauthorizedError { .. } => Self::Denied {
                detail: "unauthorized".to_owned(),
            },
            OciDistributionError::AuthenticationFailure(detail) => Self::Denied {
                detail: clean(detail),
            },
            OciDistributionError::DigestError(error) => Self::DigestMismatch {
                detail: clean(&error.to_string()),
            },
            OciDistributionError::RequestError(error) => match error.status() {
                Some(status) => Self::of_status(status.as_u16(), ""),
                None => Self::unreachable(error),
            },
            OciDistributionError::IoError(error) => Self::unreachable(error),
            other => Self::Refused {
                detail: clean(&other.to_string()),
            },
        }
    }

    /// No answer, or one that broke off.
    pub(crate) fn unreachable(error: &dyn std::error::Error) -> Self {
        Self::Unreachable {
            detail: clean(&chain(error)),
        }
    }

    pub(crate) fn of_status(status: u16, message: &str) -> Self {
        let detail = clean(&format!("{status} {message}"));
        match status {
            401 | 403 => Self::Denied { detail },
            404 => Self::NotFound,
            429 | 503 => Self::Throttled,
            408 | 500.. => Self::Unreachable { detail },
            _ => Self::Refused { detail },
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

/// One line of bounded length, without the query of any URL: upload URLs carry tokens.
fn clean(text: &str) -> String {
    let words =
        text.split_whitespace()
            .map(|word| match word.find("://").and_then(|_| word.find('?')) {
                Some(at) => format!("{}?***", &word[..at]),
                None => word.to_owned(),
            });
    let line = words.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_upload_urls_never_reach_an_error() {
        let text = clean("error for url (https://r/v2/a/blobs/uploads/1?_state=hunter2)\nreset");
        assert_eq!(
            text,
            "error for url (https://r/v2/a/blobs/uploads/1?*** reset"
        );
    }

    #[test]
    fn classes_say_what_to_do_next() {
        let class = |status| RegistryCause::of_status(status, "").class();
        assert_eq!(class(404), ErrorClass::NotFound);
        assert_eq!(class(403), ErrorClass::Permanent);
        assert_eq!(class(429), ErrorClass::Throttled);
        assert_eq!(class(502), ErrorClass::Transient);
        assert_eq!(class(400), ErrorClass::Permanent);
    }
}
