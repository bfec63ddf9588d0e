//! JSON Lines: an object per line. A value that is no text is kept as JSON writes it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Column, Table, small};
use crate::error::{Problem, RowPlace};

pub(super) fn fill(table: &mut Table, text: &str) -> Result<(), Problem> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let number = small(index + 1);
        let row = table.lines.len();
        let place = Some(RowPlace {
            row: row + 1,
            line: Some(number.into()),
        });
        let wrong = |found: String| Problem {
            place,
            ..table.problem("a JSON object", found)
        };
        let object: Map<String, Value> = match serde_json::from_str(line) {
            Ok(Value::Object(object)) => object,
            Ok(other) => return Err(wrong(kind(&other).to_owned())),
            Err(error) => return Err(wrong(format!("what is no JSON ({})", said(&error)))),
        };
        table.lines.push(number);
        for name in object.keys() {
            if !places.contains_key(name) {
                places.insert(name.clone(), table.columns.len());
                let mut column = Column::named(name);
                column.ends = vec![0; row];
                table.columns.push(column);
            }
        }
        for column in &mut table.columns {
            match object.get(&column.name) {
                None | Some(Value::Null) => column.push(""),
                Some(Value::String(text)) => column.push(text),
                Some(other) => column.push(&other.to_string()),
            }
        }
    }
    Ok(())
}

/// The parser counts lines of what it is given, which is one.
fn said(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    format!("{text} in column {}", error.column())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
