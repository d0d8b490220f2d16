//! One PostgreSQL session behind a client's session.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::fields::{Report, parse_row};
use super::frame::{Frame, FrameReader, put_frame, put_text, take_text};

/// Where PostgreSQL is and who the stand-in is there.
#[derive(Debug, Clone)]
pub struct Address {
    /// Host name or IP.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User; has to be a superuser.
    pub user: String,
    /// Password, if it wants one.
    pub password: Option<String>,
    /// Database.
    pub database: String,
}

/// Transaction state as the last ReadyForQuery told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Not in a block.
    Idle,
    /// In a block.
    Block,
    /// In a block that failed.
    Failed,
}

impl Status {
    /// Reads the byte of ReadyForQuery.
    #[must_use]
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            b'I' => Self::Idle,
            b'T' => Self::Block,
            _ => Self::Failed,
        }
    }

    /// The byte of ReadyForQuery.
    #[must_use]
    pub fn byte(self) -> u8 {
        match self {
            Self::Idle => b'I',
            Self::Block => b'T',
            Self::Failed => b'E',
        }
    }
}

/// What ended a hidden query.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The connection is gone.
    #[error("connection to postgresql lost")]
    Lost(#[from] io::Error),
    /// PostgreSQL answered with an error; the session goes on.
    #[error("postgresql: {} (SQLSTATE {})", .0.get(b'M'), .0.get(b'C'))]
    Refused(Report),
}

/// Rows of a hidden query, as text.
pub type Rows = Vec<Vec<Option<Bytes>>>;

/// A PostgreSQL session.
#[derive(Debug)]
pub struct Backend {
    reader: FrameReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    /// Process id, as PostgreSQL and the client know it.
    pub process_id: u32,
    /// Key for CancelRequest.
    pub secret: u32,
    /// Transaction state.
    pub status: Status,
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "postgresql closed the connection")
}

impl Backend {
    /// Connects and logs in.
    ///
    /// # Errors
    /// PostgreSQL cannot be reached or refuses.
    pub async fn connect(address: &Address, application_name: &str) -> Result<Self, BackendError> {
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
        stream.set_nodelay(true)?;
        let (read_half, writer) = stream.into_split();
        let mut backend = Self {
            reader: FrameReader::new(read_half),
            writer,
            process_id: 0,
            secret: 0,
            status: Status::Idle,
        };
        let mut body = Vec::new();
        body.put_u32(0x0003_0000);
        for (key, value) in [
            ("user", address.user.as_str()),
            ("database", &address.database),
            ("client_encoding", "UTF8"),
            ("application_name", application_name),
        ] {
            body.put_slice(key.as_bytes());
            body.put_u8(0);
            body.put_slice(value.as_bytes());
            body.put_u8(0);
        }
        body.put_u8(0);
        let mut start = BytesMut::new();
        start.put_u32(u32::try_from(body.len() + 4).unwrap_or(u32::MAX));
        start.put_slice(&body);
        backend.send(&start).await?;
        backend.log_in(address).await?;
        Ok(backend)
    }

    async fn log_in(&mut self, address: &Address) -> Result<(), BackendError> {
        loop {
            let mut frame = self.receive().await?;
            match frame.kind {
                b'R' => self.authenticate(&mut frame.body, address).await?,
                b'K' => {
                    self.process_id = frame.body.try_get_u32().map_err(|_| closed())?;
                    self.secret = frame.body.try_get_u32().map_err(|_| closed())?;
                }
                b'E' => return Err(BackendError::Refused(Report::parse(frame.body))),
                b'Z' => return Ok(()),
                _ => {}
            }
        }
    }

    async fn authenticate(&mut self, body: &mut Bytes, address: &Address) -> Result<(), BackendError> {
        let password = address.password.as_deref().unwrap_or("");
        let mut out = BytesMut::new();
        match body.try_get_u32().map_err(|_| closed())? {
            0 | 12 => return Ok(()),
            3 => put_text(&mut out, b'p', password),
            5 => {
                let salt: [u8; 4] = body.as_ref().try_into().map_err(|_| closed())?;
                put_text(
                    &mut out,
                    b'p',
                    &md5_hash(address.user.as_bytes(), password.as_bytes(), salt),
                );
            }
            10 => return self.scram(password).await,
            other => {
                return Err(BackendError::Refused(Report::error(
                    "28000",
                    &format!("authentication method `{other}` of postgresql is not supported"),
                    None,
                )));
            }
        }
        Ok(self.send(&out).await?)
    }

