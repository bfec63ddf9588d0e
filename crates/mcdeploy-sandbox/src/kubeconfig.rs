//! Kubeconfig files with everything inline.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

/// YAML of a kubeconfig whose user is a bearer token.
pub(crate) fn with_token(name: &str, server: &str, authority: &str, token: &str) -> String {
    // JSON is YAML; but people read this one.
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {name}\n\
         clusters:\n- name: {name}\n  cluster:\n    server: {server}\n    \
         certificate-authority-data: {}\n\
         users:\n- name: {name}\n  user:\n    token: {}\n\
         contexts:\n- name: {name}\n  context: {{cluster: {name}, user: {name}}}\n",
        STANDARD.encode(authority),
        json!(token),
    )
}
