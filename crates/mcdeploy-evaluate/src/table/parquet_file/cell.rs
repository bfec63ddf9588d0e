//! Values as text. Pure. Each function says nothing where a value is none of its column's.

use std::fmt::Write as _;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use parquet::{
    basic::{ConvertedType, LogicalType, TimeUnit, Type as PhysicalType},
    schema::types::ColumnDescriptor,
};

/// What the bits of a column mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A text, a truth value or a number with a sign.
    Plain,
    /// A number without one, of 32 bits or of 64.
    Unsigned,
    /// Days since 1970.
    Days,
    /// A moment, or one on clocks of which nothing says where they hang.
    Time { unit: Unit, moment: bool },
    /// A whole number with its point this far from the end.
    Decimal(usize),
    /// 16 bits with a point.
    Half,
    /// 16 bytes that name something.
    Uuid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl Meaning {
    /// Of a column, or what it holds that has no text.
    pub(super) fn of(column: &ColumnDescriptor) -> Result<Self, &'static str> {
        if column.physical_type() == PhysicalType::INT96 {
            return Ok(Self::Time {
                unit: Unit::Nanoseconds,
                moment: true,
            });
        }
        match column.logical_type_ref() {
            Some(LogicalType::Float16) => return Ok(Self::Half),
            Some(LogicalType::Uuid) => return Ok(Self::Uuid),
            Some(LogicalType::Time(_)) => return Err("a time of day"),
            Some(LogicalType::Timestamp(time)) => {
                let unit = match time.unit {
                    TimeUnit::MILLIS => Unit::Milliseconds,
                    TimeUnit::MICROS => Unit::Microseconds,
                    TimeUnit::NANOS => Unit::Nanoseconds,
                };
                let moment = time.is_adjusted_to_u_t_c;
                return Ok(Self::Time { unit, moment });
            }
            _ => {}
        }
        let moment = true;
        Ok(match column.converted_type() {
            ConvertedType::UINT_8
            | ConvertedType::UINT_16
            | ConvertedType::UINT_32
            | ConvertedType::UINT_64 => Self::Unsigned,
            ConvertedType::DATE => Self::Days,
            ConvertedType::TIMESTAMP_MILLIS => Self::Time {
                unit: Unit::Milliseconds,
                moment,
            },
            ConvertedType::TIMESTAMP_MICROS => Self::Time {
                unit: Unit::Microseconds,
                moment,
            },
            ConvertedType::DECIMAL => {
                let scale = usize::try_from(column.type_scale());
                Self::Decimal(scale.map_err(|_| "a decimal of unknown scale")?)
            }
            ConvertedType::TIME_MILLIS | ConvertedType::TIME_MICROS => return Err("a time of day"),
            ConvertedType::INTERVAL => return Err("a span of time"),
            ConvertedType::BSON => return Err("BSON"),
            ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE => return Err("a map"),
            ConvertedType::LIST => return Err("a list"),
            ConvertedType::NONE
            | ConvertedType::UTF8
            | ConvertedType::ENUM
            | ConvertedType::JSON
            | ConvertedType::INT_8
            | ConvertedType::INT_16
            | ConvertedType::INT_32
            | ConvertedType::INT_64 => Self::Plain,
        })
    }

    /// What its values have to be.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Plain => "text in UTF-8",
            Self::Unsigned | Self::Decimal(_) | Self::Half => "numbers",
            Self::Days | Self::Time { .. } => "days or times of the years -9999 to 9999",
            Self::Uuid => "UUIDs",
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as the others")]
pub(super) fn truth(text: &mut String, value: bool) -> Option<()> {
    text.push_str(if value { "true" } else { "false" });
    Some(())
}

pub(super) fn narrow(text: &mut String, meaning: Meaning, value: i32) -> Option<()> {
    if meaning == Meaning::Unsigned {
        return write!(text, "{}", value.cast_unsigned()).ok();
    }
    integer(text, meaning, value.into())
}

pub(super) fn integer(text: &mut String, meaning: Meaning, value: i64) -> Option<()> {
    match meaning {
        Meaning::Plain | Meaning::Half | Meaning::Uuid => write!(text, "{value}").ok(),
        Meaning::Unsigned => write!(text, "{}", value.cast_unsigned()).ok(),
        Meaning::Days => {
            let start = Date::constant(1970, 1, 1);
            let days = jiff::Span::new().try_days(value).ok()?;
            write!(text, "{}", start.checked_add(days).ok()?).ok()
        }
        Meaning::Time { unit, moment } => {
            let time = match unit {
                Unit::Milliseconds => Timestamp::from_millisecond(value),
                Unit::Microseconds => Timestamp::from_microsecond(value),
                Unit::Nanoseconds => Timestamp::from_nanosecond(value.into()),
            };
            let time = time.ok()?;
            if moment {
                return write!(text, "{time}").ok();
            }
            write!(text, "{}", time.to_zoned(TimeZone::UTC).datetime()).ok()
        }
        Meaning::Decimal(scale) => decimal(text, value.into(), scale),
    }
}

