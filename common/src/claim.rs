//! What a signal says: "object O holds exactly the visible records of lineage L with start <= offset < next" (protocol rules 1-4).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::chain::Position;
use crate::ids::{Incarnation, Lineage, Offset, Partition, SchemaId};
use crate::mutant::Mutant;
use crate::plan::{PlanId, hex};

/// Version of the claim's encoding. A reader halts at a version it does not know (failure table 55).
pub const CLAIM_VERSION: u8 = 1;

/// Name of the object metadata entry that carries a claim (without what a reader can recompute, since S3 allows 2 KB).
pub const METADATA_NAME: &str = "spolt-claim";

/// S3 allows 2 KB of user metadata, names included.
pub const METADATA_BYTES_MAX: usize = 2048 - METADATA_NAME.len();

/// What kind of statement a claim makes about its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An object holds the range's rows.
    Data,
    /// The lineage begins here: start = next = origin. The first in the log counts, later ones are void.
    Genesis,
    /// The range has no rows: only control records, compacted ones, heartbeats.
    Skip,
    /// The range is known to be lost and the operator said so.
    Gap,
    /// A new incarnation begins here: start = next = origin of the new life.
    Reset,
    /// All rows of the table go; the claim ends at the truncate's offset.
    Truncate,
    /// Objects with next <= this claim's next may have been collected.
    Horizon,
}

impl Kind {
    /// Its name, as in the encoding of a claim.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Data => "data",
            Kind::Genesis => "genesis",
            Kind::Skip => "skip",
            Kind::Gap => "gap",
            Kind::Reset => "reset",
            Kind::Truncate => "truncate",
            Kind::Horizon => "horizon",
        }
    }

    /// The kind of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Kind> {
        [
            Kind::Data,
            Kind::Genesis,
            Kind::Skip,
            Kind::Gap,
            Kind::Reset,
            Kind::Truncate,
            Kind::Horizon,
        ]
        .into_iter()
        .find(|kind| kind.name() == name)
    }
}

/// How the object's bytes are to be read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, PartialOrd, Ord)]
pub struct Dialect {
    /// Name of the dialect.
    pub id: String,
    /// Field delimiter.
    pub delimiter: char,
    /// Quote character, doubled inside a field.
    pub quote: char,
    /// Unquoted text that means NULL.
    pub null: String,
    /// Compression of the object.
    pub compression: Compression,
}

/// Compression of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// One zstd frame.
    Zstd,
    /// One gzip member.
    Gzip,
}

impl Compression {
    /// Ending of the object key, with its dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Compression::Zstd => ".zst",
            Compression::Gzip => ".gz",
        }
    }
}

/// Which rules turned records into rows (assumption E4).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, PartialOrd, Ord)]
pub struct Decoder {
    /// Version of the decode rules in code.
    pub version: u32,
    /// Digest of every setting that changes bytes.
    pub fingerprint: String,
}

/// Where the object lies and how to know it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Object {
    /// Bucket.
    pub bucket: String,
    /// Region of the bucket.
    pub region: String,
    /// Key in the bucket.
    pub key: String,
    /// Size in bytes, compressed.
    pub bytes: u64,
    /// SHA-256 of the content, in hex.
    pub sha256: String,
}

/// The records of a range that became no rows (rule 27): an object in the claim's own folder, see [`Claim::aside_object`]. Its lines are
/// those of `row::aside_columns` and the plan's key columns, in the claim's dialect.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Aside {
    /// Lines, of which a record has more than one where it is long.
    pub lines: u64,
    /// Size in bytes, compressed.
    pub bytes: u64,
    /// SHA-256 of the content, in hex.
    pub sha256: String,
    /// Whether its lines have the records' headers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub headers: bool,
}

/// Fingerprint of the last record, by which a re-created or unclean topic is recognised (rule 12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tail {
    /// Offset of the record.
    pub offset: Offset,
    /// Leader epoch of its batch, if the client knows it.
    pub leader_epoch: Option<i32>,
    /// See [`fingerprint`].
    pub crc32c: u32,
}

/// CRC-32C over key length, key, value length, value, as read; lengths as 8-byte big-endian numbers, -1 for null.
#[must_use]
pub fn fingerprint(key: Option<&[u8]>, value: Option<&[u8]>) -> u32 {
    let part = |crc: u32, bytes: Option<&[u8]>| {
        let length = bytes.map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        let crc = crc32c::crc32c_append(crc, &length.to_be_bytes());
        bytes.map_or(crc, |bytes| crc32c::crc32c_append(crc, bytes))
    };
    part(part(0, key), value)
}

