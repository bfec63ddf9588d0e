//! `mcdeploy get`: the hub's objects, with the columns that their CRDs define.

use kube::CustomResourceExt;
use mcdeploy_api::{RoutingSnapshot, all_crds};
use serde_json::Value;

use crate::{
    args::GetArgs,
    exit::{ExitStatus, Failure},
    hub::Hub,
    names::did_you_mean,
    output::{GetFormat, json, strip_managed_fields, yaml},
    printer::Printer,
    settings,
    table::Table,
};

/// The server makes the table: it knows the columns.
const TABLE: &str = "application/json;as=Table;g=meta.k8s.io;v=v1";
const JSON: &str = "application/json";

/// A kind as it is addressed.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    singular: String,
    plural: String,
    namespaced: bool,
}

/// Which objects of a kind.
#[derive(Clone, Debug)]
pub(crate) enum Which {
    /// All of a cluster-scoped kind, or of every namespace.
    All,
    /// One of a cluster-scoped kind.
    Named(String),
    /// Those of a namespace.
    In(String),
    /// One of a namespace.
    NamedIn(String, String),
}

/// Lists objects, or prints one.
pub(crate) async fn get(args: &GetArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let kind = find_kind(&args.kind)?;
    let found = settings::find_project(&args.project)?;
    let hub = Hub::connect(&args.hub).await?;
    let namespace = || settings::namespace(&args.project, found.as_ref(), &hub);
    let which = match (&args.name, kind.namespaced) {
        (Some(name), true) => Which::NamedIn(namespace(), name.clone()),
        (Some(name), false) => Which::Named(name.clone()),
        (None, true) if !args.all_namespaces => Which::In(namespace()),
        (None, _) => Which::All,
    };
    print_objects(&hub, &kind, &which, args.output, printer).await?;
    Ok(ExitStatus::Success)
}

/// Finds a kind by its name, plural, short name, or the word that the CLI uses.
pub(crate) fn find_kind(word: &str) -> Result<Kind, Failure> {
    let wanted = word.to_lowercase();
    let mut known = vec![];
    for crd in all_crds() {
        // Snapshots live in member clusters, not in the hub.
        if crd.spec.names.kind == RoutingSnapshot::crd().spec.names.kind {
            continue;
        }
        let names = crd.spec.names;
        let singular = names.kind.to_lowercase();
        let plain = ["model", "member", "artifact", "traffic"]
            .iter()
            .find_map(|prefix| names.plural.strip_prefix(prefix))
            .map(str::to_owned);
        let mut words = vec![names.plural.clone(), singular.clone()];
        words.extend(names.short_names.into_iter().flatten());
        if let Some(plain) = plain {
            words.push(plain.trim_end_matches('s').to_owned());
            words.push(plain);
        }
        if words.contains(&wanted) {
            return Ok(Kind {
                singular,
                plural: names.plural,
                namespaced: crd.spec.scope == "Namespaced",
            });
        }
        known.push(names.plural);
    }
    let meant = did_you_mean(&wanted, known.iter().map(String::as_str));
    let text = format!("unknown kind {meant}: expected one of {}", known.join(", "));
    Err(Failure::new(ExitStatus::Usage, text))
}

/// Prints objects in a format.
pub(crate) async fn print_objects(
    hub: &Hub,
    kind: &Kind,
    which: &Which,
    format: GetFormat,
    printer: &Printer,
) -> anyhow::Result<()> {
    let path = path(kind, which);
    let what = match which {
        Which::All | Which::In(_) => format!("list {}", kind.plural),
        Which::Named(name) | Which::NamedIn(_, name) => format!("read {} {name}", kind.singular),
    };
    let wants_table = matches!(format, GetFormat::Table | GetFormat::Wide);
    let accept = if wants_table { TABLE } else { JSON };
    let mut answer = hub
        .get_json(&what, &path, accept)
        .await
        .map_err(Failure::from)?;
    strip_managed_fields(&mut answer);
    match format {
        GetFormat::Table | GetFormat::Wide => {
            let with_namespace = kind.namespaced && matches!(which, Which::All);
            match render(&answer, format == GetFormat::Wide, with_namespace) {
                Some(table) => printer.data(table)?,
                None => printer.notice(format!("no {} found", kind.plural)),
            }
        }
        GetFormat::Json => printer.data(json(&answer)?)?,
        GetFormat::Yaml => printer.data(yaml(&answer)?)?,
        GetFormat::Name => {
            for name in names(&answer) {
                printer.data(format!("{}.mcdeploy.dev/{name}", kind.singular))?;
            }
        }
    }
    Ok(())
}

