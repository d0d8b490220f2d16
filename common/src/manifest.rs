//! COPY manifests: the exact list of files of one COPY statement (redshift.md 1.2).

use serde::{Deserialize, Serialize};

/// One file of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Bucket.
    pub bucket: String,
    /// Full key, not a prefix.
    pub key: String,
    /// Size in bytes; COPY ignores it for CSV, people do not.
    pub bytes: u64,
}

/// The bytes of a manifest. Every file is mandatory: the default of Redshift is to skip a missing one silently (failure table 35).
///
/// # Panics
/// Never: a manifest holds only values that JSON has.
#[must_use]
pub fn document(entries: &[Entry]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Meta {
        content_length: u64,
    }
    #[derive(Serialize)]
    struct File {
        url: String,
        mandatory: bool,
        meta: Meta,
    }
    #[derive(Serialize)]
    struct Manifest {
        entries: Vec<File>,
    }
    let entries = entries
        .iter()
        .map(|entry| File {
            url: format!("s3://{}/{}", entry.bucket, entry.key),
            mandatory: true,
            meta: Meta {
                content_length: entry.bytes,
            },
        })
        .collect();
    serde_json::to_vec_pretty(&Manifest { entries }).expect("invariant: manifests hold only values that JSON has")
}

/// The keys of the files that a manifest lists, in order; `None` if it is no manifest.
#[must_use]
pub fn keys(document: &[u8]) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct File {
        url: String,
    }
    #[derive(Deserialize)]
    struct Manifest {
        entries: Vec<File>,
    }
    let manifest: Manifest = serde_json::from_slice(document).ok()?;
    let key = |file: File| Some(file.url.strip_prefix("s3://")?.split_once('/')?.1.to_owned());
    manifest.entries.into_iter().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_mandatory() {
        let bytes = document(&[Entry {
            bucket: "b".into(),
            key: "a/b.csv.zst".into(),
            bytes: 7,
        }]);
        assert_eq!(keys(&bytes), Some(vec!["a/b.csv.zst".to_owned()]));
        assert_eq!(keys(b"[]"), None);
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"entries": [{"url": "s3://b/a/b.csv.zst", "mandatory": true, "meta": {"content_length": 7}}]})
        );
    }
}
