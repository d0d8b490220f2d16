//! Reads the claims of a topic off its objects (protocol rule 2). Which of them make a log is decided by `common::rebuild`; what the
//! metadata of an object has no room for is read from its content.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use common::claim::{self, Claim, Compression, Kind, METADATA_NAME, ObjectName};
use common::failure::Failure;
use common::ids::Partition;
use common::plan::{META_COLUMNS, Plan, PlanId, hex};
use common::table::ColumnType;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use runtime::port::ObjectStore;
use sha2::{Digest, Sha256};

/// Objects that are looked at at once.
const LOOKS: usize = 32;

/// Objects that are read at once; each is in memory whole.
const READS: usize = 4;

/// What lies on S3 of a topic.
#[derive(Debug, Default)]
pub struct Found {
    /// Claims by partition, in no order.
    pub claims: BTreeMap<Partition, Vec<Claim>>,
    /// Objects that cannot be used, with the reason.
    pub unusable: Vec<(String, String)>,
}

/// Lists all objects of a topic and reads the claims that they carry.
///
/// # Errors
/// When S3 does not answer.
pub async fn find(
    store: &dyn ObjectStore,
    prefix: &str,
    cluster: &str,
    topic: &str,
    only: Option<Partition>,
    mut told: impl FnMut(usize),
) -> Result<Found, Failure> {
    let mut found = Found::default();
    let folder = claim::topic_folder(prefix, topic);
    let (mut after, mut seen): (Option<String>, usize) = (None, 0);
    loop {
        let page = store.list(&folder, after.as_deref()).await?;
        after = page.objects.last().map(|object| object.key.clone());
        let named = page.objects.into_iter().filter_map(|object| {
            let name = claim::object_name(prefix, topic, &object.key)?;
            let wanted = !name.aside && only.is_none_or(|only| only == name.partition);
            wanted.then_some((object.key, name))
        });
        let heads = stream::iter(named).map(|(key, name)| async move {
            let head = store.head(&key).await?;
            let read = match head {
                None => Err("it was deleted while it was looked at".to_owned()),
                Some(head) => carried(head.metadata.get(METADATA_NAME), &name, (cluster, topic), &key),
            };
            Ok::<_, Failure>((key, read))
        });
        let mut heads = heads.buffer_unordered(LOOKS);
        while let Some((key, read)) = heads.try_next().await? {
            seen += 1;
            match read {
                Ok(claim) => found.claims.entry(claim.partition).or_default().push(claim),
                Err(reason) => found.unusable.push((key, reason)),
            }
        }
        told(seen);
        if !page.more {
            return Ok(found);
        }
    }
}

/// The claim in an object's metadata, if it is one about this object.
fn carried(
    metadata: Option<&String>,
    name: &ObjectName,
    (cluster, topic): (&str, &str),
    key: &str,
) -> Result<Claim, String> {
    let text = metadata.ok_or("it carries no claim: was it copied without its metadata?")?;
    let claim = Claim::decode(text.as_bytes()).map_err(|error| error.to_string())?;
    if claim.cluster != cluster || claim.topic != topic {
        return Err(format!(
            "its claim is about topic `{}` of cluster `{}`",
            claim.topic, claim.cluster
        ));
    }
    let told = ObjectName {
        incarnation: claim.incarnation,
        partition: claim.partition,
        start: claim.start,
        next: claim.next,
        kind: claim.kind,
        aside: false,
    };
    let elsewhere = claim.object.as_ref().is_some_and(|object| object.key != key);
    if told != *name || elsewhere {
        return Err("its claim is about another object".to_owned());
    }
    Ok(claim)
}

