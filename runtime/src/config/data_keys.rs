//! The keys of encrypted messages: one file for each, `key-{number}.key`, in a folder.

use std::path::Path;

use common::envelope::{DataKeys, KEY_BYTES};
use tracing::warn;

/// Keys read of one folder at most.
const KEYS_MAX: usize = 10_000;

/// Reads the keys of a folder. What cannot be read is told and left out: messages that need it then halt their partition, and say so.
pub(super) fn read(folder: &Path) -> DataKeys {
    let files = match std::fs::read_dir(folder) {
        Ok(files) => files,
        Err(error) => {
            warn!(folder = %folder.display(), %error, "the folder of `encryption_keys` cannot be read");
            return DataKeys::default();
        }
    };
    let paths = files.take(KEYS_MAX).filter_map(|file| Some(file.ok()?.path()));
    paths
        .filter_map(|path| {
            let number = number(path.file_name()?.to_str()?)?;
            let key = key(&path);
            if let Err(error) = &key {
                warn!(file = %path.display(), error, "a key of `encryption_keys` cannot be used");
            }
            Some((number, key.ok()?))
        })
        .collect()
}

fn number(name: &str) -> Option<u32> {
    name.strip_prefix("key-")?.strip_suffix(".key")?.parse().ok()
}

/// Exactly the bytes of a key, but for a line break that an editor may have left.
fn key(path: &Path) -> Result<[u8; KEY_BYTES], String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let key = match bytes.as_slice() {
        [key @ .., b'\n'] if key.len() == KEY_BYTES => key,
        key => key,
    };
    key.try_into()
        .map_err(|_| format!("it has {} bytes; a key has {KEY_BYTES}", bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_is_a_key_is_read_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let files: [(&str, &[u8]); 6] = [
            ("key-1.key", &[1; 16]),
            ("key-22.key", b"0123456789abcdef\n"),
            ("key-3.key", &[3; 15]),
            ("key-x.key", &[4; 16]),
            ("key-5.key.bak", &[5; 16]),
            ("readme", b"keys"),
        ];
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let keys = read(folder.path());
        assert_eq!(keys, DataKeys::from_iter([(1, [1; 16]), (22, *b"0123456789abcdef")]));
        assert!(read(&folder.path().join("nowhere")).is_empty());
    }
}
