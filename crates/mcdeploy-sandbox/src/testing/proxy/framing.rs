//! Where a message of HTTP/1.1 ends.

use super::ProxyRequest;

/// Longest head that is taken, in bytes.
pub(super) const MAX_HEAD: usize = 64 * 1024;

/// What is left of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

/// Where in a chunked body we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Chunked {
    /// In the line with the next chunk's size.
    Size(Vec<u8>),
    /// In a chunk; its line end counts as part of it.
    Data(u64),
    /// In the lines after the last chunk.
    Trailer(Vec<u8>),
    Done,
}

impl Body {
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunked::Done))
    }

    /// How many of these bytes belong to the body; later ones to the next message.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::UntilClose => bytes.len(),
            Self::Length(left) => {
                let taken = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                *left -= taken as u64;
                taken
            }
            Self::Chunked(state) => {
                let mut at = 0;
                while at < bytes.len() && *state != Chunked::Done {
                    at += state.step(&bytes[at..]);
                }
                at
            }
        }
    }
}

impl Chunked {
    /// Takes at least one byte.
    fn step(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Size(line) => {
                line.push(bytes[0]);
                if bytes[0] == b'\n' {
                    let digits = line.split(|b| matches!(b, b';' | b'\r' | b'\n')).next();
                    let digits = digits.and_then(|d| std::str::from_utf8(d).ok());
                    let size = digits.and_then(|d| u64::from_str_radix(d.trim(), 16).ok());
                    *self = match size {
                        Some(0) | None => Self::Trailer(vec![]),
                        Some(size) => Self::Data(size + 2),
                    };
                }
                1
            }
            Self::Data(left) => {
                let taken = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                *left -= taken as u64;
                if *left == 0 {
                    *self = Self::Size(vec![]);
                }
                taken
            }
            Self::Trailer(line) => {
                line.push(bytes[0]);
                if bytes[0] == b'\n' {
                    *self = match line.as_slice() {
                        b"\r\n" | b"\n" => Self::Done,
                        _ => Self::Trailer(vec![]),
                    };
                }
                1
            }
            Self::Done => bytes.len(),
        }
    }
}

/// Length of the head with its empty line, once it is there.
pub(super) fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .map(|at| at + 4)
}

/// What a request's head says.
#[derive(Debug)]
pub(super) struct RequestHead {
    pub(super) request: ProxyRequest,
    pub(super) body: Body,
    pub(super) expects_continue: bool,
}

pub(super) fn request_head(head: &[u8]) -> Option<RequestHead> {
    let text = String::from_utf8_lossy(head);
    let mut words = text.lines().next()?.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let body = match framing(&text) {
        Some(body) => body,
        None => Body::Length(0),
    };
    let body_bytes = match &body {
        Body::Length(length) => *length,
        Body::Chunked(_) | Body::UntilClose => 0,
    };
    Some(RequestHead {
        request: ProxyRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            query: without_signatures(query),
            body_bytes,
        },
        body,
        expects_continue: header(&text, "expect").is_some(),
    })
}

/// Status and body of the answer to `method`.
pub(super) fn answer_head(head: &[u8], method: &str) -> Option<(u16, Body)> {
    let text = String::from_utf8_lossy(head);
    let status = text.lines().next()?.split(' ').nth(1)?.parse().ok()?;
    let body = match status {
        100..200 | 204 | 304 => Body::Length(0),
        _ if method == "HEAD" => Body::Length(0),
        _ => framing(&text).unwrap_or(Body::UntilClose),
    };
    Some((status, body))
}

fn framing(head: &str) -> Option<Body> {
    let encoding = header(head, "transfer-encoding").unwrap_or_default();
    if encoding.to_ascii_lowercase().contains("chunked") {
        return Some(Body::Chunked(Chunked::Size(vec![])));
    }
    header(head, "content-length")?
        .parse()
        .ok()
        .map(Body::Length)
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// A shared access signature is as good as a password.
fn without_signatures(query: &str) -> String {
    let is_secret = |pair: &&str| {
        let key = pair.split('=').next().unwrap_or_default();
        [
            "sig",
            "X-Amz-Signature",
            "X-Amz-Credential",
            "X-Goog-Signature",
        ]
        .contains(&key)
    };
    let kept: Vec<_> = query.split('&').filter(|pair| !is_secret(pair)).collect();
    kept.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_ends_where_its_trailers_end_however_it_is_cut() {
        let message = b"5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nx-checksum: 1\r\n\r\nGET / HTTP/1.1";
        let end = message.len() - b"GET / HTTP/1.1".len();
        for cut in 1..message.len() {
            let mut body = Body::Chunked(Chunked::Size(vec![]));
            let mut taken = 0;
            for piece in message.chunks(cut) {
                taken += body.take(piece);
                if body.is_done() {
                    break;
                }
            }
            assert_eq!((taken, body.is_done()), (end, true), "{cut}");
        }
    }

    #[test]
    fn heads_tell_the_body_and_no_signature() {
        let head = b"PUT /a/b%20c?comp=block&sig=hunter2 HTTP/1.1\r\ncontent-LENGTH: 7\r\n\r\n";
        assert_eq!(head_end(head), Some(head.len()));
        let head = request_head(head).unwrap();
        assert_eq!(head.body, Body::Length(7));
        assert_eq!(
            (head.request.method.as_str(), head.request.query.as_str()),
            ("PUT", "comp=block")
        );
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
        assert_eq!(answer_head(answer, "HEAD"), Some((200, Body::Length(0))));
        assert_eq!(answer_head(answer, "GET"), Some((200, Body::Length(9))));
        let endless = answer_head(b"HTTP/1.1 200 OK\r\n\r\n", "GET");
        assert_eq!(endless, Some((200, Body::UntilClose)));
    }
}
