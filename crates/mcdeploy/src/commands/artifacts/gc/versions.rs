//! `mcdeploy artifacts gc --versions|--remove`: takes whole versions out of stores, when
//! nothing needs them. Observe > decide > execute > report; the decision is
//! [`mcdeploy_plan::gc`].

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use mcdeploy_api::ReplicaState;
use mcdeploy_plan::gc::{Copy, CopyState, GcRules, Keep, References, Verdict, collect, references};
use mcdeploy_store::{
    ForeignObject, Removal, RemoveRequest, Spared, Store, StoreError, StoredState, SurveyedVersion,
    remove_version, survey_versions, verify_replica,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    super::{print, size},
    references as hub,
};
use crate::{
    args::GcArgs,
    environment::Environment,
    exit::{ExitStatus, Failure, chain},
    output::ReportFormat,
    printer::Printer,
    stores::{Named, Stores},
    table::Table,
};

/// A store that was opened, and what came of looking into it.
struct Looked {
    name: String,
    store: Arc<dyn Store>,
    versions: Result<Vec<SurveyedVersion>, StoreError>,
}

/// One copy, and what becomes of it.
struct Row {
    copy: Copy,
    size_bytes: u64,
    store: Arc<dyn Store>,
    outcome: Outcome,
}

enum Outcome {
    /// It would go.
    Removable,
    /// Without what others wrote there.
    Removed(Vec<ForeignObject>),
    Kept(Keep),
    /// It was to go, and somebody is at work on it now.
    Spared(Spared),
    Failed(StoreError),
}

/// Removes what nothing needs, or says what that would be.
pub(super) async fn versions(
    args: &GcArgs,
    environment: &Environment,
    printer: &Printer,
    cancel: &CancellationToken,
) -> anyhow::Result<ExitStatus> {
    let (stores, named) = Stores::of(&args.stores, &args.store, environment).await?;
    let rules = rules(args, &named)?;
    let references = if let Some(client) = stores.hub() {
        references(&hub::read(client).await)
    } else {
        printer.warning("no hub was asked: what refers to these versions is not known");
        References::default()
    };
    for what in &references.unknown {
        printer.warning(format!("every version stays: {what}"));
    }
    let looked = look(&stores, named, cancel).await?;
    let mut rows = rows(&looked, &references, args, cancel).await;
    decide(&mut rows, &references, &rules);
    if args.yes {
        for row in &mut rows {
            remove(row, args, cancel).await;
        }
    }
    let data = report(args, &rows, &looked);
    print(args.output, printer, &data, || table(&rows))?;
    Ok(end(args, &rows, &looked, &references, printer))
}

/// What may go at most. Without a hub only what is named to the byte.
fn rules(args: &GcArgs, named: &[Named]) -> Result<GcRules, Failure> {
    let usage = |text: String| Failure::new(ExitStatus::Usage, text);
    let url = named.iter().find(|named| named.is_url());
    if let Some(url) = url {
        if args.versions {
            let text = format!("no hub says what refers to versions in {}", url.name);
            return Err(usage(text).hint(
                "name what is to go: --remove MODEL:VERSION@DIGEST; `mcdeploy artifacts ls -o json` shows digests",
            ));
        }
        if let Some(wanted) = args.remove.iter().find(|wanted| wanted.0.digest.is_none()) {
            let (model, version) = (&wanted.0.model, &wanted.0.version);
            let text = format!(
                "{model}:{version} in {} is named without its digest",
                url.name
            );
            return Err(usage(text).hint(
                "no hub says what it must be: say MODEL:VERSION@DIGEST; `mcdeploy artifacts ls -o json` shows digests",
            ));
        }
    }
    Ok(GcRules {
        stores: named.iter().map(|named| named.name.clone()).collect(),
        named: args.remove.iter().map(|named| named.0.clone()).collect(),
        keep_newest: args.keep,
        older_than: age(args),
    })
}

fn age(args: &GcArgs) -> Duration {
    Duration::from_secs(args.older_than.as_secs().unsigned_abs())
}