fn path(kind: &Kind, which: &Which) -> String {
    let plural = &kind.plural;
    let base = "/apis/mcdeploy.dev/v1alpha1";
    match which {
        Which::All => format!("{base}/{plural}"),
        Which::Named(name) => format!("{base}/{plural}/{name}"),
        Which::In(namespace) => format!("{base}/namespaces/{namespace}/{plural}"),
        Which::NamedIn(namespace, name) => {
            format!("{base}/namespaces/{namespace}/{plural}/{name}")
        }
    }
}

fn names(answer: &Value) -> Vec<String> {
    let name = |object: &Value| Some(object["metadata"]["name"].as_str()?.to_owned());
    match answer["items"].as_array() {
        Some(items) => items.iter().filter_map(name).collect(),
        None => name(answer).into_iter().collect(),
    }
}

/// A server's `Table` as text; nothing when it has no rows.
fn render(answer: &Value, wide: bool, with_namespace: bool) -> Option<String> {
    let rows = answer["rows"].as_array().filter(|rows| !rows.is_empty())?;
    let columns = answer["columnDefinitions"].as_array()?;
    let shown: Vec<usize> = (0..columns.len())
        .filter(|&at| wide || columns[at]["priority"].as_i64().unwrap_or(0) == 0)
        .collect();
    let header = |at: &usize| {
        columns[*at]["name"]
            .as_str()
            .unwrap_or_default()
            .to_uppercase()
    };
    let mut headers: Vec<String> = shown.iter().map(header).collect();
    if with_namespace {
        headers.insert(0, "NAMESPACE".to_owned());
    }
    let mut table = Table::with_headers(headers);
    for row in rows {
        let mut cells: Vec<String> = shown.iter().map(|&at| cell(&row["cells"][at])).collect();
        if with_namespace {
            cells.insert(0, cell(&row["object"]["metadata"]["namespace"]));
        }
        table.row(cells);
    }
    Some(table.render())
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kinds_have_the_words_that_people_use() {
        for (word, plural) in [
            ("mv", "modelversions"),
            ("ModelVersion", "modelversions"),
            ("deployments", "modeldeployments"),
            ("rollout", "modelrollouts"),
            ("tp", "trafficpolicies"),
            ("clusters", "memberclusters"),
            ("stores", "artifactstores"),
        ] {
            assert_eq!(find_kind(word).unwrap().plural, plural, "{word}");
        }
        let error = find_kind("modelversoins").unwrap_err().to_string();
        assert!(error.contains("did you mean \"modelversions\"?"), "{error}");
        assert!(find_kind("routingsnapshots").is_err());
    }

    #[test]
    fn narrow_tables_leave_out_columns_of_low_priority() {
        let answer = json!({
            "columnDefinitions": [
                {"name": "Name", "priority": 0},
                {"name": "Bytes", "priority": 0},
                {"name": "Digest", "priority": 1},
            ],
            "rows": [{"cells": ["digits-v3", 1200, null], "object": {"metadata": {"namespace": "a"}}}],
        });
        let narrow = render(&answer, false, true).unwrap();
        assert_eq!(
            narrow,
            "NAMESPACE   NAME        BYTES\na           digits-v3   1200"
        );
        let wide = render(&answer, true, false).unwrap();
        assert_eq!(wide, "NAME        BYTES   DIGEST\ndigits-v3   1200    -");
        assert_eq!(render(&json!({"rows": []}), false, false), None);
    }
}
