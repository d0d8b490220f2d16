//! The schema registry.

use async_trait::async_trait;
use common::avro::SchemaText;
use common::failure::Failure;
use common::ids::SchemaKey;
use runtime::port::{Registry, Result};

use super::answered;
use crate::schedule::Point;
use crate::workload;
use crate::world::Port;

#[async_trait]
impl Registry for Port {
    async fn schema(&self, key: SchemaKey) -> Result<SchemaText> {
        let SchemaKey::Confluent(id) = key else {
            return Err(Failure::retry(format!("schema `{key}` is unknown to the registry")));
        };
        let reply = self.send(Point::Schema, move |_| workload::schema(id)).await;
        answered(reply, "ask the registry")?
            .map(SchemaText::avro)
            .ok_or_else(|| Failure::retry(format!("schema id `{id}` is unknown to the registry")))
    }
}