pub(super) fn single(text: &mut String, value: f32) -> Option<()> {
    // As the shortest number of 32 bits: 0.1 and not 0.10000000149011612.
    if value == 0.0 || (1e-5..1e16).contains(&value.abs()) {
        return write!(text, "{value}").ok();
    }
    write!(text, "{value:e}").ok()
}

pub(super) fn double(text: &mut String, value: f64) -> Option<()> {
    if value == 0.0 || (1e-5..1e16).contains(&value.abs()) {
        return write!(text, "{value}").ok();
    }
    write!(text, "{value:e}").ok()
}

pub(super) fn bytes(text: &mut String, meaning: Meaning, value: &[u8]) -> Option<()> {
    match meaning {
        Meaning::Decimal(scale) => {
            // Big end first, in two's complement.
            let negative = value.first()? & 0x80 != 0;
            let mut wide = [if negative { 0xff } else { 0 }; 16];
            let start = wide.len().checked_sub(value.len())?;
            wide[start..].copy_from_slice(value);
            decimal(text, i128::from_be_bytes(wide), scale)
        }
        Meaning::Half => single(text, half(u16::from_le_bytes(value.try_into().ok()?))),
        Meaning::Uuid => {
            let value: [u8; 16] = value.try_into().ok()?;
            for (index, byte) in value.into_iter().enumerate() {
                if matches!(index, 4 | 6 | 8 | 10) {
                    text.push('-');
                }
                write!(text, "{byte:02x}").ok()?;
            }
            Some(())
        }
        Meaning::Plain | Meaning::Unsigned | Meaning::Days | Meaning::Time { .. } => {
            text.push_str(str::from_utf8(value).ok()?);
            Some(())
        }
    }
}

fn decimal(text: &mut String, value: i128, scale: usize) -> Option<()> {
    let digits = value.unsigned_abs().to_string();
    let sign = if value < 0 { "-" } else { "" };
    let digits = format!("{digits:0>width$}", width = scale.checked_add(1)?);
    let (whole, part) = digits.split_at(digits.len() - scale);
    let point = if part.is_empty() { "" } else { "." };
    write!(text, "{sign}{whole}{point}{part}").ok()
}

/// A number of 16 bits: one of sign, five of exponent, ten of fraction.
fn half(bits: u16) -> f32 {
    let fraction = f32::from(bits & 0x3ff) / 1024.0;
    let size = match (bits >> 10) & 0x1f {
        0 => fraction * 2_f32.powi(-14),
        0x1f if fraction > 0.0 => f32::NAN,
        0x1f => f32::INFINITY,
        exponent => (1.0 + fraction) * 2_f32.powi(i32::from(exponent) - 15),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expected: &str, write: impl Fn(&mut String) -> Option<()>) {
        let mut text = String::new();
        assert_eq!(write(&mut text), Some(()), "{expected}");
        assert_eq!(text, expected);
    }

    #[test]
    fn numbers_have_their_shortest_text() {
        check("0.1", |text| single(text, 0.1));
        check("0.1", |text| double(text, 0.1));
        check("1", |text| double(text, 1.0));
        check("0", |text| double(text, 0.0));
        check("1e300", |text| double(text, 1e300));
        check("-1.5e-7", |text| double(text, -1.5e-7));
        check("NaN", |text| double(text, f64::NAN));
        check("inf", |text| single(text, f32::INFINITY));
        check("0.5", |text| bytes(text, Meaning::Half, &[0x00, 0x38]));
        check("-2", |text| bytes(text, Meaning::Half, &[0x00, 0xc0]));
        check("4294967295", |text| narrow(text, Meaning::Unsigned, -1));
        check("-1", |text| narrow(text, Meaning::Plain, -1));
        check("18446744073709551615", |text| {
            integer(text, Meaning::Unsigned, -1)
        });
    }

    #[test]
    fn decimals_have_their_point() {
        let cents = Meaning::Decimal(2);
        check("12.34", |text| integer(text, cents, 1234));
        check("-0.05", |text| integer(text, cents, -5));
        check("7", |text| integer(text, Meaning::Decimal(0), 7));
        check("-1.00", |text| bytes(text, cents, &[0xff, 0x9c]));
        assert_eq!(bytes(&mut String::new(), cents, &[0; 17]), None);
    }

    #[test]
    fn days_and_times_are_those_of_the_calendar() {
        check("2026-11-30", |text| narrow(text, Meaning::Days, 20787));
        let time = |unit, moment| Meaning::Time { unit, moment };
        check("1970-01-01T00:00:01Z", |text| {
            integer(text, time(Unit::Milliseconds, true), 1000)
        });
        check("1970-01-01T00:00:01", |text| {
            integer(text, time(Unit::Microseconds, false), 1_000_000)
        });
        let never = integer(&mut String::new(), time(Unit::Milliseconds, true), i64::MAX);
        assert_eq!(never, None);
        assert_eq!(integer(&mut String::new(), Meaning::Days, i64::MIN), None);
    }
}
