//! The manifest of a COPY (redshift.md 1.2).

use serde::Deserialize;

use crate::sql::refusal::Refusal;

/// One file to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The full address, as named.
    pub url: String,
    /// Bucket.
    pub bucket: String,
    /// Key.
    pub key: String,
    /// Its absence fails the COPY; false unless the manifest says otherwise.
    pub mandatory: bool,
}

#[derive(Deserialize)]
struct RawManifest {
    entries: Vec<RawEntry>,
}

#[derive(Deserialize)]
struct RawEntry {
    url: String,
    #[serde(default)]
    mandatory: bool,
}

/// Reads a manifest. A file listed twice is loaded twice.
///
/// # Errors
/// Not a manifest, or an entry that is no full address of an object (8001).
pub fn parse(bytes: &[u8]) -> Result<Vec<Entry>, Refusal> {
    let raw: RawManifest = serde_json::from_slice(bytes).map_err(|error| {
        Refusal::new("XX000", "Problem reading manifest file").with_detail(format!("code: 8001, {error}"))
    })?;
    raw.entries
        .into_iter()
        .map(|entry| {
            let (bucket, key) = entry
                .url
                .strip_prefix("s3://")
                .and_then(|rest| rest.split_once('/'))
                .filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty() && !key.ends_with('/'))
                .ok_or_else(|| {
                    Refusal::new("XX000", "The specified manifest entry is not a full path to an object")
                        .with_detail(format!("code: 8001, url: {}", entry.url))
                })?;
            Ok(Entry {
                bucket: bucket.to_owned(),
                key: key.to_owned(),
                mandatory: entry.mandatory,
                url: entry.url.clone(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_entries() {
        let entries = parse(
            br#"{"entries":[{"url":"s3://b/k/1","mandatory":true,"meta":{"content_length":3}},{"url":"s3://b/k/1"}]}"#,
        )
        .unwrap();
        assert_eq!(
            entries
                .iter()
                .map(|e| (e.key.as_str(), e.mandatory))
                .collect::<Vec<_>>(),
            [("k/1", true), ("k/1", false)]
        );
    }

    #[test]
    fn refuses() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"entries":[{"url":"k/1"}]}"#,
            r#"{"entries":[{"url":"s3://b/k/"}]}"#,
            r#"{"entries":[{"url":"s3://b"}]}"#,
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err().code, "XX000", "{text}");
        }
    }
}