/// One statement about a range of one lineage.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Claim {
    /// See [`CLAIM_VERSION`].
    pub v: u8,
    /// What is stated.
    pub kind: Kind,
    /// Source cluster id.
    pub cluster: String,
    /// Upstream topic.
    pub topic: String,
    /// Incarnation of the topic.
    pub incarnation: Incarnation,
    /// Partition.
    pub partition: Partition,
    /// Kafka's id of this life of the topic, if the brokers have ids.
    pub topic_id: Option<String>,
    /// In a genesis or reset: how many partitions the topic had then. A lineage whose partition number is not below what the first
    /// genesis of partition 0 says was added later (rule 13).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
    /// First offset covered (inclusive).
    pub start: Offset,
    /// First offset not covered (exclusive).
    pub next: Offset,
    /// `next - 1`, for readers of the format as originally published.
    pub end: Offset,
    /// Offset of the first record seen in the range, if any.
    pub first: Option<Offset>,
    /// Offset of the last record seen in the range, if any.
    pub last: Option<Offset>,
    /// Visible records in the range.
    pub records: u64,
    /// Rows in the object.
    pub rows: u64,
    /// Records that make no row (heartbeats, tombstones behind a delete).
    pub skipped: u64,
    /// Records set aside: they make no row, and lie in the object of [`Claim::aside`].
    pub rejected: u64,
    /// Values replaced because they did not fit, by the rules of their columns; some of their records are kept in [`Claim::aside`] too.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub amended: u64,
    /// The records set aside, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aside: Option<Aside>,
    /// Plan of the object's rows; its document lies beside the data before the claim is sent.
    pub plan: Option<PlanId>,
    /// Writer schemas of the records.
    pub schemas: Vec<SchemaId>,
    /// How to read the object.
    pub dialect: Option<Dialect>,
    /// How the rows were made.
    pub decoder: Option<Decoder>,
    /// The object; for claims without rows it is empty.
    pub object: Option<Object>,
    /// Longest value per text column, in bytes. In the signal only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub longest: BTreeMap<String, u32>,
    /// Columns that hold "unchanged" marks (rule 25).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchanged: Vec<String>,
    /// Earliest record time, milliseconds since 1970.
    pub min_time_ms: Option<i64>,
    /// Latest record time, milliseconds since 1970.
    pub max_time_ms: Option<i64>,
    /// Fingerprint of the last record seen by the lineage at or before `next`.
    pub tail: Option<Tail>,
    /// Id of the writing process.
    pub writer: String,
    /// Build of the writing process.
    pub build: String,
}

/// Why bytes are not a claim that this build can act on. The reader halts: to skip an unknown claim would be a gap.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not a claim at all.
    #[error("signal is not a claim: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Written by a newer build.
    #[error("signal has version `{0}`, this build reads version `{CLAIM_VERSION}`")]
    Version(u64),
    /// Contradicts itself.
    #[error("claim is inconsistent: {0}")]
    Inconsistent(&'static str),
}

impl Claim {
    /// A claim of a kind without an object, about `start..next` of a lineage; the remaining fields are empty.
    #[must_use]
    pub fn new(kind: Kind, lineage: &Lineage, start: Offset, next: Offset) -> Claim {
        Claim {
            v: CLAIM_VERSION,
            kind,
            cluster: lineage.cluster.clone(),
            topic: lineage.topic.clone(),
            incarnation: lineage.incarnation,
            partition: lineage.partition,
            topic_id: None,
            partitions: None,
            start,
            next,
            end: Offset(next.0 - 1),
            first: None,
            last: None,
            records: 0,
            rows: 0,
            skipped: 0,
            rejected: 0,
            amended: 0,
            aside: None,
            plan: None,
            schemas: Vec::new(),
            dialect: None,
            decoder: None,
            object: None,
            longest: BTreeMap::new(),
            unchanged: Vec::new(),
            min_time_ms: None,
            max_time_ms: None,
            tail: None,
            writer: String::new(),
            build: String::new(),
        }
    }

    /// The lineage that the claim is about.
    #[must_use]
    pub fn lineage(&self) -> Lineage {
        Lineage {
            cluster: self.cluster.clone(),
            topic: self.topic.clone(),
            incarnation: self.incarnation,
            partition: self.partition,
        }
    }

