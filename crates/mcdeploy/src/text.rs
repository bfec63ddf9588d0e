//! Text of files that other programs wrote: with a byte order mark, and in UTF-16 where
//! Windows wrote it. Pure.

/// The text of a file.
///
/// # Errors
/// Bytes that are none, in words.
pub(crate) fn decode(bytes: &[u8]) -> Result<String, &'static str> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let units = pairs.iter().copied().map(unit);
        let text: Result<String, _> = char::decode_utf16(units).collect();
        text.ok()
            .filter(|_| rest.is_empty())
            .ok_or("it is no UTF-16")
    };
    match bytes {
        [0xFF, 0xFE, text @ ..] => utf16(text, u16::from_le_bytes),
        [0xFE, 0xFF, text @ ..] => utf16(text, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, text @ ..] | text => utf8(text),
    }
}

fn utf8(bytes: &[u8]) -> Result<String, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no text in UTF-8")?;
    Ok(text.to_owned())
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
        for bytes in [&[0x80][..], &le[..le.len() - 1], &[0xFF, 0xFE, 0x00, 0xD8]] {
            assert!(decode(bytes).is_err(), "{bytes:?}");
        }
    }
}
