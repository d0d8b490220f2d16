//! Objects on S3, and the tables that the stand-in loads from them as the loader would: COPY by manifest into a stage, times cast on
//! their way into the table.

use std::collections::BTreeMap;
use std::path::PathBuf;

use aws_sdk_s3::Client;
use common::csv::DEFAULT_NULL_MARKER;
use common::manifest::{self, Entry};
use common::plan::META_COLUMNS;
use common::table::ColumnType;
use redshift_spolt::load::evolve::{self, Wanted};
use spolt_tests::parts::Parts;
use spolt_tests::rig::s3_client;
use spolt_tests::warehouse::{Row, Warehouse as Session};

use crate::table::{Encoded, Table};

/// An object on S3, and the same bytes in a file.
pub struct Object {
    pub file: PathBuf,
    key: String,
    zstd: bool,
}

/// The bucket and the stand-in.
pub struct Warehouse {
    session: Session,
    s3: Client,
    bucket: String,
    folder: tempfile::TempDir,
}

impl Warehouse {
    /// A bucket of its own.
    pub async fn new() -> Warehouse {
        let parts = Parts::from_env();
        let s3 = s3_client(&parts.s3);
        let bucket = format!("properties-{}", uuid::Uuid::new_v4().simple());
        s3.create_bucket()
            .bucket(&bucket)
            .send()
            .await
            .expect("a bucket can be made");
        let session = Session::connect(&parts.redshift).await;
        session.rows("SET extra_float_digits TO 2").await.unwrap();
        Warehouse {
            session,
            s3,
            bucket,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Compresses rows, by zstd or gzip, and puts them with a manifest.
    pub async fn put(&mut self, table: &Table, encoded: &Encoded) -> Object {
        let zstd = table.seed.is_multiple_of(2);
        let bytes = if zstd {
            zstd::encode_all(encoded.csv.as_slice(), 1).unwrap()
        } else {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut encoder, &encoded.csv).unwrap();
            encoder.finish().unwrap()
        };
        let key = format!("{}.csv.{}", table.seed, if zstd { "zst" } else { "gz" });
        let file = self.folder.path().join(&key);
        std::fs::write(&file, &bytes).unwrap();
        let entry = Entry {
            bucket: self.bucket.clone(),
            key: key.clone(),
            bytes: bytes.len() as u64,
        };
        for (key, bytes) in [
            (key.clone(), bytes),
            (format!("{key}.manifest"), manifest::document(&[entry])),
        ] {
            let put = self.s3.put_object().bucket(&self.bucket).key(key).body(bytes.into());
            put.send().await.expect("an object can be put");
        }
        Object { file, key, zstd }
    }

    /// Loads an object into a table, reads the table in the order of the offsets, and drops it.
    pub async fn load(&mut self, object: &Object, encoded: &Encoded) -> Vec<Row> {
        let longest: BTreeMap<&str, u32> = encoded
            .longest
            .iter()
            .map(|(name, bytes)| (name.as_str(), *bytes))
            .collect();
        let columns = evolve::wanted(&encoded.plan, &BTreeMap::new(), &longest).unwrap();
        let names: Vec<String> = columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        let meta = META_COLUMNS.map(|column| match column.ty {
            ColumnType::Varchar { limit: None } => format!("\"{}\" VARCHAR(64)", column.name),
            ty => format!("\"{}\" {ty}", column.name),
        });
        let typed = |ty: fn(&Wanted) -> ColumnType| {
            columns
                .iter()
                .zip(&names)
                .map(move |(column, name)| format!("{name} {}", ty(column)))
        };
        let stage: Vec<String> = meta.into_iter().chain(typed(evolve::staged)).collect();
        let target: Vec<String> = typed(|column| column.ty).collect();
        let cast = columns.iter().zip(&names).map(|(column, name)| match column.ty {
            ty @ (ColumnType::Time | ColumnType::TimeTz) => format!("CAST({name} AS {ty})"),
            _ => name.clone(),
        });
        let cast: Vec<String> = cast.collect();
        let copied: Vec<String> = META_COLUMNS
            .iter()
            .map(|column| format!("\"{}\"", column.name))
            .chain(names.clone())
            .collect();
        let list = names.join(", ");
        self.run(&format!("CREATE TEMP TABLE \"stage\" ({})", stage.join(", ")))
            .await;
        self.run(&format!(
            "CREATE TEMP TABLE \"target\" (\"_kafka_offset\" BIGINT, {})",
            target.join(", ")
        ))
        .await;
        self.run(&format!(
            "COPY \"stage\" ({}) FROM 's3://{}/{}.manifest' IAM_ROLE DEFAULT MANIFEST FORMAT AS CSV QUOTE AS '\"' DELIMITER ',' NULL AS '{}' {} \
             DATEFORMAT 'auto' TIMEFORMAT 'auto' COMPUPDATE OFF STATUPDATE OFF",
            copied.join(", "),
            self.bucket,
            object.key,
            DEFAULT_NULL_MARKER,
            if object.zstd { "ZSTD" } else { "GZIP" },
        ))
        .await;
        self.run(&format!(
            "INSERT INTO \"target\" (\"_kafka_offset\", {list}) SELECT \"_kafka_offset\", {} FROM \"stage\"",
            cast.join(", ")
        ))
        .await;
        let rows = self
            .run(&format!("SELECT {list} FROM \"target\" ORDER BY \"_kafka_offset\""))
            .await;
        self.run("DROP TABLE \"stage\"").await;
        self.run("DROP TABLE \"target\"").await;
        rows
    }

    async fn run(&self, sql: &str) -> Vec<Row> {
        let rows = self.session.rows(sql).await;
        rows.unwrap_or_else(|error| panic!("{error}: {sql}"))
    }
}
