//! Plan documents by id. They never change, so they are read once; the cache is bounded because a process may see many tables.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use common::claim::plan_key;
use common::failure::Failure;
use common::plan::{Plan, PlanId};
use runtime::port::{ObjectStore, PutObject, Result};
use sha2::{Digest, Sha256};

/// Plans kept: a table uses one or two at a time, and a plan of a hundred columns takes some 20 KB.
const KEPT: usize = 2_000;

/// Plan documents by id, those used last at the back.
#[derive(Debug, Default)]
pub struct Plans {
    kept: Mutex<VecDeque<(PlanId, Arc<Plan>)>>,
}

impl Plans {
    /// The plan of an id, read from `bucket` if it is not at hand.
    ///
    /// # Errors
    /// When S3 does not answer (retry), or there is no such document, or it is none or another one (halt).
    pub async fn get(&self, store: &dyn ObjectStore, bucket: &str, prefix: &str, id: &PlanId) -> Result<Arc<Plan>> {
        if let Some(plan) = self.kept(id) {
            return Ok(plan);
        }
        let key = plan_key(prefix, id);
        let doing = || format!("read plan `{id}`");
        let document = store
            .get(bucket, &key)
            .await
            .map_err(|failure| failure.context(doing()).key(&key))?;
        let document = document.ok_or_else(|| {
            Failure::halt(format!("{}: there is no such document in bucket `{bucket}`", doing()))
                .key(&key)
                .hint("plans are put before the first claim that names them; restore the object, or check that [s3] prefix is that of s3-spolt")
        })?;
        let plan = Plan::parse(&document).map_err(|error| Failure::halt(format!("{}: {error}", doing())).key(&key))?;
        if plan.id() != *id {
            return Err(Failure::halt(format!("{}: its content is that of plan `{}`", doing(), plan.id())).key(&key));
        }
        Ok(self.keep(plan))
    }

    /// Puts a plan's document where it is not yet known to lie.
    ///
    /// # Errors
    /// When S3 refuses it.
    pub async fn put(&self, store: &dyn ObjectStore, prefix: &str, plan: &Plan) -> Result<()> {
        let id = plan.id();
        if self.kept(&id).is_some() {
            return Ok(());
        }
        store
            .put_if_absent(object(plan_key(prefix, &id), plan.document()))
            .await?;
        self.keep(plan.clone());
        Ok(())
    }

    fn kept(&self, id: &PlanId) -> Option<Arc<Plan>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(known, _)| known == id)?;
        let entry = kept.remove(at)?;
        let plan = Arc::clone(&entry.1);
        kept.push_back(entry);
        Some(plan)
    }

    fn keep(&self, plan: Plan) -> Arc<Plan> {
        let plan = Arc::new(plan);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back((plan.id(), Arc::clone(&plan)));
        if kept.len() > KEPT {
            kept.pop_front();
        }
        plan
    }
}

/// A JSON object to be put.
#[must_use]
pub fn object(key: String, body: Vec<u8>) -> PutObject {
    let sha256 = Sha256::digest(&body).into();
    PutObject {
        key,
        body: body.into(),
        sha256,
        content_type: "application/json",
        metadata: Vec::new(),
    }
}
