//! Text of files that other programs wrote: with a byte order mark, and in UTF-16 where
//! Windows and spreadsheets wrote it. Pure.

use std::borrow::Cow;

/// What bytes are that are no text, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotText {
    /// Neither UTF-8 nor marked as anything else.
    #[error("the byte 0x{byte:02x} in line {line}; save it again as UTF-8")]
    Byte {
        /// The first that is wrong.
        byte: u8,
        /// Counted from 1.
        line: usize,
    },
    /// Marked as UTF-16 and none: cut short, or half a character.
    #[error("broken UTF-16; save it again as UTF-8")]
    BrokenUtf16,
    /// Nothing says which of its two orders it has.
    #[error("UTF-16 without a byte order mark; save it again as UTF-8")]
    UnmarkedUtf16,
    /// Something that is no text at all.
    #[error("zero bytes")]
    Zeros,
}

/// The text of a file, without the mark that some programs begin it with.
///
/// # Errors
/// [`NotText`].
pub fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, NotText> {
    match bytes {
        [0xFF, 0xFE, text @ ..] => utf16(text, u16::from_le_bytes),
        [0xFE, 0xFF, text @ ..] => utf16(text, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, text @ ..] | text => utf8(text),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<Cow<'_, str>, NotText> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().copied().map(unit);
    let text: Result<String, _> = char::decode_utf16(units).collect();
    let whole = text.ok().filter(|_| rest.is_empty());
    whole.map(Cow::Owned).ok_or(NotText::BrokenUtf16)
}

fn utf8(bytes: &[u8]) -> Result<Cow<'_, str>, NotText> {
    let start = &bytes[..bytes.len().min(64)];
    match start.split(|byte| *byte == 0).count() - 1 {
        0 => {}
        zeros if zeros * 3 >= start.len() => return Err(NotText::UnmarkedUtf16),
        _ => return Err(NotText::Zeros),
    }
    let text = str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        NotText::Byte {
            byte: bytes.get(error.valid_up_to()).copied().unwrap_or(0),
            line: before.split(|byte| *byte == b'\n').count(),
        }
    })?;
    Ok(Cow::Borrowed(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_says_how_to_read_and_is_no_part_of_the_text() {
        let le: Vec<u8> = "\u{feff}{}ü"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let be: Vec<u8> = "\u{feff}{}ü"
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
        for bytes in ["{}ü".as_bytes(), "\u{feff}{}ü".as_bytes(), &le, &be] {
            assert_eq!(decode(bytes).as_deref(), Ok("{}ü"), "{bytes:?}");
        }
        for bytes in [&le[..le.len() - 1], &[0xFF, 0xFE, 0x00, 0xD8]] {
            assert_eq!(decode(bytes), Err(NotText::BrokenUtf16), "{bytes:?}");
        }
        let byte = 0x80;
        let line = 2;
        assert_eq!(decode(b"a\n\x80"), Err(NotText::Byte { byte, line }));
        assert_eq!(decode(&le[2..]), Err(NotText::UnmarkedUtf16));
        assert_eq!(decode(b"abcdefgh\0"), Err(NotText::Zeros));
    }
}
