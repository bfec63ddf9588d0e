//! Where two sets of objects differ, in words.

use std::collections::BTreeMap;

use serde_json::Value;

/// One entry per object that is missing, or should not be there, or field that differs.
pub(super) fn all(
    expected: &BTreeMap<String, Value>,
    actual: &BTreeMap<String, Value>,
) -> Vec<String> {
    let mut told = Vec::new();
    for (name, object) in expected {
        match actual.get(name) {
            None => told.push(format!("{name} is missing")),
            Some(other) => within(name, object, other, &mut told),
        }
    }
    let more = actual
        .iter()
        .filter(|(name, _)| !expected.contains_key(*name));
    told.extend(more.map(|(name, object)| format!("{name} should not be there: {object}")));
    told
}

fn within(path: &str, expected: &Value, actual: &Value, told: &mut Vec<String>) {
    match (expected, actual) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<_> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let of = |fields: &serde_json::Map<String, Value>| {
                    fields.get(key).cloned().unwrap_or(Value::Null)
                };
                within(&format!("{path}.{key}"), &of(a), &of(b), told);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                within(&format!("{path}[{index}]"), a, b, told);
            }
        }
        (a, b) if a == b => {}
        (a, b) => told.push(format!("{path}: expected {a}, is {b}")),
    }
}
