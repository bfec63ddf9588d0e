//! Paths of the open inference protocol v2.

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// `/v2/health/live`: this gateway runs.
    Live,
    /// `/v2/health/ready`: this gateway has routes and is not draining.
    Ready,
    /// `/v2`: about this gateway.
    Server,
    /// `/v2/models/<model>…`.
    Model {
        /// The model.
        model: &'a str,
        /// Revision id or version name after `/versions/`.
        version: Option<&'a str>,
        /// The rest, empty or with its leading `/`, and the query.
        rest: &'a str,
    },
}

/// Parses the path and query of a request. `None`: not a path of the protocol.
pub fn parse(path: &str) -> Option<Target<'_>> {
    let bare = path.split('?').next().unwrap_or(path);
    match bare.trim_end_matches('/') {
        "/v2" => return Some(Target::Server),
        "/v2/health/live" => return Some(Target::Live),
        "/v2/health/ready" => return Some(Target::Ready),
        _ => {}
    }
    let (model, rest) = segment(path.strip_prefix("/v2/models/")?)?;
    let (version, rest) = match rest.strip_prefix("/versions/") {
        Some(after) => {
            let (version, rest) = segment(after)?;
            (Some(version), rest)
        }
        None => (None, rest),
    };
    stays_within(rest).then_some(Target::Model {
        model,
        version,
        rest,
    })
}

/// Whether `rest` means the same to every server: no `..`, no escapes, no empty segment but
/// the last. A server of several models could take another for `digits/..%2fother/infer`.
fn stays_within(rest: &str) -> bool {
    let bare = rest.split('?').next().unwrap_or(rest);
    let bare = bare.strip_suffix('/').unwrap_or(bare);
    let mut segments = bare.split('/').skip(1);
    segments.all(is_plain)
}

/// The path of the same request at a server that knows `version`.
pub fn render(model: &str, version: Option<&str>, rest: &str) -> String {
    match version {
        Some(version) => format!("/v2/models/{model}/versions/{version}{rest}"),
        None => format!("/v2/models/{model}{rest}"),
    }
}

/// Splits off one segment that is a plain name: what a `DNS` label or a version may hold,
/// so that nothing needs decoding and `..` goes nowhere.
fn segment(path: &str) -> Option<(&str, &str)> {
    let end = path.find(['/', '?']).unwrap_or(path.len());
    let (name, rest) = path.split_at(end);
    is_plain(name).then_some((name, rest))
}

fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    name.bytes().all(plain) && name.bytes().any(|b| b != b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_protocol_are_told_apart() {
        let model = |version, rest| {
            Some(Target::Model {
                model: "digits",
                version,
                rest,
            })
        };
        for (path, expected) in [
            ("/v2", Some(Target::Server)),
            ("/v2/", Some(Target::Server)),
            ("/v2/health/live", Some(Target::Live)),
            ("/v2/health/ready?x=1", Some(Target::Ready)),
            ("/v2/models/digits", model(None, "")),
            ("/v2/models/digits/infer", model(None, "/infer")),
            ("/v2/models/digits/infer?a=/b", model(None, "/infer?a=/b")),
            ("/v2/models/digits/versions/v3", model(Some("v3"), "")),
            ("/v2/models/digits/", model(None, "/")),
            (
                "/v2/models/digits/trace/setting",
                model(None, "/trace/setting"),
            ),
            (
                "/v2/models/digits/versions/0a1b2c3d4e/ready",
                model(Some("0a1b2c3d4e"), "/ready"),
            ),
            ("/v2/models/", None),
            ("/v2/models/..", None),
            ("/v2/models/di%67its/infer", None),
            ("/v2/models/digits/versions/", None),
            ("/v2/models/digits/../other/infer", None),
            ("/v2/models/digits/..%2fother/infer", None),
            ("/v2/models/digits/%2e%2e/other/infer", None),
            ("/v2/models/digits/..\\other", None),
            ("/v2/models/digits//infer", None),
            ("/v2/models/digits/versions/v3/../v4/infer", None),
            ("/v2/repository/index", None),
            ("/", None),
        ] {
            assert_eq!(parse(path), expected, "{path}");
        }
    }

    #[test]
    fn a_parsed_path_renders_to_itself() {
        for path in [
            "/v2/models/digits/infer?x=1",
            "/v2/models/digits/versions/v3/infer",
        ] {
            let Some(Target::Model {
                model,
                version,
                rest,
            }) = parse(path)
            else {
                panic!("{path}");
            };
            assert_eq!(render(model, version, rest), path);
        }
    }
}