    /// Whether the claim is about this lineage, without building one.
    #[must_use]
    pub fn is_of(&self, lineage: &Lineage) -> bool {
        self.partition == lineage.partition
            && self.incarnation == lineage.incarnation
            && self.topic == lineage.topic
            && self.cluster == lineage.cluster
    }

    /// The object with the records that were set aside, if there are any. Its place follows from the claim's own object, so that the claim
    /// stays small.
    #[must_use]
    pub fn aside_object(&self) -> Option<Object> {
        let (aside, object, dialect) = (self.aside.as_ref()?, self.object.as_ref()?, self.dialect.as_ref()?);
        let (folder, _) = object.key.rsplit_once('/')?;
        Some(Object {
            bucket: object.bucket.clone(),
            region: object.region.clone(),
            key: aside_key(folder, self.start, self.next, &aside.sha256, dialect.compression),
            bytes: aside.bytes,
            sha256: aside.sha256.clone(),
        })
    }

    /// The bytes of the signal.
    ///
    /// # Panics
    /// Never: a claim holds only values that JSON has.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("invariant: claims hold only values that JSON has")
    }

    /// Reads a signal.
    ///
    /// # Errors
    /// When it is no claim, of an unknown version or kind, or contradicts itself.
    pub fn decode(signal: &[u8]) -> Result<Claim, DecodeError> {
        #[derive(Deserialize)]
        struct Version {
            v: u64,
        }
        let version: Version = serde_json::from_slice(signal)?;
        if version.v != u64::from(CLAIM_VERSION) {
            return Err(DecodeError::Version(version.v));
        }
        let claim: Claim = serde_json::from_slice(signal)?;
        claim.check()?;
        Ok(claim)
    }

    fn check(&self) -> Result<(), DecodeError> {
        let wrong = |what| Err(DecodeError::Inconsistent(what));
        if self.start.0 < 0 || self.next < self.start {
            return wrong("`next` is before `start`");
        }
        if self.end.0 != self.next.0 - 1 {
            return wrong("`end` is not `next - 1`");
        }
        match self.kind {
            Kind::Data if self.start == self.next => wrong("a data claim covers nothing"),
            Kind::Data if self.object.is_none() || self.plan.is_none() || self.dialect.is_none() => {
                wrong("a data claim lacks its object, plan or dialect")
            }
            Kind::Genesis | Kind::Reset if self.start != self.next => wrong("an origin covers a range"),
            _ if self.kind != Kind::Data && self.rows > 0 => wrong("a claim without data counts rows"),
            _ if self.rejected > 0 && self.aside.is_none() => wrong("records set aside have no object"),
            _ if self.aside.is_some() && self.rejected == 0 && self.amended == 0 => {
                wrong("an object of records set aside holds none")
            }
            _ if self.aside.is_some() && self.dialect.is_none() => wrong("records set aside lack their dialect"),
            _ => Ok(()),
        }
    }

    /// The claim as object metadata: ASCII JSON without the statistics that a reader can recompute. Lists that would not fit the
    /// 2 KB of S3 are cut from the metadata alone, schemas first.
    #[must_use]
    pub fn metadata(&self) -> String {
        let mut claim = Claim {
            longest: BTreeMap::new(),
            ..self.clone()
        };
        let mut text = ascii_json(&claim);
        if text.len() > METADATA_BYTES_MAX {
            claim.schemas.clear();
            text = ascii_json(&claim);
        }
        text
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// JSON with every character outside ASCII escaped, since S3 metadata travels in HTTP headers.
fn ascii_json(claim: &Claim) -> String {
    let text = String::from_utf8(claim.encode()).expect("invariant: JSON is UTF-8");
    if text.is_ascii() {
        return text;
    }
    let mut ascii = String::with_capacity(text.len() + 64);
    for character in text.chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                use std::fmt::Write as _;
                let _ = write!(ascii, "\\u{unit:04x}");
            }
        }
    }
    ascii
}

/// Folder of all objects of a topic: `prefix/topic/`.
#[must_use]
pub fn topic_folder(prefix: &str, topic: &str) -> String {
    format!("{}{topic}/", folder(prefix))
}

/// Folder of a lineage's objects: `prefix/topic/i{n}/p{partition}`.
#[must_use]
pub fn lineage_prefix(prefix: &str, lineage: &Lineage) -> String {
    format!(
        "{}{}/i{}/p{}",
        folder(prefix),
        lineage.topic,
        lineage.incarnation,
        lineage.partition
    )
}

