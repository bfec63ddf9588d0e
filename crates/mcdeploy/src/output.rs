//! Output formats, and data as JSON and YAML.

use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;

/// Formats of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people
    Table,
    /// One JSON document; with -w one per line and change
    Json,
    /// YAML
    Yaml,
}

/// Formats of `get`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GetFormat {
    /// One line per object
    Table,
    /// The table with more columns
    Wide,
    /// The objects as JSON
    Json,
    /// The objects as YAML
    Yaml,
    /// Kind and name, one per line
    Name,
}

/// Pretty JSON.
pub(crate) fn json(data: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(data)?)
}

/// YAML, keys as in the JSON.
pub(crate) fn yaml(data: &impl Serialize) -> anyhow::Result<String> {
    let value = serde_json::to_value(data)?;
    let text = serde_saphyr::to_string(&value)?;
    Ok(text.trim_end().to_owned())
}

/// Takes out what no reader wants: `metadata.managedFields`.
pub(crate) fn strip_managed_fields(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    let items = object.get_mut("items").and_then(Value::as_array_mut);
    items.into_iter().flatten().for_each(strip_managed_fields);
}

/// Bytes for people: `0 B`, `999 B`, `1.2 KB`, `3.4 GB` (powers of 1000).
pub(crate) fn bytes(count: i64) -> String {
    let count = count.max(0);
    let mut divisor: i64 = 1000;
    for unit in ["KB", "MB", "GB", "TB"] {
        if count >= divisor && (count < divisor.saturating_mul(1000) || unit == "TB") {
            let tenths = count / (divisor / 10);
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
        divisor = divisor.saturating_mul(1000);
    }
    format!("{count} B")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bytes_are_short_and_never_round_up() {
        let shown = [
            0,
            999,
            1000,
            1999,
            65_536,
            1_000_000,
            2_999_999_999,
            i64::MAX,
        ]
        .map(bytes);
        assert_eq!(
            shown,
            [
                "0 B",
                "999 B",
                "1.0 KB",
                "1.9 KB",
                "65.5 KB",
                "1.0 MB",
                "2.9 GB",
                "9223372.0 TB"
            ]
        );
    }

    #[test]
    fn managed_fields_are_left_out_of_lists_too() {
        let object = json!({"metadata": {"name": "a", "managedFields": [1]}});
        let mut list = json!({"items": [object]});
        strip_managed_fields(&mut list);
        assert_eq!(list, json!({"items": [{"metadata": {"name": "a"}}]}));
    }
}
