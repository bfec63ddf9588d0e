//! Account SAS tokens, which the Azure SDK uses but does not make.
//!
//! **Source:** <https://learn.microsoft.com/rest/api/storageservices/create-account-sas>
//! (2026-11-23), service version 2022-11-02.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

const VERSION: &str = "2022-11-02";
const EXPIRY: &str = "2099-01-01T00:00:00Z";

/// What a token allows on blobs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Allows {
    /// To list and to read.
    Reading,
    /// That, and to create, write and delete.
    Everything,
}

/// A query string (no `?`) for blobs of `account`. `key` is the account's raw key.
pub(crate) fn account_sas(account: &str, key: &[u8], allows: Allows) -> String {
    let permissions = match allows {
        Allows::Reading => "rl",
        Allows::Everything => "rwdlacx",
    };
    // Account, permissions, services, resource types, start, expiry, addresses,
    // protocols, version, encryption scope: a line each, all of them ended.
    let signed =
        format!("{account}\n{permissions}\nb\nsco\n\n{EXPIRY}\n\nhttps,http\n{VERSION}\n\n");
    let signature = STANDARD.encode(hmac_sha256(key, signed.as_bytes()));
    let signature = signature
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    let expiry = EXPIRY.replace(':', "%3A");
    format!("sv={VERSION}&ss=b&srt=sco&sp={permissions}&se={expiry}&spr=https,http&sig={signature}")
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    const BLOCK: usize = 64;
    let mut block = [0_u8; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x36))
        .chain_update(message)
        .finalize();
    Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x5c))
        .chain_update(inner)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_agrees_with_rfc_4231() {
        let long_key = [0xaa_u8; 131];
        let message = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(
            hex::encode(hmac_sha256(&long_key, message)),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
        assert_eq!(
            hex::encode(hmac_sha256(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
