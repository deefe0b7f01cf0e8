//! Proof for the endpoint that a request is ours, and not an old one sent again.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The header's value for a body sent at `seconds` since 1970.
pub(super) fn header(secret: &[u8], seconds: i64, body: &[u8]) -> String {
    let seconds = seconds.to_string();
    let signature = sign(secret, &[seconds.as_bytes(), b".", body]);
    format!("t={seconds},v1={signature}")
}

/// HMAC-SHA256 (RFC 2104) over the parts one after the other, in hexadecimal.
fn sign(secret: &[u8], parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key of any length will do");
    for part in parts {
        mac.update(part);
    }
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test cases 2 and 6 (a key longer than a block).
    #[test]
    fn the_vectors_of_rfc_4231_hold() {
        assert_eq!(
            sign(b"Jefe", &[b"what do ya want ", b"for nothing?"]),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            sign(&[0xaa; 131], &[b"Test Using Larger Than Block-Size Key - Hash Key First"]),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    /// Computed with `printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac secret`.
    #[test]
    fn time_and_body_are_signed_together() {
        let value = header(b"secret", 1_700_000_000, b"{\"a\":1}");
        assert_eq!(value, "t=1700000000,v1=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686");
    }
}
