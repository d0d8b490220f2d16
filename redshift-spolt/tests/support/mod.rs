//! Claims, plans and state for the tests of the pure half.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

pub mod log;
pub mod sqlite;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::claim::{Claim, Compression, Dialect, Kind, Object};
use common::ids::{Incarnation, Lineage, Offset, Partition};
use common::plan::{Column, Plan, PlanId};
use common::table::ColumnType;

pub const TOPIC: &str = "shop.public.orders";

pub fn lineage(partition: i32) -> Lineage {
    Lineage {
        cluster: "c1".into(),
        topic: TOPIC.into(),
        incarnation: Incarnation(0),
        partition: Partition(partition),
    }
}

pub fn bare(kind: Kind, partition: i32, start: i64, next: i64) -> Claim {
    Claim::new(kind, &lineage(partition), Offset(start), Offset(next))
}

pub fn data(partition: i32, start: i64, next: i64, plan: &PlanId) -> Claim {
    let rows = u64::try_from(next - start).unwrap();
    Claim {
        records: rows,
        rows,
        plan: Some(plan.clone()),
        dialect: Some(Dialect {
            id: "redshift-csv-1".into(),
            delimiter: ',',
            quote: '"',
            null: "~null~".into(),
            compression: Compression::Zstd,
        }),
        object: Some(Object {
            bucket: "lake".into(),
            region: "eu-central-1".into(),
            key: format!(
                "raw/{TOPIC}/i0/p{partition}/{start:019}-{next:019}-{}.csv.zst",
                &plan.0[..4]
            ),
            bytes: rows * 10,
            sha256: "00".repeat(32),
        }),
        longest: BTreeMap::from([("note".to_owned(), 17)]),
        max_time_ms: Some(1_700_000_000_000 + next),
        ..bare(Kind::Data, partition, start, next)
    }
}

pub fn column(name: &str, ty: ColumnType, key: Option<u16>, default: Option<&str>) -> Column {
    Column {
        name: name.into(),
        ty,
        nullable: key.is_none(),
        default: default.map(str::to_owned),
        key,
        source: name.into(),
    }
}

pub fn narrow() -> Plan {
    Plan {
        columns: vec![
            column("id", ColumnType::BigInt, Some(0), None),
            column("note", ColumnType::Varchar { limit: None }, None, None),
            column("at", ColumnType::Time, None, None),
        ],
    }
}

pub fn wide() -> Plan {
    let mut plan = narrow();
    plan.columns.push(column(
        "price",
        ColumnType::Decimal {
            precision: 10,
            scale: 2,
        },
        None,
        Some("0.00"),
    ));
    plan.columns.push(column("doc", ColumnType::Super, None, None));
    plan
}

pub fn plans() -> BTreeMap<PlanId, Plan> {
    [narrow(), wide()].into_iter().map(|plan| (plan.id(), plan)).collect()
}

pub fn arc(claims: Vec<Claim>) -> Vec<Arc<Claim>> {
    claims.into_iter().map(Arc::new).collect()
}
