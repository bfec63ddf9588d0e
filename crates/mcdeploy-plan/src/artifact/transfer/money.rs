//! Dollars as integers.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

const NANOS: u64 = 1_000_000_000;
const DIGITS: usize = 9;

/// An amount in nano-dollars (10⁻⁹ US dollars). Sums saturate.
///
/// ```
/// use mcdeploy_plan::transfer::NanoUsd;
///
/// let price: NanoUsd = "0.09".parse()?;
/// assert_eq!(price, NanoUsd(90_000_000));
/// assert_eq!(price.to_string(), "$0.0900");
/// # Ok::<(), mcdeploy_plan::transfer::ParseUsd>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoUsd(pub u64);

impl NanoUsd {
    /// Both together.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }

    /// The amount with all nine digits and no sign, as data files have it.
    pub fn to_decimal(self) -> String {
        let (whole, rest) = (self.0 / NANOS, self.0 % NANOS);
        let text = format!("{whole}.{rest:09}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

/// For people: four digits below a dollar, two above, never rounded down to nothing.
impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = |unit: u64| self.0.div_ceil(unit);
        match self.0 {
            0 => f.write_str("$0"),
            small if small < NANOS => {
                let shown = units(NANOS / 10_000);
                write!(f, "${}.{:04}", shown / 10_000, shown % 10_000)
            }
            _ => {
                let shown = units(NANOS / 100);
                write!(f, "${}.{:02}", shown / 100, shown % 100)
            }
        }
    }
}

/// Text that is no amount of dollars.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no amount of US dollars: expected one such as 0.09 or 250")]
pub struct ParseUsd {
    text: String,
}

impl FromStr for NanoUsd {
    type Err = ParseUsd;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || ParseUsd {
            text: text.to_owned(),
        };
        let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !is_digits(whole) || !is_digits(rest) || rest.len() > DIGITS {
            return Err(refused());
        }
        let whole: u64 = whole.parse().map_err(|_| refused())?;
        let rest: u64 = format!("{rest:0<9}").parse().map_err(|_| refused())?;
        let nanos = whole.checked_mul(NANOS).and_then(|n| n.checked_add(rest));
        nanos.map(Self).ok_or_else(refused)
    }
}

impl Serialize for NanoUsd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_decimal())
    }
}

impl<'de> Deserialize<'de> for NanoUsd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_survive_a_round_trip_and_other_text_is_refused() {
        for text in ["0", "0.09", "0.1093", "12", "18446744073.709551615"] {
            let amount: NanoUsd = text.parse().unwrap();
            assert_eq!(amount.to_decimal(), text);
        }
        for text in [
            "",
            ".5",
            "5.",
            "-1",
            "1e3",
            "0.0000000001",
            "18446744074",
            "$1",
        ] {
            assert!(text.parse::<NanoUsd>().is_err(), "{text}");
        }
    }

    #[test]
    fn people_never_read_a_cost_as_nothing() {
        let shown = [0, 1, 90_000_000, 999_999_999, 1_000_000_001].map(|n| NanoUsd(n).to_string());
        assert_eq!(shown, ["$0", "$0.0001", "$0.0900", "$1.0000", "$1.01"]);
    }
}
