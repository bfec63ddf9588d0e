//! Amounts of a container's resources, judged where they are written: what Kubernetes takes
//! is not always what was meant. `512m` of memory is half a byte. Pure.

const UNITS: [&str; 14] = [
    "", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
];
/// Least bytes of memory or disk that anybody means: no container starts with less.
const LEAST_BYTES: f64 = 1024.0 * 1024.0;

/// What is wrong with an amount of `resource`, and what was probably meant.
pub(super) fn problem(resource: &str, amount: &str) -> Option<String> {
    let number = amount.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = amount.strip_prefix(number).unwrap_or_default();
    let digits = number.chars().all(|c| c.is_ascii_digit() || c == '.');
    let value = number.parse::<f64>().ok().filter(|_| digits);
    let Some(value) = value.filter(|_| UNITS.contains(&unit)) else {
        let meant = match meant_unit(unit).filter(|_| value.is_some()) {
            Some(meant) => format!("did you mean {number}{meant}?"),
            None => "expected a number and a unit of Kubernetes, such as 500m or 1Gi".to_owned(),
        };
        return Some(format!("{amount:?} is no amount: {meant}"));
    };
    let counts_bytes =
        matches!(resource, "memory" | "ephemeral-storage") || resource.starts_with("hugepages-");
    if counts_bytes && unit == "m" {
        return Some(format!(
            "{amount:?} of {resource} is {number} thousandths of a byte: did you mean {number}Mi?"
        ));
    }
    if counts_bytes && value > 0.0 && value * factor(unit) < LEAST_BYTES {
        return Some(format!(
            "{amount:?} of {resource} is {} bytes: did you mean {number}Mi?",
            value * factor(unit)
        ));
    }
    if resource == "cpu" && !matches!(unit, "" | "m") {
        return Some(format!(
            "{amount:?} is no amount of cpu: expected cores, such as 2, or thousandths of one, \
             such as 500m"
        ));
    }
    None
}

/// Bytes of a unit.
fn factor(unit: &str) -> f64 {
    let power = |base: f64| {
        "KMGTPE"
            .find(unit[..1].to_ascii_uppercase().as_str())
            .map(|at| {
                let times = i32::try_from(at + 1).unwrap_or(0);
                base.powi(times)
            })
    };
    match unit {
        "" => 1.0,
        _ if unit.ends_with('i') => power(1024.0).unwrap_or(1.0),
        _ => power(1000.0).unwrap_or(1.0),
    }
}

/// The unit that another spelling stands for: `GB`, `gb` and `gi` are no units.
fn meant_unit(unit: &str) -> Option<&'static str> {
    let known = match unit.to_ascii_lowercase().as_str() {
        "b" => "",
        "kb" | "kib" | "ki" => "Ki",
        "mb" | "mib" | "mi" => "Mi",
        "g" | "gb" | "gib" | "gi" => "Gi",
        "t" | "tb" | "tib" | "ti" => "Ti",
        _ => return None,
    };
    Some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_takes_and_nobody_means_says_what_was_meant() {
        for (resource, amount, meant) in [
            ("memory", "512m", "512Mi"),
            ("memory", "0.5m", "0.5Mi"),
            ("ephemeral-storage", "10m", "10Mi"),
            ("memory", "2GB", "2Gi"),
            ("memory", "2gb", "2Gi"),
            ("memory", "2g", "2Gi"),
            ("memory", "512MB", "512Mi"),
            ("memory", "512", "512Mi"),
            ("memory", "512k", "512Mi"),
            ("hugepages-2Mi", "64", "64Mi"),
            ("cpu", "500Mi", "500m"),
            ("cpu", "2 cores", "500m"),
            ("memory", "lots", "1Gi"),
            ("memory", "-1Gi", "1Gi"),
            ("memory", "", "1Gi"),
        ] {
            let problem = problem(resource, amount).unwrap_or_default();
            assert!(problem.contains(meant), "{resource} {amount}: {problem:?}");
        }
        for (resource, amount) in [
            ("memory", "512Mi"),
            ("memory", "2G"),
            ("memory", "1.5Gi"),
            ("memory", "1073741824"),
            ("memory", "2048k"),
            ("cpu", "2"),
            ("cpu", "0.5"),
            ("cpu", "500m"),
            ("nvidia.com/gpu", "1"),
            ("hugepages-2Mi", "64Mi"),
        ] {
            assert_eq!(problem(resource, amount), None, "{resource} {amount}");
        }
    }
}
