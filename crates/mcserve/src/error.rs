//! What a client is told when a request is not answered.

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{protocol::ErrorBody, repository::NotServed};

/// Why a request is not answered. The message goes to the client.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The model or version is not here.
    #[error(transparent)]
    NotServed(#[from] NotServed),
    /// No such path.
    #[error("no such path: {path:?}; see GET /v2 and GET /v2/models/<model>")]
    NoSuchPath {
        /// As asked.
        path: String,
    },
    /// The path exists with another method.
    #[error("method not allowed for this path")]
    MethodNotAllowed,
    /// The body is not the JSON of an inference request.
    #[error("the body is not an inference request: {message}")]
    BadBody {
        /// Line and column, and what was expected there.
        message: String,
    },
    /// The body is over the limit.
    #[error("the body is larger than {limit} bytes, as sent or as decoded")]
    BodyTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The body is compressed in a way that is not read here.
    #[error("content encoding {encoding:?} is not read here: send gzip, deflate or plain JSON")]
    UnknownEncoding {
        /// As the client named it.
        encoding: String,
    },
    /// The body is not what its content encoding says.
    #[error("the body is not {encoding}: {message}")]
    BadEncoding {
        /// As the client named it.
        encoding: String,
        /// What is wrong with it.
        message: String,
    },
    /// The body stopped arriving.
    #[error("the body did not arrive in {seconds} s")]
    BodyTimeout {
        /// The limit.
        seconds: u64,
    },
    /// The connection broke while the body arrived.
    #[error("the body did not arrive: {message}")]
    BodyBroken {
        /// Why.
        message: String,
    },
    /// The binary tensor extension is not served.
    #[error("binary tensor data is not supported: send JSON")]
    BinaryExtension,
    /// The inputs are not the model's.
    #[error(transparent)]
    Input(#[from] InputError),
    /// All workers are busy and the queue is full.
    #[error("{waiting} requests wait already: try again")]
    QueueFull {
        /// Length of the queue.
        waiting: usize,
    },
    /// Models are still loading.
    #[error("the models are not loaded yet: try again")]
    Loading,
    /// The model ran and failed.
    #[error("inference failed: {message}")]
    Inference {
        /// What tract says.
        message: String,
    },
}

/// How the inputs of a request differ from those of the model.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum InputError {
    #[error("no input {name:?}; the model has: {}", known.join(", "))]
    UnknownInput { name: String, known: Vec<String> },
    #[error("input {name:?} is given twice")]
    TwiceGiven { name: String },
    #[error("input {name:?} is missing")]
    MissingInput { name: String },
    #[error("no output {name:?}; the model has: {}", known.join(", "))]
    UnknownOutput { name: String, known: Vec<String> },
    #[error("input {name:?} has datatype {given}; the model takes {expected}")]
    WrongDatatype {
        name: String,
        given: String,
        expected: &'static str,
    },
    #[error("input {name:?} has shape {given:?}; the model takes {expected:?} (-1: any number)")]
    WrongShape {
        name: String,
        given: Vec<i64>,
        expected: Vec<i64>,
    },
    #[error("input {name:?} is empty: shape {shape:?} holds no value")]
    Empty { name: String, shape: Vec<i64> },
    #[error("input {name:?} has {given} values; its shape {shape:?} holds {expected}")]
    WrongLength {
        name: String,
        given: usize,
        shape: Vec<i64>,
        expected: String,
    },
    #[error("input {name:?}, value {index}: {value} is not a {datatype}")]
    NotRepresentable {
        name: String,
        index: usize,
        value: String,
        datatype: &'static str,
    },
    #[error(
        "input {name:?}, value {index}: {value} is out of range; the model takes {smallest} to \
         {largest}"
    )]
    OutOfRange {
        name: String,
        index: usize,
        value: String,
        smallest: i64,
        largest: i64,
    },
    #[error(
        "input {name:?} has size {size} in dimension {axis}; input {other:?} has {expected} for \
         the same: they must be equal"
    )]
    UnequalSizes {
        name: String,
        axis: usize,
        size: usize,
        other: String,
        expected: usize,
    },
    #[error("{given}: {message}")]
    UnknownCategory { given: String, message: String },
    #[error("the model does not run on inputs of these shapes: {given} ({message})")]
    Shapes { given: String, message: String },
    #[error(
        "the model does not run on these values, though it runs on zeros of the same shapes: \
         {given} ({message})"
    )]
    Values { given: String, message: String },
}

impl RequestError {
    /// Status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotServed(_) | Self::NoSuchPath { .. } => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BadBody { .. }
            | Self::BodyBroken { .. }
            | Self::BadEncoding { .. }
            | Self::BinaryExtension
            | Self::Input(_) => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnknownEncoding { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTimeout { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::QueueFull { .. } | Self::Loading => StatusCode::SERVICE_UNAVAILABLE,
            Self::Inference { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// One word, for programs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotServed(NotServed::Model { .. }) => "ModelNotServed",
            Self::NotServed(NotServed::Version { .. }) => "VersionNotServed",
            Self::NoSuchPath { .. } => "NoSuchPath",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::BadBody { .. } => "BadBody",
            Self::BodyTooLarge { .. } => "BodyTooLarge",
            Self::UnknownEncoding { .. } => "UnknownEncoding",
            Self::BadEncoding { .. } => "BadEncoding",
            Self::BodyTimeout { .. } => "BodyTimeout",
            Self::BodyBroken { .. } => "BodyBroken",
            Self::BinaryExtension => "BinaryExtension",
            Self::Input(error) => error.code(),
            Self::QueueFull { .. } => "QueueFull",
            Self::Loading => "Loading",
            Self::Inference { .. } => "Inference",
        }
    }
}

impl InputError {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownInput { .. } => "UnknownInput",
            Self::TwiceGiven { .. } => "TwiceGiven",
            Self::MissingInput { .. } => "MissingInput",
            Self::UnknownOutput { .. } => "UnknownOutput",
            Self::WrongDatatype { .. } => "WrongDatatype",
            Self::WrongShape { .. } => "WrongShape",
            Self::Empty { .. } => "Empty",
            Self::WrongLength { .. } => "WrongLength",
            Self::NotRepresentable { .. } => "NotRepresentable",
            Self::OutOfRange { .. } => "OutOfRange",
            Self::UnequalSizes { .. } => "UnequalSizes",
            Self::UnknownCategory { .. } => "UnknownCategory",
            Self::Shapes { .. } => "Shapes",
            Self::Values { .. } => "Values",
        }
    }
}

impl IntoResponse for RequestError {
    fn into_response(self) -> Response {
        let status = self.status();
        let body = Json(ErrorBody {
            error: self.to_string(),
            code: self.code(),
        });
        let hint = match status {
            StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, "1")),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Some((header::ACCEPT_ENCODING, "gzip, deflate")),
            _ => None,
        };
        match hint {
            Some(hint) => (status, [hint], body).into_response(),
            None => (status, body).into_response(),
        }
    }
}