/// Makes the claims of a log whole: what the metadata lacks is read from the objects, and with that each object is proved to be what its
/// claim says.
///
/// # Errors
/// When an object is missing or is not what its claim says, or S3 does not answer.
pub async fn complete(
    store: &dyn ObjectStore,
    prefix: &str,
    claims: Vec<Claim>,
    mut told: impl FnMut(usize),
) -> Result<Vec<Claim>, Failure> {
    let mut plans: BTreeMap<PlanId, Arc<Plan>> = BTreeMap::new();
    for id in claims.iter().filter_map(|claim| claim.plan.as_ref()) {
        if !plans.contains_key(id) {
            plans.insert(id.clone(), Arc::new(plan(store, prefix, id).await?));
        }
    }
    let plans = &plans;
    let whole = stream::iter(claims).map(|claim| async move {
        match (&claim.kind, claim.plan.as_ref().and_then(|id| plans.get(id))) {
            (Kind::Data, Some(plan)) => with_content(store, claim, Arc::clone(plan)).await,
            _ => Ok(claim),
        }
    });
    let mut whole = whole.buffered(READS);
    let mut done = Vec::new();
    while let Some(claim) = whole.try_next().await? {
        done.push(claim);
        told(done.len());
    }
    Ok(done)
}

async fn plan(store: &dyn ObjectStore, prefix: &str, id: &PlanId) -> Result<Plan, Failure> {
    let key = claim::plan_key(prefix, id);
    let document = store.get(store.bucket(), &key).await?.ok_or_else(|| {
        Failure::halt("the plan document of a claim is missing")
            .key(&key)
            .hint("plan documents must never be deleted; restore it from a backup or a versioned bucket")
    })?;
    Plan::parse(&document).map_err(|error| Failure::halt(error.to_string()).key(&key))
}

async fn with_content(store: &dyn ObjectStore, claim: Claim, plan: Arc<Plan>) -> Result<Claim, Failure> {
    let Some(object) = claim.object.clone() else {
        return Ok(claim);
    };
    let content = store.get(&object.bucket, &object.key).await?;
    let content =
        content.ok_or_else(|| Failure::halt("an object is missing that was there a moment ago").key(&object.key))?;
    let read = move || {
        let longest = longest(&claim, &content, &plan)?;
        Ok(Claim { longest, ..claim })
    };
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(|error| Failure::stop(format!("read an object: {error}")))?
        .map_err(|reason: String| {
            Failure::halt(reason)
                .key(&object.key)
                .hint("the object was altered after it was written; restore it from a version or a replica")
        })
}

/// The longest text of each VARCHAR column in bytes, from the rows of an object that is what its claim says.
fn longest(claim: &Claim, content: &Bytes, plan: &Plan) -> Result<BTreeMap<String, u32>, String> {
    let sha256 = claim.object.as_ref().map(|object| object.sha256.as_str());
    if sha256 != Some(hex(&Sha256::digest(content)).as_str()) {
        return Err("the object has not the digest that its claim states".to_owned());
    }
    let Some(dialect) = &claim.dialect else {
        return Err("the claim states no dialect".to_owned());
    };
    let plain: Box<dyn std::io::Read + '_> = match dialect.compression {
        Compression::Zstd => {
            Box::new(zstd::stream::read::Decoder::new(&content[..]).map_err(|error| format!("decompress: {error}"))?)
        }
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(&content[..])),
    };
    let ascii = |character: char| u8::try_from(character).map_err(|_| "the claim's dialect is not ASCII".to_owned());
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(ascii(dialect.delimiter)?)
        .quote(ascii(dialect.quote)?)
        .from_reader(std::io::BufReader::new(plain));
    let texts: Vec<(usize, &str)> = plan
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| matches!(column.ty, ColumnType::Varchar { .. }))
        .map(|(index, column)| (META_COLUMNS.len() + index, column.name.as_str()))
        .collect();
    let mut longest: BTreeMap<String, u32> = BTreeMap::new();
    let (mut row, mut rows) = (csv::ByteRecord::new(), 0_u64);
    while reader
        .read_byte_record(&mut row)
        .map_err(|error| format!("read a row: {error}"))?
    {
        rows += 1;
        for (index, name) in &texts {
            let bytes = row
                .get(*index)
                .filter(|text| *text != dialect.null.as_bytes())
                .map_or(0, <[u8]>::len);
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            if bytes > longest.get(*name).copied().unwrap_or(0) {
                longest.insert((*name).to_owned(), bytes);
            }
        }
    }
    if rows != claim.rows {
        return Err(format!(
            "the object has `{rows}` rows, its claim states `{}`",
            claim.rows
        ));
    }
    Ok(longest)
}