/// Key of a data object (rule 3): the range, zero-padded to 19 digits, and the digest, so that different content never meets under
/// one key.
#[must_use]
pub fn object_key(
    prefix: &str,
    lineage: &Lineage,
    start: Offset,
    next: Offset,
    sha256: &str,
    compression: Compression,
) -> String {
    let folder = lineage_prefix(prefix, lineage);
    let extension = compression.extension();
    if Mutant::KeyByFirstOffset.is_on() || Mutant::KeyByFirstOffsetIfAbsent.is_on() {
        return format!("{folder}/{:019}.csv{extension}", start.0);
    }
    let digest = &sha256[..sha256.len().min(16)];
    format!("{folder}/{:019}-{:019}-{digest}.csv{extension}", start.0, next.0)
}

/// Key of the object with the records of a range that were set aside, in the folder of its lineage; named like a data object.
fn aside_key(folder: &str, start: Offset, next: Offset, sha256: &str, compression: Compression) -> String {
    let extension = compression.extension();
    let digest = &sha256[..sha256.len().min(16)];
    format!(
        "{folder}/{:019}-{:019}-{digest}{ASIDE_SUFFIX}{extension}",
        start.0, next.0
    )
}

const ASIDE_SUFFIX: &str = ".aside.csv";

/// Key of the empty object that carries a claim without rows. What an origin or a gap says of the topic depends on when it was made, so
/// its key has a digest of that (and so has what is said of records set aside): one that was put and never signalled, the topic being created anew after that, does not keep the next one
/// from being put. Who made it is left out; two writers that say the same share an object.
#[must_use]
pub fn bare_claim_key(prefix: &str, claim: &Claim) -> String {
    let folder = lineage_prefix(prefix, &claim.lineage());
    let (start, next, kind) = (claim.start.0, claim.next.0, claim.kind.name());
    if !matches!(claim.kind, Kind::Genesis | Kind::Reset | Kind::Gap) && claim.aside.is_none() {
        return format!("{folder}/{start:019}-{next:019}-{kind}.claim");
    }
    let said = Claim {
        writer: String::new(),
        build: String::new(),
        object: None,
        ..claim.clone()
    };
    let digest = hex(&Sha256::digest(said.encode())[..8]);
    format!("{folder}/{start:019}-{next:019}-{kind}-{digest}.claim")
}

/// What the key of a data object or of a bare claim says (rule 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectName {
    /// Incarnation of the topic.
    pub incarnation: Incarnation,
    /// Partition.
    pub partition: Partition,
    /// First offset covered.
    pub start: Offset,
    /// First offset not covered.
    pub next: Offset,
    /// What is stated.
    pub kind: Kind,
    /// Whether it holds records set aside: it carries no claim, one beside it names it.
    pub aside: bool,
}

impl ObjectName {
    /// Where a lineage stands that has everything which the object covers.
    #[must_use]
    pub fn end(&self) -> Position {
        Position {
            incarnation: self.incarnation,
            next: self.next,
        }
    }
}

/// Reads the key of an object of a topic; `None` if it is no key of [`object_key`] or [`bare_claim_key`].
#[must_use]
pub fn object_name(prefix: &str, topic: &str, key: &str) -> Option<ObjectName> {
    let rest = key
        .strip_prefix(&folder(prefix))?
        .strip_prefix(topic)?
        .strip_prefix("/i")?;
    let (incarnation, rest) = rest.split_once("/p")?;
    let (partition, name) = rest.split_once('/')?;
    let mut parts = name.splitn(3, '-');
    let mut offset = || parts.next()?.parse().ok().map(Offset);
    let (start, next) = (offset()?, offset()?);
    let last = parts.next()?;
    let kind = match last.strip_suffix(".claim") {
        // Older builds wrote no digest behind the kind.
        Some(kind) => Kind::named(kind.split_once('-').map_or(kind, |(kind, _)| kind))?,
        None => last.contains(".csv").then_some(Kind::Data)?,
    };
    Some(ObjectName {
        incarnation: Incarnation(incarnation.parse().ok()?),
        partition: Partition(partition.parse().ok()?),
        start,
        next,
        kind,
        aside: last.contains(ASIDE_SUFFIX),
    })
}

/// The topic and what else the key of an object says; `None` if it is no key of [`object_key`] or [`bare_claim_key`].
#[must_use]
pub fn lineage_of<'k>(prefix: &str, key: &'k str) -> Option<(&'k str, ObjectName)> {
    // No name of a topic has a slash.
    let (topic, _) = key.strip_prefix(&folder(prefix))?.split_once('/')?;
    Some((topic, object_name(prefix, topic, key)?))
}

