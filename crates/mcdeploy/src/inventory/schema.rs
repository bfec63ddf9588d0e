//! The rules of `docs/fleet-inventory.schema.json`, applied as they are written there.
//! Knows the keywords that the schema uses and no others; a test says when it gets one
//! more.

use std::{fmt, sync::LazyLock};

use regex_lite::Regex;
use serde_json::{Map, Value};

const TEXT: &str = include_str!("../../../../docs/fleet-inventory.schema.json");

/// A schema that does not parse allows nothing; a test says that it does parse.
static SCHEMA: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(TEXT).unwrap_or(Value::Bool(false)));

/// As much of a wrong value as helps to find it.
const SHOWN: usize = 60;

/// Every rule that the document breaks, each with its place, in the order of the schema.
pub(super) fn problems(document: &Value) -> Vec<String> {
    let mut found = vec![];
    Place::default().check(&SCHEMA, document, &mut found);
    found
}

/// Where in a document: the entry of a list, then the way within it.
#[derive(Clone, Default)]
struct Place {
    entry: String,
    way: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.entry.as_str(), self.way.as_str()) {
            ("", "") => f.write_str("the document"),
            (entry, "") => f.write_str(entry),
            ("", way) => f.write_str(way),
            (entry, way) => write!(f, "{entry}: {way}"),
        }
    }
}

impl Place {
    fn field(&self, name: &str) -> Self {
        let dot = if self.way.is_empty() { "" } else { "." };
        Self {
            entry: self.entry.clone(),
            way: format!("{}{dot}{name}", self.way),
        }
    }

    /// The outermost lists give the entry, which is told with its own name.
    fn item(&self, index: usize, item: &Value) -> Self {
        let place = format!("{}[{index}]", self.way);
        if !self.entry.is_empty() {
            return Self {
                entry: self.entry.clone(),
                way: place,
            };
        }
        let entry = match item.get("name").and_then(Value::as_str) {
            Some(name) => format!("{place} ({})", shortened(name).escape_debug()),
            None => place,
        };
        Self {
            entry,
            way: String::new(),
        }
    }

    fn check(&self, schema: &Value, value: &Value, found: &mut Vec<String>) {
        if schema == &Value::Bool(false) {
            found.push(format!("{self}: not allowed"));
            return;
        }
        if let Some(name) = schema["$ref"].as_str() {
            let target = name.strip_prefix('#').and_then(|way| SCHEMA.pointer(way));
            return self.check(target.unwrap_or(&Value::Bool(false)), value, found);
        }
        let before = found.len();
        self.check_kind(schema, value, found);
        if found.len() > before {
            return;
        }
        match value {
            Value::String(text) => self.check_text(schema, text, found),
            Value::Array(items) => self.check_list(schema, items, found),
            Value::Object(fields) => self.check_object(schema, fields, found),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn check_kind(&self, schema: &Value, value: &Value, found: &mut Vec<String>) {
        let wanted = schema["type"].as_str();
        if wanted.is_some_and(|wanted| wanted != kind(value)) {
            let wanted = wanted.unwrap_or_default();
            found.push(format!("{self} is {}: expected {wanted}", shown(value)));
        } else if let Some(constant) = schema.get("const")
            && constant != value
        {
            found.push(format!("{self} is {}: expected {constant}", shown(value)));
        } else if let Some(words) = schema["enum"].as_array()
            && !words.contains(value)
        {
            let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            found.push(format!(
                "{self} is {}: expected one of {}",
                shown(value),
                words.join(", ")
            ));
        }
    }

    fn check_text(&self, schema: &Value, text: &str, found: &mut Vec<String>) {
        let length = text.chars().count();
        let (least, most) = limits(schema, "minLength", "maxLength");
        if length < least || length > most {
            found.push(format!(
                "{self} has {length} characters: expected {least} to {most}"
            ));
        } else if let Some(pattern) = schema["pattern"].as_str()
            && !Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text))
        {
            let about = schema["description"].as_str();
            let about = about.map_or_else(String::new, |about| format!(" ({about})"));
            found.push(format!(
                "{self} is {:?}: expected {pattern}{about}",
                shortened(text)
            ));
        }
    }

