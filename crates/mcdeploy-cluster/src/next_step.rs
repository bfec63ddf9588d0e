//! What to do about a refusal that somebody else has to take back.

/// Words of the API server's message, and what to do about it.
const STEPS: [(&str, &str); 5] = [
    (
        "exceeded quota",
        "raise that ResourceQuota, or ask for fewer replicas, less memory or less CPU; mcdeploy goes on by itself",
    ),
    (
        "failed quota",
        "set container.resources in the deployment, as that ResourceQuota demands",
    ),
    (
        "violates PodSecurity",
        "pods are rendered so that `restricted` takes them: look for what changes them on the way (a mutating webhook), or lower pod-security.kubernetes.io/enforce of the namespace",
    ),
    (
        "is being terminated",
        "wait until the namespace is gone; mcdeploy goes on by itself",
    ),
    (
        "denied",
        "whoever runs that admission webhook or policy can let it pass; mcdeploy goes on by itself",
    ),
];

/// A refusal with what to do about it, where that is known.
pub fn with_next_step(message: &str) -> String {
    let known = STEPS.iter().find(|(words, _)| message.contains(words));
    known.map_or_else(
        || message.to_owned(),
        |(_, next)| format!("{message}; next: {next}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_that_is_not_known_stays_as_it_is() {
        assert_eq!(
            with_next_step("spec.replicas: too many"),
            "spec.replicas: too many"
        );
    }

    #[test]
    fn a_policy_that_denies_is_told_to_be_somebodys() {
        let said = r#"admission webhook "x.example.com" denied the request: no"#;
        let told = with_next_step(said);
        assert!(
            told.starts_with(said) && told.contains("whoever runs"),
            "{told}"
        );
    }
}
