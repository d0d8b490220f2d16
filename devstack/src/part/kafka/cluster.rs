//! One or several brokers, each of which can be stopped, started and robbed of its data while the others go on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine;
use rustix::process::Signal;

use super::{HEAP, SMALL_HEAP, java, settings};
use crate::client::kafka::Kafka;
use crate::fetch;
use crate::home::Home;
use crate::part::{START_DEADLINE, ready};
use crate::process::{Process, free_ports};

/// A killed broker is gone when its process is; that takes the kernel no longer.
const KILL_DEADLINE: Duration = Duration::from_secs(10);

/// Highest number of brokers: more than drills need, and as many as a laptop bears.
const MOST: u16 = 5;

/// One node: broker and controller.
#[derive(Debug)]
pub struct Broker {
    /// Its id, from 1.
    pub id: i32,
    /// Where clients and the other brokers reach it.
    pub port: u16,
    /// Where the controllers reach it.
    pub controller_port: u16,
    folder: PathBuf,
    process: Option<Process>,
}

impl Broker {
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn name(&self, all: usize) -> String {
        if all == 1 {
            "kafka".to_owned()
        } else {
            format!("kafka-{}", self.id)
        }
    }
}

/// Brokers of one controller quorum. They are killed when this value is dropped: the data is thrown away, and a controlled shutdown would wait for a
/// quorum that is gone.
#[derive(Debug)]
pub struct Cluster {
    home: Home,
    jars: PathBuf,
    cluster_id: String,
    brokers: Vec<Broker>,
}

