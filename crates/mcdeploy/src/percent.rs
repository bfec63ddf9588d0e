//! Percent-encoding in URLs that a user typed (RFC 3986, 2.1). Pure.

/// The text that `typed` stands for. A percent sign that no two hex digits follow is itself,
/// as people write it; text that is not UTF-8 then is none.
pub(crate) fn decode(typed: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(typed.len());
    let mut rest = typed.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)),
            _ => None,
        };
        if let Some((high, low)) = escaped {
            bytes.push(high << 4 | low);
            rest = &rest[3..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_what_they_stand_for_and_other_percent_signs_themselves() {
        for (typed, meant) in [
            ("a%3Fb", Some("a?b")),
            ("a%23b%3f", Some("a#b?")),
            ("a%20b c", Some("a b c")),
            ("100%", Some("100%")),
            ("100%x%4", Some("100%x%4")),
            ("50%25", Some("50%")),
            ("%E6%A8%A1", Some("模")),
            ("%FF", None),
            ("", Some("")),
        ] {
            assert_eq!(decode(typed).as_deref(), meant, "{typed}");
        }
    }
}
