//! Payloads that were encrypted before they were sent: AES-128 in CBC mode, padded as PKCS#7 says. There is no signature, so a wrong key is
//! known only by what comes out of it.

use std::collections::BTreeMap;
use std::fmt;

use aes::Aes128;
use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockDecryptMut as _, KeyIvInit as _};

/// Bytes of a key, and of an initialization vector.
pub const KEY_BYTES: usize = 16;

/// What stands before the number of the key.
const AES_CBC: &[u8] = b"AES_MODE_CBC-";

/// Keys by their numbers. What is shown of them are the numbers.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct DataKeys(BTreeMap<u32, [u8; KEY_BYTES]>);

impl DataKeys {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The numbers of the keys.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        self.0.keys().copied()
    }
}

impl FromIterator<(u32, [u8; KEY_BYTES])> for DataKeys {
    fn from_iter<I: IntoIterator<Item = (u32, [u8; KEY_BYTES])>>(keys: I) -> DataKeys {
        DataKeys(keys.into_iter().collect())
    }
}

impl fmt::Debug for DataKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Why a payload cannot be decrypted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CipherError {
    /// Another algorithm.
    #[error("it is encrypted by `{0}`, which is not known")]
    Algorithm(String),
    /// A key that is not there.
    #[error("it is encrypted with key `{0}`, which is not there")]
    NoKey(u32),
    /// No initialization vector.
    #[error("it is encrypted, and none of its attributes is an initialization vector")]
    NoVector,
    /// What comes out is not padded.
    #[error("it cannot be decrypted: the key is not the one that it was encrypted with, or it is damaged")]
    Padding,
}

impl CipherError {
    /// Whether one record is at fault, and not what all of its kind lack.
    #[must_use]
    pub fn is_of_the_record(&self) -> bool {
        matches!(self, CipherError::NoVector | CipherError::Padding)
    }
}

/// What a message was encrypted with.
pub(crate) struct Cipher {
    key: [u8; KEY_BYTES],
    vector: [u8; KEY_BYTES],
}

impl Cipher {
    /// The cipher by the name that a message gives, such as `AES_MODE_CBC-1`.
    pub(crate) fn named(name: &[u8], keys: &DataKeys, vector: [u8; KEY_BYTES]) -> Result<Cipher, CipherError> {
        let number = name
            .strip_prefix(AES_CBC)
            .and_then(|number| std::str::from_utf8(number).ok());
        let number: Option<u32> = number.and_then(|number| number.parse().ok());
        let number = number.ok_or_else(|| {
            let name = String::from_utf8_lossy(name);
            CipherError::Algorithm(name.chars().take(64).collect())
        })?;
        let key = *keys.0.get(&number).ok_or(CipherError::NoKey(number))?;
        Ok(Cipher { key, vector })
    }

    /// Decrypts into `out`.
    pub(crate) fn decrypt(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), CipherError> {
        out.clear();
        out.extend_from_slice(bytes);
        let decryptor = Decryptor::<Aes128>::new(&self.key.into(), &self.vector.into());
        let plain = decryptor
            .decrypt_padded_mut::<Pkcs7>(out)
            .map_err(|_| CipherError::Padding)?
            .len();
        out.truncate(plain);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use cbc::Encryptor;
    use cbc::cipher::BlockEncryptMut as _;

    use super::*;

    #[test]
    fn what_is_shown_of_keys_are_their_numbers() {
        let keys = DataKeys::from_iter([(3, [0xab; KEY_BYTES]), (1, [0xcd; KEY_BYTES])]);
        assert_eq!(format!("{keys:?}"), "{1, 3}");
    }

    #[test]
    fn a_payload_comes_out_as_it_went_in_and_a_wrong_key_is_noticed() {
        let keys = DataKeys::from_iter([(1, [7; KEY_BYTES]), (2, [8; KEY_BYTES])]);
        for length in [0, 1, 15, 16, 17, 100] {
            let plain: Vec<u8> = (0..length).collect();
            let encrypted =
                Encryptor::<Aes128>::new(&[7; 16].into(), &[9; 16].into()).encrypt_padded_vec_mut::<Pkcs7>(&plain);
            let mut out = Vec::new();
            Cipher::named(b"AES_MODE_CBC-1", &keys, [9; 16])
                .unwrap()
                .decrypt(&encrypted, &mut out)
                .unwrap();
            assert_eq!(out, plain);
            let wrong = Cipher::named(b"AES_MODE_CBC-2", &keys, [9; 16]).unwrap();
            assert!(wrong.decrypt(&encrypted, &mut out).is_err() || out != plain);
            assert_eq!(wrong.decrypt(&encrypted[1..], &mut out), Err(CipherError::Padding));
        }
    }

    #[test]
    fn algorithms_and_keys_that_are_not_known_are_told() {
        let keys = DataKeys::from_iter([(1, [7; KEY_BYTES])]);
        let error = |name: &[u8]| Cipher::named(name, &keys, [9; 16]).err().unwrap();
        assert_eq!(error(b"AES_MODE_CBC-2"), CipherError::NoKey(2));
        for other in [
            &b"AES_MODE_GCM-1"[..],
            b"AES_MODE_CBC",
            b"AES_MODE_CBC-",
            b"AES_MODE_CBC-x",
            b"\xff",
        ] {
            assert!(matches!(error(other), CipherError::Algorithm(_)), "{other:?}");
        }
    }
}