    async fn scram(&mut self, password: &str) -> Result<(), BackendError> {
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        let mut first = Vec::new();
        first.put_slice(SCRAM_SHA_256.as_bytes());
        first.put_u8(0);
        first.put_u32(u32::try_from(scram.message().len()).unwrap_or(0));
        first.put_slice(scram.message());
        let mut out = BytesMut::new();
        put_frame(&mut out, b'p', &first);
        self.send(&out).await?;
        let challenge = self.sasl_answer().await?;
        scram.update(&challenge)?;
        let mut out = BytesMut::new();
        put_frame(&mut out, b'p', scram.message());
        self.send(&out).await?;
        let last = self.sasl_answer().await?;
        Ok(scram.finish(&last)?)
    }

    async fn sasl_answer(&mut self) -> Result<Bytes, BackendError> {
        let mut frame = self.receive().await?;
        match frame.kind {
            b'R' if frame.body.len() >= 4 => {
                frame.body.advance(4);
                Ok(frame.body)
            }
            b'E' => Err(BackendError::Refused(Report::parse(frame.body))),
            _ => Err(BackendError::Lost(closed())),
        }
    }

    /// Sends bytes that are whole frames.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes).await
    }

    /// The next frame. Cancelling it loses nothing.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn receive(&mut self) -> io::Result<Frame> {
        let frame = self.reader.frame().await?.ok_or_else(closed)?;
        if frame.kind == b'Z' {
            self.status = Status::from_byte(frame.body.first().copied().unwrap_or(b'E'));
        }
        Ok(frame)
    }

    /// Reads and sends at once, so that neither side waits for the other for ever.
    pub fn split(&mut self) -> (&mut FrameReader<OwnedReadHalf>, &mut OwnedWriteHalf) {
        (&mut self.reader, &mut self.writer)
    }

    /// Sends a simple query.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn query(&mut self, sql: &str) -> io::Result<()> {
        let mut out = BytesMut::new();
        put_text(&mut out, b'Q', sql);
        self.send(&out).await
    }

    /// Runs a query whose answer the client does not see.
    ///
    /// # Errors
    /// The connection is gone, or PostgreSQL refused the query.
    pub async fn hidden(&mut self, sql: &str) -> Result<Rows, BackendError> {
        self.query(sql).await?;
        self.hidden_answer().await
    }

    /// Reads answers up to ReadyForQuery.
    ///
    /// # Errors
    /// As [`Backend::hidden`].
    pub async fn hidden_answer(&mut self) -> Result<Rows, BackendError> {
        let mut rows = Vec::new();
        let mut refused = None;
        loop {
            let frame = self.receive().await?;
            match frame.kind {
                b'D' => rows.extend(parse_row(frame.body)),
                b'E' => refused = refused.or(Some(Report::parse(frame.body))),
                b'Z' => return refused.map_or(Ok(rows), |report| Err(BackendError::Refused(report))),
                _ => {}
            }
        }
    }
}

/// Passes a client's CancelRequest on.
///
/// # Errors
/// PostgreSQL cannot be reached.
pub async fn cancel(address: &Address, process_id: u32, secret: u32) -> io::Result<()> {
    let mut stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
    let mut out = BytesMut::new();
    out.put_u32(16);
    out.put_u32(80_877_102);
    out.put_u32(process_id);
    out.put_u32(secret);
    stream.write_all(&out).await?;
    stream.shutdown().await
}

/// Reads the parameters of a start-up frame, behind its version.
#[must_use]
pub fn startup_parameters(mut body: Bytes) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    while let Some(key) = take_text(&mut body) {
        if key.is_empty() {
            break;
        }
        let Some(value) = take_text(&mut body) else { break };
        parameters.push((key, value));
    }
    parameters
}