/// Into every store of the hub, and into those that were named: a copy elsewhere counts.
async fn look(
    stores: &Stores<'_>,
    mut named: Vec<Named>,
    cancel: &CancellationToken,
) -> Result<Vec<Looked>, Failure> {
    let known: BTreeSet<_> = named.iter().map(|named| named.name.clone()).collect();
    let others = stores.all_of_hub();
    named.extend(
        others
            .into_iter()
            .filter(|other| !known.contains(&other.name)),
    );
    let mut looked = vec![];
    for (name, store) in stores.open_all(&named).await? {
        let versions = survey_versions(store.as_ref(), cancel).await;
        looked.push(Looked {
            name,
            store,
            versions,
        });
    }
    Ok(looked)
}

async fn rows(
    looked: &[Looked],
    references: &References,
    args: &GcArgs,
    cancel: &CancellationToken,
) -> Vec<Row> {
    let mut rows = vec![];
    for Looked {
        name,
        store,
        versions,
    } in looked
    {
        for surveyed in versions.iter().flatten() {
            let mut copy = copy(name, surveyed, age(args));
            copy.verified = is_verified(store.as_ref(), &copy, references, cancel).await;
            rows.push(Row {
                copy,
                size_bytes: surveyed.stored.size_bytes,
                store: Arc::clone(store),
                outcome: Outcome::Removable,
            });
        }
    }
    rows
}

fn copy(store: &str, surveyed: &SurveyedVersion, abandoned_after: Duration) -> Copy {
    let SurveyedVersion {
        stored,
        age,
        claim_age,
        copies,
        is_being_removed,
    } = surveyed;
    let state = match (stored.state, stored.manifest_digest) {
        (StoredState::Whole, Some(digest)) => CopyState::Whole(digest),
        (StoredState::Damaged, Some(digest)) => CopyState::Damaged(digest),
        (StoredState::Whole | StoredState::Damaged, None) => CopyState::Unreadable,
        (StoredState::Unfinished, _) if *is_being_removed => CopyState::BeingRemoved,
        (StoredState::Unfinished, _) if claim_age.is_none() => CopyState::Foreign,
        (StoredState::Unfinished, _) => CopyState::Unfinished,
    };
    let mut at_work: Vec<_> = copies.iter().map(|lease| lease.holder.clone()).collect();
    if claim_age.is_some_and(|age| age <= abandoned_after) {
        at_work.push("a push or copy of it into this store".to_owned());
    }
    Copy {
        store: store.to_owned(),
        model: stored.model.clone(),
        version: stored.version.clone(),
        state,
        verified: false,
        age: *age,
        at_work,
    }
}

/// Whether the copy is one that could be the last of its `ModelVersion`.
async fn is_verified(
    store: &dyn Store,
    copy: &Copy,
    references: &References,
    cancel: &CancellationToken,
) -> bool {
    let mut known = references.versions.iter();
    let known = known.find(|known| (&known.model, &known.version) == (&copy.model, &copy.version));
    let Some(known) = known.filter(|known| copy.state == CopyState::Whole(known.digest)) else {
        return false;
    };
    let report = verify_replica(store, &copy.model, &copy.version, &known.digest, cancel).await;
    report.is_ok_and(|report| report.state == ReplicaState::Verified)
}

fn decide(rows: &mut Vec<Row>, references: &References, rules: &GcRules) {
    let copies: Vec<_> = rows.iter().map(|row| row.copy.clone()).collect();
    let mut verdicts = collect(&copies, references, rules);
    let mut index = 0;
    rows.retain_mut(|row| {
        let verdict = verdicts.remove(&index);
        index += 1;
        match verdict {
            None => return false,
            Some(Verdict::Remove) => {}
            Some(Verdict::Keep(keep)) => row.outcome = Outcome::Kept(keep),
        }
        true
    });
}

async fn remove(row: &mut Row, args: &GcArgs, cancel: &CancellationToken) {
    let Outcome::Removable = row.outcome else {
        return;
    };
    let request = RemoveRequest {
        store: row.store.as_ref(),
        model: &row.copy.model,
        version: &row.copy.version,
        digest: row.copy.state.digest(),
        abandoned_after: age(args),
        holder: "mcdeploy artifacts gc",
    };
    row.outcome = match remove_version(&request, cancel).await {
        Ok(Removal::Removed { foreign, .. }) => Outcome::Removed(foreign),
        Ok(Removal::Spared(spared)) => Outcome::Spared(spared),
        Err(error) => Outcome::Failed(error),
    };
}

