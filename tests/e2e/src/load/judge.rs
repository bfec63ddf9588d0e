//! What is to be thought of an answer.

use std::sync::{Arc, Mutex};

use serde::Serialize;

use super::{Versions, lock};
use crate::digits::Digits;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Outcome {
    /// A 2xx answer.
    #[serde(rename_all = "camelCase")]
    Answered {
        /// Cluster of the gateway that was asked.
        gateway: String,
        /// `mcdeploy-cluster`; empty without one.
        cluster: String,
        /// `mcdeploy-revision`; empty without one.
        revision: String,
        /// The class, if the body holds one.
        class: Option<i64>,
    },
    /// Anything else.
    #[serde(rename_all = "camelCase")]
    Failed {
        /// Such as `no answer in time` or `503`.
        what: String,
    },
}

impl Outcome {
    pub(super) fn failed(what: impl Into<String>) -> Self {
        Self::Failed { what: what.into() }
    }
}

/// What is to be thought of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "verdict", content = "why")]
pub enum Verdict {
    /// The class of a revision that may serve there.
    Right,
    /// Answered, but not right.
    Wrong(String),
    /// Not answered.
    Failed,
}

/// Versions that may serve now, by cluster. Shared: whoever rolls out says so here.
#[derive(Clone, Debug, Default)]
pub struct Serving(Arc<Mutex<Arc<Versions>>>);

impl Serving {
    /// From now on exactly these versions may serve in a cluster.
    pub fn set(&self, cluster: &str, versions: &[&str]) {
        let versions = versions.iter().map(|&version| version.to_owned()).collect();
        let mut all = lock(&self.0);
        Arc::make_mut(&mut all).insert(cluster.to_owned(), versions);
    }

    /// As it is now.
    pub fn now(&self) -> Arc<Versions> {
        Arc::clone(&lock(&self.0))
    }
}

/// An answer is right when its class is that of the version which it names, and that
/// version was allowed in its cluster when the request left or when it ended.
pub(super) fn judge(
    outcome: &Outcome,
    row: usize,
    digits: &Digits,
    allowed: [&Versions; 2],
) -> Verdict {
    let Outcome::Answered {
        cluster,
        revision,
        class,
        ..
    } = outcome
    else {
        return Verdict::Failed;
    };
    let Some((version, _id)) = revision.rsplit_once('.') else {
        return Verdict::Wrong(format!("the answer names no revision: {revision:?}"));
    };
    let may = |versions: &&Versions| {
        versions
            .get(cluster)
            .is_some_and(|versions| versions.contains(version))
    };
    if !allowed.iter().any(may) {
        return Verdict::Wrong(format!("{version} may not serve in {cluster:?}"));
    }
    if class.is_none() || *class != digits.class(version, row) {
        return Verdict::Wrong(format!("not the class that {version} gives"));
    }
    Verdict::Right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_judged_by_the_revision_that_it_names_and_where_it_may_serve() {
        let digits = Digits::read().unwrap();
        let row = digits.row(0);
        let (v2, v3) = (digits.class("v2", row), digits.class("v3", row));
        assert_ne!(v2, v3, "the first row asked about tells v2 from v3");
        let before = Serving::default();
        before.set("aws", &["v2"]);
        let after = Serving::default();
        after.set("aws", &["v3"]);
        let nothing = Versions::new();
        let answered = |cluster: &str, revision: &str, class| Outcome::Answered {
            gateway: "aws".into(),
            cluster: cluster.into(),
            revision: revision.into(),
            class,
        };
        let right = |outcome, allowed| judge(&outcome, row, &digits, allowed) == Verdict::Right;
        let (old, new) = (before.now(), after.now());
        assert!(right(answered("aws", "v2.ab", v2), [&old, &new]));
        assert!(right(answered("aws", "v3.cd", v3), [&old, &new]));
        assert!(!right(answered("aws", "v3.cd", v2), [&old, &new]));
        assert!(!right(answered("aws", "v2.ab", v2), [&new, &new]));
        assert!(!right(answered("gcp", "v2.ab", v2), [&old, &new]));
        assert!(!right(answered("aws", "", v2), [&old, &new]));
        assert!(!right(answered("aws", "v2.ab", None), [&old, &old]));
        assert!(!right(answered("aws", "v2.ab", v2), [&nothing, &nothing]));
        let failed = judge(&Outcome::failed("503"), row, &digits, [&old, &new]);
        assert_eq!(failed, Verdict::Failed);
    }
}
