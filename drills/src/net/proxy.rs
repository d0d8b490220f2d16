//! A TCP proxy that passes requests one by one, and answers in the order of the requests, as all three protocols have it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::gate::{Act, Gate};
use super::{kafka, postgres, s3};

/// How much of an answer is passed at once.
const CHUNK: usize = 64 * 1024;

/// A request as it came, and what it is.
pub(super) struct Request {
    pub(super) bytes: Vec<u8>,
    /// What a rule looks into.
    pub(super) description: String,
    /// Whether an answer follows that belongs to this request.
    pub(super) answered: bool,
    /// Whether its answer tells addresses, which must become the proxy's.
    pub(super) tells_addresses: bool,
}

/// What the answer to a request on its way means.
struct Expected {
    act: Option<Act>,
    tells_addresses: bool,
}

#[derive(Clone)]
enum Wire {
    Kafka { host: String, port: u16 },
    S3,
    Postgres,
}

/// See the module.
pub struct Proxy {
    gate: Arc<Gate>,
    port: u16,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// In front of a broker that advertises the address given, without TLS.
    ///
    /// # Errors
    /// When the address is not understood or no port is free.
    pub async fn kafka(upstream: &str) -> Result<Proxy> {
        let first = upstream.split(',').next().unwrap_or(upstream);
        let (host, port) = first.rsplit_once(':').context("Kafka's address has no port")?;
        let wire = Wire::Kafka {
            host: host.to_owned(),
            port: port.parse().context("Kafka's port")?,
        };
        Proxy::start(first, wire).await
    }

    /// In front of an object store.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn s3(upstream: &str) -> Result<Proxy> {
        Proxy::start(upstream, Wire::S3).await
    }

    /// In front of a warehouse, without TLS.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn postgres(upstream: &str) -> Result<Proxy> {
        Proxy::start(upstream, Wire::Postgres).await
    }

    async fn start(upstream: &str, wire: Wire) -> Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port for a proxy")?;
        let port = listener.local_addr()?.port();
        let gate = Arc::new(Gate::default());
        let (own, upstream) = (Arc::clone(&gate), upstream.to_owned());
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (gate, upstream, wire) = (Arc::clone(&own), upstream.clone(), wire.clone());
                tokio::spawn(async move {
                    // A connection that fails is seen by both ends, which is what a proxy is for.
                    let _ = connection(client, &upstream, &wire, &gate, port).await;
                });
            }
        });
        Ok(Proxy { gate, port, accepting })
    }

    /// Port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where its requests can be struck.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.gate.cut();
    }
}

async fn connection(client: TcpStream, upstream: &str, wire: &Wire, gate: &Gate, port: u16) -> io::Result<()> {
    if !gate.is_up() {
        return Ok(());
    }
    let server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let expected = Mutex::new(VecDeque::new());
    tokio::select! {
        passed = requests(from_client, to_server, wire, gate, &expected) => passed,
        passed = answers(from_server, to_client, wire, gate, &expected, port) => passed,
        () = gate.until_cut() => Ok(()),
    }
}

async fn requests(
    from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    wire: &Wire,
    gate: &Gate,
    expected: &Mutex<VecDeque<Expected>>,
) -> io::Result<()> {
    let mut from = BufReader::with_capacity(CHUNK, from);
    let mut started = false;
    loop {
        let request = match wire {
            Wire::Kafka { .. } => kafka::read(&mut from).await?,
            Wire::S3 => s3::read(&mut from).await?,
            Wire::Postgres => postgres::read(&mut from, &mut started).await?,
        };
        let act = gate.meets(&request.description);
        if act == Some(Act::HoldRequest) {
            gate.strike();
            gate.until_released().await;
        }
        if request.answered {
            let mut expected = expected.lock().unwrap_or_else(PoisonError::into_inner);
            expected.push_back(Expected {
                act,
                tells_addresses: request.tells_addresses,
            });
        }
        to.write_all(&request.bytes).await?;
    }
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    wire: &Wire,
    gate: &Gate,
    expected: &Mutex<VecDeque<Expected>>,
    port: u16,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let mut answer = match wire {
            Wire::Kafka { .. } => kafka::frame(&mut from).await?,
            Wire::S3 | Wire::Postgres => {
                let read = from.read(&mut buffer).await?;
                if read == 0 {
                    return Ok(());
                }
                buffer[..read].to_vec()
            }
        };
        let whole = match wire {
            Wire::Postgres => postgres::is_ready(&answer),
            Wire::Kafka { .. } | Wire::S3 => true,
        };
        let due = if whole {
            expected.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
        } else {
            None
        };
        if let (Wire::Kafka { host, port: theirs }, true) =
            (wire, due.as_ref().is_some_and(|expected| expected.tells_addresses))
        {
            kafka::put_port(&mut answer, host, *theirs, port);
        }
        match due.and_then(|expected| expected.act) {
            Some(Act::LoseAnswer) => {
                gate.strike();
                return Ok(());
            }
            Some(Act::HoldAnswer) => {
                gate.strike();
                gate.until_released().await;
            }
            Some(Act::HoldRequest) | None => {}
        }
        to.write_all(&answer).await?;
    }
}
