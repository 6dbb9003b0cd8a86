//! Lines over a control stream.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};

use crate::fabric::Stream;
use crate::wire::lines::{Lines, TooLong};
use crate::wire::{FromAgent, MAX_LINE, ToAgent};

/// Why a stream cannot be used further.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The stream itself broke.
    #[error("{0}")]
    Broken(#[from] io::Error),
    /// The agent closed it.
    #[error("the agent closed the stream")]
    Closed,
    /// A line without end.
    #[error("{0}")]
    TooLong(#[from] TooLong),
    /// A line that is no message.
    #[error("not a message of an agent: {0}")]
    Garbage(#[from] serde_json::Error),
}

/// The half that is read.
pub struct Hear {
    read: ReadHalf<Box<dyn Stream>>,
    lines: Lines,
    buffer: Vec<u8>,
}

/// The half that is written.
pub struct Speak {
    write: WriteHalf<Box<dyn Stream>>,
}

/// Takes a fresh stream apart.
pub fn apart(stream: Box<dyn Stream>) -> (Hear, Speak) {
    let (read, write) = split(stream);
    (Hear { read, lines: Lines::default(), buffer: vec![0; 16 * 1024] }, Speak { write })
}

impl Hear {
    /// The next message. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When the stream ends, breaks, or says what is no message.
    pub async fn hear(&mut self) -> Result<FromAgent, StreamError> {
        loop {
            if let Some(line) = self.lines.next(MAX_LINE)? {
                return Ok(serde_json::from_slice(line)?);
            }
            match self.read.read(&mut self.buffer).await? {
                0 => return Err(StreamError::Closed),
                bytes => self.lines.feed(&self.buffer[..bytes]),
            }
        }
    }
}

impl Speak {
    /// Sends a message.
    ///
    /// # Errors
    /// When the stream breaks.
    pub async fn say(&mut self, message: &ToAgent) -> Result<(), StreamError> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.write.write_all(&line).await?;
        self.write.flush().await?;
        Ok(())
    }
}