impl Outcome {
    /// What is done, a word for why, and the same for people.
    fn shown(&self) -> (&'static str, &'static str, String) {
        match self {
            Self::Removable => ("Remove", "Unneeded", String::new()),
            Self::Removed(foreign) => ("Removed", "Unneeded", stays(foreign)),
            Self::Kept(keep) => ("Keep", keep.as_str(), keep.to_string()),
            Self::Spared(Spared::Copied { holder }) => ("Keep", "Copying", holder.clone()),
            Self::Spared(Spared::Claimed) => {
                let text = "somebody brings it into this store now";
                ("Keep", "Copying", text.to_owned())
            }
            Self::Spared(Spared::OtherBytes { actual }) => {
                ("Keep", "OtherBytes", format!("it is {actual} now"))
            }
            Self::Failed(error) => ("Failed", "StoreError", chain(error)),
        }
    }
}

/// What others wrote below the version's prefix.
fn stays(foreign: &[ForeignObject]) -> String {
    let Some(first) = foreign.first() else {
        return String::new();
    };
    let more = match foreign.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("what others wrote stays: {first}{more}")
}

fn report(args: &GcArgs, rows: &[Row], looked: &[Looked]) -> Value {
    let item = |row: &Row| {
        let (action, reason, message) = row.outcome.shown();
        json!({
            "store": row.copy.store,
            "model": row.copy.model,
            "version": row.copy.version,
            "manifestDigest": row.copy.state.digest(),
            "sizeBytes": row.size_bytes,
            "ageSeconds": row.copy.age.map(|age| age.as_secs()),
            "action": action,
            "reason": reason,
            "message": message,
        })
    };
    let failed = looked.iter().filter_map(|looked| {
        let error = looked.versions.as_ref().err()?;
        Some(json!({"store": looked.name, "message": chain(error)}))
    });
    json!({
        "apiVersion": "cli.mcdeploy.dev/v1alpha1",
        "kind": "ArtifactRemoval",
        "dryRun": !args.yes,
        "versions": rows.iter().map(item).collect::<Vec<_>>(),
        "unknownStores": failed.collect::<Vec<_>>(),
    })
}

fn table(rows: &[Row]) -> String {
    let headers = [
        "STORE", "MODEL", "VERSION", "SIZE", "AGE", "ACTION", "REASON", "MESSAGE",
    ];
    let mut table = Table::new(headers);
    for row in rows {
        let (action, reason, message) = row.outcome.shown();
        table.row(vec![
            row.copy.store.clone(),
            row.copy.model.clone(),
            row.copy.version.clone(),
            size(row.size_bytes),
            row.copy.age.map_or_else(String::new, shown_age),
            action.to_owned(),
            reason.to_owned(),
            message,
        ]);
    }
    table.render()
}

fn shown_age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Says the sums and the errors. The exit code is 1 where something is not known or failed.
fn end(
    args: &GcArgs,
    rows: &[Row],
    looked: &[Looked],
    references: &References,
    printer: &Printer,
) -> ExitStatus {
    let mut status = ExitStatus::Success;
    for error in looked
        .iter()
        .filter_map(|looked| looked.versions.as_ref().err())
    {
        printer.error(chain(error));
        status = ExitStatus::Failed;
    }
    let goes = |row: &&Row| matches!(row.outcome, Outcome::Removable | Outcome::Removed(_));
    let going: Vec<_> = rows.iter().filter(goes).collect();
    let bytes = size(going.iter().map(|row| row.size_bytes).sum());
    if args.output == ReportFormat::Table {
        let copies = going.len();
        printer.notice(if args.yes {
            format!("{copies} copies removed, {bytes}")
        } else {
            format!("{copies} copies would go, {bytes}; nothing was removed: say --yes to do it")
        });
    }
    for row in rows {
        if let Outcome::Failed(error) = &row.outcome {
            printer.error(format!("{}; the same command again goes on", chain(error)));
            status = ExitStatus::Failed;
        }
    }
    if !references.unknown.is_empty() {
        status = ExitStatus::Failed;
    }
    status
}