/// Key of a plan document.
#[must_use]
pub fn plan_key(prefix: &str, plan: &PlanId) -> String {
    format!("{}_plans/{plan}.json", folder(prefix))
}

/// Key of rows that were made of records set aside (rule 27): they belong to no claim.
#[must_use]
pub fn replay_key(prefix: &str, target: &str, sha256: &str) -> String {
    format!(
        "{}_replays/{target}/{}.csv.zst",
        folder(prefix),
        &sha256[..sha256.len().min(32)]
    )
}

/// Folder of the manifests of a target.
#[must_use]
pub fn manifest_folder(prefix: &str, target: &str) -> String {
    format!("{}_manifests/{target}/", folder(prefix))
}

/// Key of a COPY manifest.
#[must_use]
pub fn manifest_key(prefix: &str, target: &str, load: &str, part: usize) -> String {
    format!("{}{load}-{part}.json", manifest_folder(prefix, target))
}

fn folder(prefix: &str) -> String {
    let prefix = prefix.trim_matches('/');
    if prefix.is_empty() {
        String::new()
    } else {
        format!("{prefix}/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lineage() -> Lineage {
        Lineage {
            cluster: "c".into(),
            topic: "shop.public.orders".into(),
            incarnation: Incarnation(0),
            partition: Partition(3),
        }
    }

    fn data() -> Claim {
        Claim {
            records: 4,
            rows: 3,
            skipped: 1,
            first: Some(Offset(11)),
            last: Some(Offset(19)),
            plan: Some(PlanId("ab".into())),
            schemas: vec![SchemaId::confluent(7)],
            dialect: Some(Dialect {
                id: "redshift-csv-1".into(),
                delimiter: ',',
                quote: '"',
                null: "~".into(),
                compression: Compression::Zstd,
            }),
            object: Some(Object {
                bucket: "b".into(),
                region: "r".into(),
                key: "ü/k".into(),
                bytes: 5,
                sha256: "00".repeat(32),
            }),
            longest: BTreeMap::from([("name".into(), 17)]),
            ..Claim::new(Kind::Data, &lineage(), Offset(10), Offset(20))
        }
    }

    #[test]
    fn a_claim_reads_back_as_it_was_sent() {
        let claim = data();
        assert_eq!(Claim::decode(&claim.encode()).unwrap(), claim);
        assert!(claim.is_of(&claim.lineage()));
    }

    #[test]
    fn metadata_is_ascii_and_lacks_only_statistics() {
        let claim = data();
        let metadata = claim.metadata();
        assert!(
            metadata.is_ascii() && metadata.len() <= METADATA_BYTES_MAX,
            "{metadata}"
        );
        let read = Claim::decode(metadata.as_bytes()).unwrap();
        assert_eq!(
            read,
            Claim {
                longest: BTreeMap::new(),
                ..claim
            }
        );
    }

    #[test]
    fn records_set_aside_lie_beside_the_rows_and_are_counted() {
        let claim = Claim {
            rejected: 2,
            aside: Some(Aside {
                headers: false,
                lines: 3,
                bytes: 40,
                sha256: "cd".repeat(32),
            }),
            ..data()
        };
        assert_eq!(Claim::decode(&claim.encode()).unwrap(), claim);
        assert!(claim.metadata().len() <= METADATA_BYTES_MAX);
        let mut beside = claim.clone();
        let own = object_key("raw", &lineage(), Offset(10), Offset(20), "ab", Compression::Zstd);
        beside.object.as_mut().unwrap().key = own;
        let aside = beside.aside_object().unwrap();
        let name = object_name("raw", &lineage().topic, &aside.key).unwrap();
        assert!(
            name.aside && (name.start, name.next) == (Offset(10), Offset(20)),
            "{}",
            aside.key
        );
        let uncounted = Claim {
            rejected: 0,
            ..claim.clone()
        };
        assert!(matches!(
            Claim::decode(&uncounted.encode()),
            Err(DecodeError::Inconsistent(_))
        ));
        let only = Claim {
            rows: 0,
            kind: Kind::Skip,
            ..claim
        };
        let key = bare_claim_key("raw", &only);
        assert_eq!(object_name("raw", &lineage().topic, &key).unwrap().kind, Kind::Skip);
        assert_ne!(
            key,
            bare_claim_key(
                "raw",
                &Claim {
                    rejected: 0,
                    aside: None,
                    ..only
                }
            )
        );
    }

    #[test]
    fn many_schemas_do_not_break_the_limit_of_s3() {
        let claim = Claim {
            schemas: (0..500).map(SchemaId::confluent).collect(),
            ..data()
        };
        assert!(claim.metadata().len() <= METADATA_BYTES_MAX);
    }

    #[test]
    fn what_cannot_be_acted_on_is_refused() {
        let text = |claim: &Claim| String::from_utf8(claim.encode()).unwrap();
        let newer = text(&data()).replace("\"v\":1", "\"v\":2");
        assert!(matches!(Claim::decode(newer.as_bytes()), Err(DecodeError::Version(2))));
        let unknown = text(&data()).replace("\"data\"", "\"splice\"");
        assert!(matches!(
            Claim::decode(unknown.as_bytes()),
            Err(DecodeError::Malformed(_))
        ));
        let backwards = Claim {
            next: Offset(9),
            end: Offset(8),
            ..data()
        };
        assert!(matches!(
            Claim::decode(&backwards.encode()),
            Err(DecodeError::Inconsistent(_))
        ));
        let objectless = Claim { object: None, ..data() };
        assert!(matches!(
            Claim::decode(&objectless.encode()),
            Err(DecodeError::Inconsistent(_))
        ));
    }

    #[test]
    fn keys_sort_by_offset_and_differ_by_content() {
        let key = |start, sha: &str| {
            object_key(
                "/raw/",
                &lineage(),
                Offset(start),
                Offset(start + 5),
                sha,
                Compression::Gzip,
            )
        };
        assert_eq!(
            key(7, &"ab".repeat(32)),
            "raw/shop.public.orders/i0/p3/0000000000000000007-0000000000000000012-abababababababab.csv.gz"
        );
        assert!(key(99, "ab") < key(100, "ab"));
        assert_ne!(key(7, &"ab".repeat(32)), key(7, &"cd".repeat(32)));
        assert_eq!(plan_key("", &PlanId("x".into())), "_plans/x.json");
    }

    /// A reset that was put and not signalled, and one after the topic was created once more.
    #[test]
    fn what_is_said_of_another_topic_has_another_key() {
        let by = |writer: &str, topic_id: &str| {
            bare_claim_key(
                "",
                &Claim {
                    writer: writer.into(),
                    build: writer.into(),
                    topic_id: Some(topic_id.into()),
                    ..Claim::new(Kind::Reset, &lineage(), Offset(9), Offset(9))
                },
            )
        };
        assert_ne!(by("a", "first"), by("a", "second"));
        assert_eq!(by("a", "first"), by("b", "first"));
    }

    #[test]
    fn keys_read_back() {
        let of = lineage();
        let data = object_key("raw", &of, Offset(7), Offset(12), &"ab".repeat(32), Compression::Zstd);
        let name = object_name("/raw", &of.topic, &data).unwrap();
        assert_eq!(lineage_of("raw", &data), Some((of.topic.as_str(), name)));
        assert_eq!(lineage_of("raw", &manifest_key("raw", "main", "l", 0)), None);
        assert_eq!(
            (name.partition, name.start, name.next, name.kind),
            (of.partition, Offset(7), Offset(12), Kind::Data)
        );
        let bare = bare_claim_key("", &Claim::new(Kind::Horizon, &of, Offset(9), Offset(9)));
        let name = object_name("", &of.topic, &bare).unwrap();
        assert_eq!((name.next, name.kind), (Offset(9), Kind::Horizon));
        let reset = Claim::new(Kind::Reset, &of, Offset(9), Offset(9));
        let bare = bare_claim_key("", &reset);
        assert_eq!(object_name("", &of.topic, &bare).unwrap().kind, Kind::Reset);
        let old = "shop.public.orders/i0/p3/0000000000000000009-0000000000000000009-reset.claim";
        assert_eq!(object_name("", &of.topic, old), object_name("", &of.topic, &bare));
        for other in [
            "raw/shop.public.orders/i0/p3/readme",
            "raw/_plans/ab.json",
            "raw/shop.public.orders2/i0/p3/x",
        ] {
            assert_eq!(object_name("raw", &of.topic, other), None, "{other}");
        }
    }

    #[test]
    fn the_fingerprint_tells_null_from_empty_and_key_from_value() {
        let all = [
            fingerprint(None, None),
            fingerprint(Some(b""), None),
            fingerprint(None, Some(b"")),
            fingerprint(Some(b"a"), Some(b"")),
            fingerprint(Some(b""), Some(b"a")),
        ];
        let distinct: std::collections::BTreeSet<u32> = all.into_iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
