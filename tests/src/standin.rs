//! A second stand-in, for tests of two clusters: its own database in the same PostgreSQL.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tokio_postgres::NoTls;

use crate::daemon::binary;
use crate::parts::Parts;
use crate::wait::until;

/// A running stand-in; killed when dropped.
pub struct StandIn {
    child: Child,
    _folder: tempfile::TempDir,
    /// Where clients connect.
    pub url: String,
}

impl StandIn {
    /// Creates a database of this name and starts a stand-in over it.
    ///
    /// # Panics
    /// When that fails.
    pub async fn start(parts: &Parts, name: &str) -> StandIn {
        let (client, connection) = tokio_postgres::connect(&parts.postgres, NoTls)
            .await
            .expect("PostgreSQL answers");
        tokio::spawn(connection);
        client
            .batch_execute(&format!("CREATE DATABASE \"{name}\""))
            .await
            .expect("a database can be created");
        let mut url: reqwest::Url = parts.postgres.parse().expect("a postgresql:// URL");
        url.set_path(&format!("/{name}"));
        let folder = tempfile::tempdir().expect("a folder can be made");
        let addresses: PathBuf = folder.path().join("addresses.json");
        let child = Command::new(binary("redshift-local"))
            .args(["--postgres", url.as_str(), "--s3-endpoint", &parts.s3])
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--addresses-file"])
            .arg(&addresses)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redshift-local can be started");
        until("the second stand-in listens", async || {
            addresses
                .exists()
                .then_some(())
                .ok_or_else(|| "no addresses yet".to_owned())
        })
        .await;
        let text = std::fs::read_to_string(&addresses).expect("the addresses can be read");
        let said: serde_json::Value = serde_json::from_str(&text).expect("the addresses are JSON");
        let listen = said["listen"].as_str().expect("an address");
        let user = if url.username().is_empty() {
            "postgres"
        } else {
            url.username()
        };
        StandIn {
            child,
            _folder: folder,
            url: format!("postgresql://{user}@{listen}/{name}"),
        }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