impl Cluster {
    /// Formats and starts so many brokers on free ports and waits until all have joined.
    ///
    /// # Errors
    /// One does not come up; the error has the end of its log.
    pub async fn start(home: &Home, jars: &Path, count: u16) -> Result<Self> {
        if !(1..=MOST).contains(&count) {
            bail!("a stack has `1` to `{MOST}` brokers, not `{count}`");
        }
        let ports = free_ports(2 * usize::from(count))?;
        let mut brokers = Vec::new();
        for (id, ports) in (1..).zip(ports.chunks(2)) {
            let folder = home.data().join(format!("kafka-{id}"));
            std::fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
            brokers.push(Broker {
                id,
                port: ports[0],
                controller_port: ports[1],
                folder,
                process: None,
            });
        }
        // A random id in Kafka's form: 16 bytes in unpadded URL-safe base64.
        let cluster_id = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>());
        let mut cluster = Self {
            home: home.clone(),
            jars: jars.to_owned(),
            cluster_id,
            brokers,
        };
        cluster.start_all().await?;
        Ok(cluster)
    }

    async fn start_all(&mut self) -> Result<()> {
        let ids: Vec<i32> = self.brokers.iter().map(|broker| broker.id).collect();
        futures::future::try_join_all(ids.iter().map(|id| self.format(*id))).await?;
        for id in &ids {
            self.spawn(*id)?;
        }
        // A quorum answers only when more than half of it runs, so none can be waited for before all are spawned.
        for id in ids {
            self.answers(id).await?;
        }
        self.joined().await
    }

    /// Where clients find the cluster.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        let addresses: Vec<String> = self
            .brokers
            .iter()
            .map(|broker| format!("127.0.0.1:{}", broker.port))
            .collect();
        addresses.join(",")
    }

    /// A client that knows all brokers.
    #[must_use]
    pub fn kafka(&self) -> Kafka {
        Kafka::new(&self.bootstrap())
    }

    /// The brokers.
    #[must_use]
    pub fn brokers(&self) -> &[Broker] {
        &self.brokers
    }

    /// Hands the processes over; nothing can be stopped or started through this value any more.
    #[must_use]
    pub fn into_processes(mut self) -> Vec<Process> {
        self.brokers
            .iter_mut()
            .filter_map(|broker| broker.process.take())
            .collect()
    }

    fn broker(&mut self, id: i32) -> Result<&mut Broker> {
        self.brokers
            .iter_mut()
            .find(|broker| broker.id == id)
            .with_context(|| format!("there is no broker `{id}`"))
    }

    /// SIGKILL: a broker that is gone without a word.
    ///
    /// # Errors
    /// There is no such broker, or it does not run.
    pub async fn kill(&mut self, id: i32) -> Result<()> {
        let process = self.broker(id)?.process.take();
        let mut process = process.with_context(|| format!("broker `{id}` does not run"))?;
        process.signal(Signal::KILL);
        process.wait(KILL_DEADLINE).await.map(drop)
    }

    /// SIGSTOP: a broker that keeps its connections and answers nothing. [`Cluster::resume`] lets it go on.
    ///
    /// # Errors
    /// There is no such broker, or it does not run.
    pub fn pause(&mut self, id: i32) -> Result<()> {
        self.signal(id, Signal::STOP)
    }

    /// Undoes [`Cluster::pause`].
    ///
    /// # Errors
    /// There is no such broker, or it does not run.
    pub fn resume(&mut self, id: i32) -> Result<()> {
        self.signal(id, Signal::CONT)
    }

    fn signal(&mut self, id: i32, signal: Signal) -> Result<()> {
        let process = &self.broker(id)?.process;
        process
            .as_ref()
            .with_context(|| format!("broker `{id}` does not run"))?
            .signal(signal);
        Ok(())
    }

    /// Starts a broker that was killed, with the data that it left, and waits until it has joined again.
    ///
    /// # Errors
    /// It runs already, or does not come up.
    pub async fn restart(&mut self, id: i32) -> Result<()> {
        self.spawn(id)?;
        self.answers(id).await
    }

    /// Throws away what a killed broker has stored, as if its disk were new.
    ///
    /// # Errors
    /// It still runs, or the folder cannot be emptied.
    pub async fn wipe(&mut self, id: i32) -> Result<()> {
        let broker = self.broker(id)?;
        if broker.process.is_some() {
            bail!("broker `{id}` runs; kill it before its data is wiped");
        }
        let log = broker.log();
        std::fs::remove_dir_all(&log).with_context(|| format!("cannot remove `{}`", log.display()))?;
        self.format(id).await
    }

    async fn format(&self, id: i32) -> Result<()> {
        let found = self.brokers.iter().find(|broker| broker.id == id);
        let broker = found.with_context(|| format!("there is no broker `{id}`"))?;
        let file = broker.folder.join("server.properties");
        std::fs::write(&file, settings::of(broker, &self.brokers))
            .with_context(|| format!("cannot write `{}`", file.display()))?;
        let mut format = tokio::process::Command::from(java(&self.jars, SMALL_HEAP));
        format
            // One word: an id may begin with `-`, which would be taken for an option.
            .args([
                "kafka.tools.StorageTool",
                "format",
                &format!("--cluster-id={}", self.cluster_id),
                "-c",
            ])
            .arg(&file);
        fetch::run(&mut format)
            .await
            .context("cannot format Kafka's storage")
            .map(drop)
    }

    fn spawn(&mut self, id: i32) -> Result<()> {
        let count = self.brokers.len();
        let (jars, home) = (self.jars.clone(), self.home.clone());
        let broker = self.broker(id)?;
        if broker.process.is_some() {
            bail!("broker `{id}` runs already");
        }
        let mut command = java(&jars, if count == 1 { HEAP } else { SMALL_HEAP });
        command.arg("kafka.Kafka").arg(broker.folder.join("server.properties"));
        let name = broker.name(count);
        broker.process = Some(Process::spawn(&name, command, &home.log(&name), Some(&home.run()))?);
        Ok(())
    }

    async fn answers(&mut self, id: i32) -> Result<()> {
        let broker = self.broker(id)?;
        let kafka = Kafka::new(&format!("127.0.0.1:{}", broker.port));
        let process = broker.process.as_mut();
        let process = process.with_context(|| format!("broker `{id}` does not run"))?;
        ready(process, || async {
            kafka.brokers(Duration::from_secs(2)).await.map(drop)
        })
        .await
    }

    /// Waits until every running broker is seen by the controllers.
    async fn joined(&self) -> Result<()> {
        let running = self.brokers.iter().filter(|broker| broker.process.is_some()).count();
        let kafka = self.kafka();
        crate::wait::until(START_DEADLINE, &format!("`{running}` brokers"), || async {
            let seen = kafka.brokers(Duration::from_secs(2)).await.unwrap_or(0);
            Ok((seen >= running).then_some(()))
        })
        .await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for broker in &self.brokers {
            if let Some(process) = &broker.process {
                process.signal(Signal::KILL);
            }
        }
    }
}
