//! One client's session: start-up, then statements until it goes.

mod answer;
mod copy;
mod extended;
mod simple;
mod startup;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::shared::{SessionInfo, Shared};
use crate::sql::rewrite::Context;
use crate::wire::backend::{Backend, BackendError, Status};
use crate::wire::frame::{Frame, FrameReader, put_frame};

/// Frames of a client that wait while a statement runs: pipelined messages of the extended protocol.
const FRAMES_WAITING_MAX: usize = 256;
/// Answers are sent when this many bytes have gathered, or at the end.
const ANSWER_BYTES: usize = 64 * 1024;

/// Why a session ends.
#[derive(Debug, thiserror::Error)]
enum Ended {
    /// The client went.
    #[error("client went")]
    Gone,
    /// A fault cut the connection.
    #[error("connection cut by a fault")]
    Cut,
    /// A connection broke.
    #[error("connection broke")]
    Broken(#[from] io::Error),
    /// The start-up was refused; the client has been told.
    #[error("start-up refused: {0}")]
    Refused(String),
}

/// Results of statements: `true` when it succeeded, `false` when the client got an error.
type Outcome = Result<bool, Ended>;

/// The client's side of the connection.
#[derive(Debug)]
struct Client {
    frames: mpsc::Receiver<Frame>,
    writer: OwnedWriteHalf,
    out: BytesMut,
    /// Cancelled when the client has closed its side.
    gone: CancellationToken,
}

impl Client {
    async fn flush(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            self.writer.write_all(&self.out).await?;
            self.out.clear();
        }
        Ok(())
    }

    async fn flush_if_full(&mut self) -> io::Result<()> {
        if self.out.len() >= ANSWER_BYTES {
            self.flush().await
        } else {
            Ok(())
        }
    }
}

/// A session that has started.
#[derive(Debug)]
struct Session {
    shared: Arc<Shared>,
    client: Client,
    backend: Backend,
    info: SessionInfo,
    /// A block that the client did not open: several statements in one message are one transaction.
    is_implicit_block: bool,
    /// Parameters that only Redshift knows.
    parameters: BTreeMap<String, String>,
    last_copy_count: i64,
    last_copy_id: i64,
    /// Tables changed in the running transaction, for faults that name one.
    written: Vec<String>,
    /// Rows of the result being passed on hold VARBYTE columns at these places.
    hex_columns: Vec<usize>,
    /// An error in the extended protocol: everything up to Sync is skipped.
    is_skipping: bool,
}

/// Serves one connection to its end.
pub async fn serve(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "socket option refused");
    }
    let (read_half, writer) = stream.into_split();
    let mut reader = FrameReader::new(read_half);
    let mut session = match startup::start(&shared, &mut reader, writer).await {
        Ok(Some((writer, backend, info))) => {
            let (sender, frames) = mpsc::channel(FRAMES_WAITING_MAX);
            let gone = CancellationToken::new();
            tokio::spawn(forward(reader, sender, gone.clone()));
            let client = Client {
                frames,
                writer,
                out: BytesMut::new(),
                gone,
            };
            Session {
                shared: Arc::clone(&shared),
                client,
                backend,
                info,
                is_implicit_block: false,
                parameters: BTreeMap::new(),
                last_copy_count: 0,
                last_copy_id: -1,
                written: Vec::new(),
                hex_columns: Vec::new(),
                is_skipping: false,
            }
        }
        Ok(None) => return,
        Err(error) => {
            tracing::debug!(%peer, %error, "start-up ended");
            return;
        }
    };
    let pid = session.backend.process_id;
    shared.note_session(session.info.clone());
    tracing::debug!(%peer, pid, "session started");
    let ended = session.run().await;
    let _ = session.client.flush().await;
    shared.forget_session(pid);
    match ended {
        Ok(()) | Err(Ended::Gone) => tracing::debug!(%peer, pid, "session ended"),
        Err(error) => tracing::info!(%peer, pid, %error, "session ended"),
    }
}

/// Reads the client's frames while statements run, so that its going is seen at once.
async fn forward(
    mut reader: FrameReader<tokio::net::tcp::OwnedReadHalf>,
    sender: mpsc::Sender<Frame>,
    gone: CancellationToken,
) {
    let _guard = gone.drop_guard();
    loop {
        tokio::select! {
            frame = reader.frame() => match frame {
                Ok(Some(frame)) if frame.kind != b'X' => {
                    if sender.send(frame).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
            () = sender.closed() => return,
        }
    }
}

impl Session {
    async fn run(&mut self) -> Result<(), Ended> {
        loop {
            self.client.flush().await?;
            let frame = tokio::select! {
                frame = self.client.frames.recv() => frame,
                frame = self.backend.receive() => {
                    // PostgreSQL speaks up by itself only to say goodbye or to report a parameter.
                    let frame = frame?;
                    self.unasked(frame).await?;
                    continue;
                }
            };
            let Some(frame) = frame else { return Ok(()) };
            match frame.kind {
                b'Q' => {
                    self.is_skipping = false;
                    self.query(frame).await?;
                }
                _ => self.extended(frame).await?,
            }
        }
    }

    async fn unasked(&mut self, frame: Frame) -> Result<(), Ended> {
        match frame.kind {
            b'E' => {
                answer::error_of(&frame).put(&mut self.client.out, b'E');
                self.client.flush().await?;
                Err(Ended::Broken(io::Error::new(
                    io::ErrorKind::ConnectionAborted,
                    "postgresql ended the session",
                )))
            }
            b'N' => {
                put_frame(&mut self.client.out, b'N', &frame.body);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The next frame of PostgreSQL, unless the client goes first: its statement then ends with its session.
    async fn backend_frame(&mut self) -> Result<Frame, Ended> {
        tokio::select! {
            biased;
            frame = self.backend.receive() => Ok(frame?),
            () = self.client.gone.cancelled() => Err(Ended::Gone),
        }
    }

    /// A query whose answer the client does not see; the inner error is PostgreSQL's.
    async fn hidden(
        &mut self,
        sql: &str,
    ) -> Result<Result<crate::wire::backend::Rows, crate::wire::fields::Report>, Ended> {
        let gone = self.client.gone.clone();
        let answer = tokio::select! {
            biased;
            answer = self.backend.hidden(sql) => answer,
            () = gone.cancelled() => return Err(Ended::Gone),
        };
        match answer {
            Ok(rows) => Ok(Ok(rows)),
            Err(BackendError::Refused(report)) => Ok(Err(report)),
            Err(BackendError::Lost(error)) => Err(Ended::Broken(error)),
        }
    }

    fn context(&self) -> Context {
        let keep_case = self
            .parameters
            .get("enable_case_sensitive_identifier")
            .is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "on" | "true" | "1"));
        Context {
            keep_case,
            last_copy_count: self.last_copy_count,
            last_copy_id: self.last_copy_id,
        }
    }

    fn ready(&mut self) {
        let status = if self.is_implicit_block {
            Status::Idle
        } else {
            self.backend.status
        };
        self.client.out.put_slice(&[b'Z', 0, 0, 0, 5, status.byte()]);
        if status == Status::Idle {
            self.written.clear();
        }
        self.info.state = match status {
            Status::Idle => "idle",
            Status::Block => "in transaction",
            Status::Failed => "in failed transaction",
        };
        self.shared.note_session(self.info.clone());
    }
}
