//! An object or a directory in a store, as `artifacts cp` takes it.

use std::{fmt, str::FromStr};

use crate::{percent, store_ref::StoreUrl};

/// A place in a store that needs no hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObjectUrl {
    /// The store; none is this machine's file system, from its root.
    pub(crate) store: Option<StoreUrl>,
    /// Key, or what keys start with; a slash at the end says that it is a directory.
    pub(crate) path: String,
    shown: String,
}

impl FromStr for ObjectUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, query) = match text.split_once('?') {
            Some((address, query)) => (address, format!("?{query}")),
            None => (text, String::new()),
        };
        let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
        let decoded = |path: &str| {
            percent::decode(path)
                .ok_or_else(|| format!("{address:?} has percent escapes that are no UTF-8"))
        };
        let names = match scheme {
            "file" => return of_file(&decoded(rest)?, &query, address),
            "s3" | "gs" => 1,
            "az" => 2,
            _ => {
                return Err(format!(
                    "{address:?} is no place in a store: expected s3://BUCKET/PATH, az://ACCOUNT/CONTAINER/PATH, gs://BUCKET/PATH or file:///PATH"
                ));
            }
        };
        let end = rest.match_indices('/').nth(names - 1);
        let (base, path) = match end {
            Some((at, _)) => (&rest[..at], &rest[at + 1..]),
            None => (rest, ""),
        };
        let store = format!("{scheme}://{base}{query}").parse();
        let store = store.map_err(|why: String| {
            if query.is_empty() || path.is_empty() {
                return why;
            }
            format!("{why} (a question mark within the path is written %3F)")
        })?;
        Ok(Self {
            store: Some(store),
            path: decoded(path)?,
            shown: address.to_owned(),
        })
    }
}

fn of_file(rest: &str, query: &str, address: &str) -> Result<ObjectUrl, String> {
    match rest.strip_prefix('/') {
        Some(path) if query.is_empty() => Ok(ObjectUrl {
            store: None,
            path: path.to_owned(),
            shown: address.to_owned(),
        }),
        Some(_) => Err(format!(
            "{address:?} takes no options (a question mark within the path is written %3F)"
        )),
        None => Err(format!("{address:?} is no file:///PATH")),
    }
}

impl fmt::Display for ObjectUrl {
    /// Without the options, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_store_and_a_path_in_it() {
        let table = [
            ("s3://b", Some("s3://b"), ""),
            (
                "s3://b/a/c/?region=eu-west-1",
                Some("s3://b?region=eu-west-1"),
                "a/c/",
            ),
            ("gs://b/a%20b", Some("gs://b"), "a b"),
            ("s3://b/100%", Some("s3://b"), "100%"),
            ("s3://b/a%3Fb%23c#d%2Fe", Some("s3://b"), "a?b#c#d/e"),
            (
                "s3://b/a%3Fb?region=eu-west-1",
                Some("s3://b?region=eu-west-1"),
                "a?b",
            ),
            ("file:///srv/a%20b%3F", None, "srv/a b?"),
            ("az://acc/con", Some("az://acc/con"), ""),
            ("az://acc/con/a", Some("az://acc/con"), "a"),
            ("file:///srv/models/", None, "srv/models/"),
        ];
        for (text, store, path) in table {
            let url: ObjectUrl = text.parse().unwrap();
            assert_eq!(url.store, store.map(|s| s.parse().unwrap()), "{text}");
            assert_eq!(url.path, path, "{text}");
        }
        for text in [
            "b/a",
            "http://b/a",
            "file://a",
            "az://acc",
            "s3://",
            "file:///a?x=y",
            "s3://b/%FF",
        ] {
            assert!(text.parse::<ObjectUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_question_mark_of_a_key_that_was_typed_as_it_is_says_how_to_write_it() {
        let error = "s3://b/what?.onnx".parse::<ObjectUrl>().unwrap_err();
        assert!(error.contains("%3F"), "{error}");
        assert!(error.contains("region="), "{error}");
        let error = "file:///what?.onnx".parse::<ObjectUrl>().unwrap_err();
        assert!(error.contains("%3F"), "{error}");
    }

    #[test]
    fn options_are_never_shown() {
        let url: ObjectUrl = "s3://b/a?endpoint=http://user:secret@x".parse().unwrap();
        assert_eq!(url.to_string(), "s3://b/a");
    }
}
