//! The schema registry.

use async_trait::async_trait;
use common::failure::Failure;
use runtime::port::{Registry, Result};

use super::answered;
use crate::schedule::Point;
use crate::workload;
use crate::world::Port;

#[async_trait]
impl Registry for Port {
    async fn schema(&self, id: u32) -> Result<String> {
        let reply = self.send(Point::Schema, move |_| workload::schema(id)).await;
        answered(reply, "ask the registry")?
            .map(str::to_owned)
            .ok_or_else(|| Failure::retry(format!("schema id `{id}` is unknown to the registry")))
    }
}