    fn check_list(&self, schema: &Value, items: &[Value], found: &mut Vec<String>) {
        let (_, most) = limits(schema, "minItems", "maxItems");
        if items.len() > most {
            found.push(format!(
                "{self} has {} entries: expected at most {most}",
                items.len()
            ));
            return;
        }
        for (index, item) in items.iter().enumerate() {
            self.item(index, item).check(&schema["items"], item, found);
        }
    }

    fn check_object(&self, schema: &Value, fields: &Map<String, Value>, found: &mut Vec<String>) {
        let rules = schema["properties"].as_object();
        let known: Vec<&str> = rules.into_iter().flatten().map(|(k, _)| &**k).collect();
        let (least, most) = limits(schema, "minProperties", "maxProperties");
        if fields.len() < least || (fields.len() > most && !known.is_empty()) {
            let given: Vec<&str> = fields.keys().map(String::as_str).collect();
            found.push(format!(
                "{self}: expected exactly one of {}: found {given:?}",
                known.join(", ")
            ));
            return;
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            if let Some(name) = name.as_str().filter(|name| !fields.contains_key(*name)) {
                found.push(format!("{} is missing", self.field(name)));
            }
        }
        for (name, value) in fields {
            match rules.and_then(|rules| rules.get(name)) {
                Some(rule) => self.field(name).check(rule, value, found),
                None => found.push(format!(
                    "{self}: unknown field {:?}: expected {}",
                    shortened(name),
                    if known.is_empty() {
                        "none".to_owned()
                    } else {
                        known.join(", ")
                    }
                )),
            }
        }
    }
}

fn limits(schema: &Value, least: &str, most: &str) -> (usize, usize) {
    let number = |name: &str| schema[name].as_u64().and_then(|n| usize::try_from(n).ok());
    (
        number(least).unwrap_or(0),
        number(most).unwrap_or(usize::MAX),
    )
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A value in a message: never long, never raw control characters.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{:?}", shortened(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says of every part of a schema which keywords stand in it.
    fn keywords(schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
        for (name, value) in schema.as_object().into_iter().flatten() {
            visit(name, value);
            match name.as_str() {
                "properties" | "$defs" => {
                    for inner in value.as_object().unwrap().values() {
                        keywords(inner, visit);
                    }
                }
                "items" => keywords(value, visit),
                _ => {}
            }
        }
    }

    #[test]
    fn every_keyword_of_the_schema_is_known() {
        const KNOWN: [&str; 18] = [
            "$schema",
            "$id",
            "$ref",
            "$defs",
            "title",
            "description",
            "type",
            "const",
            "enum",
            "pattern",
            "minLength",
            "maxLength",
            "items",
            "maxItems",
            "required",
            "properties",
            "minProperties",
            "maxProperties",
        ];
        keywords(&SCHEMA, &mut |name, value| match name {
            "additionalProperties" => assert_eq!(value, &Value::Bool(false)),
            "pattern" => drop(Regex::new(value.as_str().unwrap()).unwrap()),
            "$ref" => {
                let way = value.as_str().unwrap().strip_prefix('#').unwrap();
                assert!(SCHEMA.pointer(way).is_some(), "{value}");
            }
            other => assert!(KNOWN.contains(&other), "{other}"),
        });
    }

    #[test]
    fn objects_say_their_fields_and_close_themselves() {
        let open = |schema: &Value| {
            schema["type"] == "object"
                && schema["maxProperties"] != 0
                && (schema["additionalProperties"] != false || schema["properties"].is_null())
        };
        let mut parts = vec![SCHEMA.clone()];
        while let Some(part) = parts.pop() {
            assert!(!open(&part), "{part}");
            for list in ["properties", "$defs"] {
                parts.extend(
                    part[list]
                        .as_object()
                        .into_iter()
                        .flatten()
                        .map(|(_, v)| v.clone()),
                );
            }
            parts.extend(part.get("items").cloned());
        }
    }
}
