//! `hash`: the SHA-256 of a string.

use std::fmt::Write;

use sha2::{Digest, Sha256};
use taskgrid_protocol::Json;

use super::payload;
use crate::machine::Outcome;

/// Of its UTF-8 bytes, in small hexadecimal digits, as `printf '%s' TEXT | sha256sum` prints it.
pub(super) fn hash(payload: &Json) -> Outcome {
    let text = payload::string(payload, "hash")?;
    let mut digits = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        write!(digits, "{byte:02x}").expect("writing to a string never fails");
    }
    Ok(Json::string(&digits))
}

#[cfg(test)]
mod tests {
    use crate::handlers::tests::{quick, refused};

    use super::hash;

    #[test]
    fn is_sha_256_of_the_utf_8_bytes() {
        let abc = "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"";
        assert_eq!(quick(hash, r#""abc""#), abc);
        let empty = "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"";
        assert_eq!(quick(hash, r#""""#), empty);
        assert_eq!(quick(hash, r#""\u0061bc""#), abc, "it is the text that is hashed, not its JSON form");
        assert!(refused(hash, "null").contains("takes a string"));
    }
}
