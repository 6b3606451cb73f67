//! Cursors of pages: opaque, and refused where they were altered or are another list's.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::problem::{FieldError, Problem};

/// The text of a cursor into the list that `list` names.
pub(crate) fn write(list: &[&str], place: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode([place, &check(list, place)].concat())
}

/// The place that a cursor into this list says.
pub(crate) fn read<const N: usize>(list: &[&str], cursor: &str) -> Result<[u8; N], Problem> {
    let place = || {
        // A longer text is none of ours, and need not be decoded.
        if cursor.len() > MAX_CURSOR {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (place, sum) = bytes.split_at_checked(N)?;
        (sum == check(list, place)).then(|| place.try_into().ok())?
    };
    place().ok_or_else(|| {
        let message = "has to be the `next_cursor` of a page of this list";
        Problem::invalid(vec![FieldError::new("cursor", message)])
    })
}

/// Tells a cursor that was altered, or is of another list. No secret is needed: whoever makes one up
/// only reads what everybody may.
fn check(list: &[&str], place: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hash = Sha256::new();
    for name in list {
        hash.update((name.len() as u64).to_be_bytes());
        hash.update(name);
    }
    hash.update(place);
    let digest = hash.finalize();
    std::array::from_fn(|n| digest[n])
}

/// One alteration in four billion passes, and then reads from another place.
const CHECK_BYTES: usize = 4;
const MAX_CURSOR: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_where_it_was_written_and_nowhere_else() {
        let cursor = write(&["arena", "default"], b"12345678");
        assert_eq!(
            read::<8>(&["arena", "default"], &cursor).unwrap(),
            *b"12345678"
        );
        assert!(read::<8>(&["arena", "kills"], &cursor).is_err());
        assert!(read::<8>(&["aren", "adefault"], &cursor).is_err());
        assert!(read::<7>(&["arena", "default"], &cursor).is_err());
        assert!(read::<9>(&["arena", "default"], &cursor).is_err());
        for cut in 0..cursor.len() {
            assert!(read::<8>(&["arena", "default"], &cursor[..cut]).is_err());
        }
        for (at, _) in cursor.char_indices() {
            let mut altered = cursor.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            assert!(
                read::<8>(&["arena", "default"], &altered).is_err(),
                "{altered}"
            );
        }
        for junk in ["", "=", "💥", "../..", &"A".repeat(10_000), " ", "\0"] {
            assert!(read::<8>(&["arena", "default"], junk).is_err(), "{junk:?}");
        }
    }
}
