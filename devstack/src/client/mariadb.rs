//! SQL to a MariaDB of this machine over its text protocol: a user without a password, one statement at a time, every value as the server
//! writes it. A library would bring seven crates and another set of features for those that all other programs here are built with.

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::sql::Row;

mod packet;

use packet::Answer;

/// What a session begins with: UTF-8, and texts in which a backslash is one.
const SETUP: [&str; 2] = [
    "SET NAMES utf8mb4",
    "SET SESSION sql_mode = CONCAT(@@sql_mode, ',NO_BACKSLASH_ESCAPES')",
];

/// Longest packet that is read or written: one more would have to be put together from several.
const PACKET_MAX: usize = 0xff_fffe;

/// Longest part of a statement that an error shows, in characters.
const SHOWN: usize = 2000;

/// The command that carries a statement (COM_QUERY).
const QUERY: u8 = 3;

/// Host, port and user of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Name or number.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Who asks; without a password.
    pub user: String,
}

impl Address {
    /// Of `mysql://user@host:port`.
    ///
    /// # Errors
    /// It is none.
    pub fn of(url: &str) -> Result<Self> {
        let parts = url.strip_prefix("mysql://").and_then(|rest| {
            let (user, rest) = rest.split_once('@')?;
            let (host, port) = rest.trim_end_matches('/').rsplit_once(':')?;
            Some((user, host, port.parse().ok()?))
        });
        let (user, host, port) = parts.with_context(|| format!("`{url}` is no mysql://user@host:port"))?;
        Ok(Self {
            host: host.to_owned(),
            port,
            user: user.to_owned(),
        })
    }
}

/// One connection.
pub struct MariaDb {
    stream: Mutex<BufReader<TcpStream>>,
}

impl MariaDb {
    /// Connects to `mysql://user@host:port`.
    ///
    /// # Errors
    /// Nothing answers there, or it refuses.
    pub async fn connect(url: &str) -> Result<Self> {
        let address = Address::of(url)?;
        let stream = TcpStream::connect((address.host.as_str(), address.port))
            .await
            .with_context(|| format!("cannot connect to `{url}`"))?;
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        let (_, greeting) = receive(&mut stream).await?;
        packet::greeting(&greeting).with_context(|| format!("`{url}` is no MariaDB that lets us in"))?;
        send(&mut stream, 1, &packet::login(&address.user)).await?;
        let (_, answer) = receive(&mut stream).await?;
        packet::welcome(&answer).with_context(|| format!("`{url}` does not let `{}` in", address.user))?;
        let connection = Self {
            stream: Mutex::new(stream),
        };
        for statement in SETUP {
            connection.query(statement).await?;
        }
        Ok(connection)
    }

    /// Runs a statement and returns its rows.
    ///
    /// # Errors
    /// The server refuses, with its message, or a value is no UTF-8.
    pub async fn query(&self, sql: &str) -> Result<Vec<Row>> {
        let mut stream = self.stream.lock().await;
        self.rows(&mut stream, sql).await.with_context(|| {
            let short: String = sql.chars().take(SHOWN).collect();
            format!("in `{short}`")
        })
    }

    async fn rows(&self, stream: &mut BufReader<TcpStream>, sql: &str) -> Result<Vec<Row>> {
        let mut command = vec![QUERY];
        command.extend(sql.as_bytes());
        send(stream, 0, &command).await?;
        let (_, head) = receive(stream).await?;
        let Answer::Columns(columns) = packet::answer(&head)? else {
            return Ok(Vec::new());
        };
        // A description of each column, and the end of these.
        for _ in 0..=columns {
            receive(stream).await?;
        }
        let mut rows = Vec::new();
        loop {
            let (_, packet) = receive(stream).await?;
            match packet::row(&packet, columns)? {
                Some(row) => rows.push(row),
                None => return Ok(rows),
            }
        }
    }
}

async fn send(stream: &mut BufReader<TcpStream>, sequence: u8, payload: &[u8]) -> Result<()> {
    if payload.len() > PACKET_MAX {
        bail!("a statement of `{}` bytes is too long", payload.len());
    }
    let mut packet = u32::try_from(payload.len())?.to_le_bytes();
    packet[3] = sequence;
    let all = [&packet[..], payload].concat();
    stream.write_all(&all).await.context("the connection is gone")
}

async fn receive(stream: &mut BufReader<TcpStream>) -> Result<(u8, Vec<u8>)> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.context("the connection is gone")?;
    let sequence = head[3];
    head[3] = 0;
    let length = u32::from_le_bytes(head) as usize;
    if length > PACKET_MAX {
        bail!("an answer of `{length}` bytes or more is too long");
    }
    let mut payload = vec![0; length];
    stream
        .read_exact(&mut payload)
        .await
        .context("the connection is gone")?;
    Ok((sequence, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_all_its_parts() {
        let address = Address::of("mysql://root@127.0.0.1:3306").unwrap();
        assert_eq!(
            (address.user.as_str(), address.host.as_str(), address.port),
            ("root", "127.0.0.1", 3306)
        );
        for bad in [
            "postgresql://root@127.0.0.1:3306",
            "mysql://127.0.0.1:3306",
            "mysql://root@127.0.0.1",
        ] {
            assert!(Address::of(bad).is_err(), "{bad}");
        }
    }
}
