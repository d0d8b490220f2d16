//! LocalStack, its S3 only.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Started, ready};
use crate::client::s3::S3;
use crate::fetch::python::interpreter;
use crate::home::Home;
use crate::process::Process;

/// Starts LocalStack on `port` and waits until it lists its buckets.
///
/// # Errors
/// It does not come up; the error has the end of its log.
pub async fn start(home: &Home, environment: &Path, port: u16) -> Result<Started> {
    let folder = home.data().join("localstack");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    let mut command = Command::new(interpreter(environment));
    command.args(["-m", "localstack.runtime.main"]);
    command.env("SERVICES", "s3").env("EAGER_SERVICE_LOADING", "1");
    command.env("GATEWAY_LISTEN", format!("127.0.0.1:{port}"));
    command
        .env("USE_SSL", "0")
        .env("DISABLE_EVENTS", "1")
        .env("SKIP_SSL_CERT_DOWNLOAD", "1");
    command.env("LOCALSTACK_VOLUME_DIR", &folder).env("TMPDIR", &folder);
    let mut process = Process::spawn("localstack", command, &home.log("localstack"), Some(&home.run()))?;
    let address = format!("http://127.0.0.1:{port}");
    let s3 = S3::local(&address);
    ready(&mut process, || async { s3.buckets().await.map(drop) }).await?;
    Ok(Started { process, address })
}
