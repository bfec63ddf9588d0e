//! What Terraform puts around an inventory. Pure.

use serde_json::{Map, Value};

use super::strict;

/// Word of the header.
const KIND: &str = "FleetInventory";

/// The inventory in a document: itself, the one output of `terraform output -json` that is
/// one, or the text that `jsonencode` made of it.
///
/// # Errors
/// Outputs of which none, or more than one, is an inventory.
pub(super) fn unwrap(document: Value) -> Result<Value, String> {
    let outputs = match &document {
        Value::Object(outputs) if is_all_outputs(outputs) => outputs,
        _ => return Ok(opened(&document).unwrap_or(document)),
    };
    let found = outputs
        .iter()
        .filter_map(|(name, output)| Some((name, opened(&output["value"])?)));
    let mut found: Vec<_> = found.collect();
    match (found.pop(), found.is_empty()) {
        (Some((_, inventory)), true) => Ok(inventory),
        (one, _) => {
            let several = found.iter().chain(&one).map(|(name, _)| name.as_str());
            let several: Vec<&str> = several.collect();
            let all: Vec<&str> = outputs.keys().map(String::as_str).collect();
            let (what, names) = if several.is_empty() {
                ("none of them is an inventory", all)
            } else {
                ("more than one of them is an inventory", several)
            };
            Err(format!(
                "these are all outputs of Terraform, and {what} ({}): write one with \
                 `terraform output -json NAME`",
                names.join(", ")
            ))
        }
    }
}

fn is_all_outputs(outputs: &Map<String, Value>) -> bool {
    let is_output = |output: &Value| {
        let fields = output.as_object();
        fields.is_some_and(|fields| fields.contains_key("value") && fields.contains_key("type"))
    };
    !outputs.is_empty() && outputs.values().all(is_output)
}

/// The value when it is an inventory, or text of one.
fn opened(value: &Value) -> Option<Value> {
    let inner = match value {
        Value::String(text) => strict::parse(text).ok()?,
        other => other.clone(),
    };
    (inner["kind"] == KIND).then_some(inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_inventory_is_found_in_what_terraform_writes() {
        let inventory = json!({ "kind": KIND, "clusters": [] });
        let output =
            |value: &Value| json!({ "sensitive": false, "type": ["object"], "value": value });
        let encoded = json!(inventory.to_string());
        for document in [
            inventory.clone(),
            encoded.clone(),
            json!({ "mcdeploy": output(&inventory), "vpc": output(&json!("vpc-1")) }),
            json!({ "fleet": output(&encoded) }),
        ] {
            assert_eq!(
                unwrap(document.clone()).as_ref(),
                Ok(&inventory),
                "{document}"
            );
        }
        // What is none is for the schema to judge.
        for other in [
            json!({ "kind": "Fleet" }),
            json!("text"),
            json!({}),
            json!([]),
        ] {
            assert_eq!(unwrap(other.clone()), Ok(other));
        }
    }

    #[test]
    fn outputs_without_one_inventory_are_named() {
        let output = |value: &Value| json!({ "type": "string", "value": value });
        let inventory = json!({ "kind": KIND });
        let none = json!({ "vpc": output(&json!("x")), "zone": output(&json!("y")) });
        let error = unwrap(none).unwrap_err();
        assert!(
            error.contains("none") && error.contains("vpc, zone"),
            "{error}"
        );
        let two =
            json!({ "a": output(&inventory), "b": output(&inventory), "c": output(&json!(1)) });
        let error = unwrap(two).unwrap_err();
        assert!(error.contains("(a, b)"), "{error}");
    }
}
