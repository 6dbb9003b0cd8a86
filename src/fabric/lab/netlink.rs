//! Requests to the kernel and its answers: one blocking netlink socket, many requests a call.
//!
//! A socket belongs to the network namespace of the thread that opened it, for good; after that any thread may use it.

use std::io;
use std::time::Duration;

use netlink_packet_core::{NLM_F_ACK, NLM_F_ACK_TLVS, NLMSG_ERROR, NetlinkBuffer};
use netlink_sys::{Socket, SocketAddr};
use socket2::SockRef;

/// The kernel answers at once or never; a lost answer must not hang the lab.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much one call may send, where the machine lets us: the kernel caps it at `net.core.wmem_max`.
const SEND_BUFFER: usize = 4 << 20;
/// Acknowledgements not fetched yet must fit the receive buffer.
const ACKNOWLEDGED_AT_ONCE: usize = 64;
/// An attribute of an extended acknowledgement: the kernel's own words (`NLMSGERR_ATTR_MSG`).
const SAID: u16 = 1;

/// One message to the kernel, with what it does in words, for when it is refused.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) what: String,
    /// The whole message, header included; the sequence number is filled in on sending.
    pub(super) bytes: Vec<u8>,
}

/// A refusal.
#[derive(Debug, thiserror::Error)]
#[error("netlink: {what}{}", said.as_deref().map(|said| format!(" (`{said}`)")).unwrap_or_default())]
pub struct NetlinkError {
    /// What was asked for.
    what: String,
    /// What the kernel said besides the error number.
    said: Option<String>,
    /// The error number.
    source: io::Error,
}

impl NetlinkError {
    fn new(what: &str, source: io::Error) -> Self {
        Self { what: what.to_owned(), said: None, source }
    }

    /// The error number in its usual form.
    pub(super) fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// A netlink socket.
pub(super) struct Channel {
    socket: Socket,
    sequence: u32,
    limit: usize,
}

impl Channel {
    /// Opens one in the calling thread's network namespace. `protocol` is one of [`netlink_sys::protocols`].
    pub(super) fn open(protocol: isize) -> Result<Self, NetlinkError> {
        let open = || -> io::Result<(Socket, usize)> {
            let mut socket = Socket::new(protocol)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            let options = SockRef::from(&socket);
            options.set_read_timeout(Some(PATIENCE))?;
            options.set_send_buffer_size(SEND_BUFFER)?;
            let granted = options.send_buffer_size()?;
            // Answers need not repeat the question, and may say in words what was wrong. Both are comforts.
            let _ = socket.set_cap_ack(true);
            let _ = socket.set_ext_ack(true);
            Ok((socket, granted))
        };
        let (socket, granted) = open().map_err(|source| NetlinkError::new("opening a socket", source))?;
        // The kernel counts its own bookkeeping into the buffer; half of it is safe.
        Ok(Self { socket, sequence: 1, limit: granted / 2 })
    }

    /// How many bytes one transaction may have.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Sends independent requests and waits until each is done; stops at the first that is refused.
    pub(super) fn settle(&mut self, requests: Vec<Request>) -> Result<(), NetlinkError> {
        let mut rest = requests.into_iter().peekable();
        while rest.peek().is_some() {
            let some: Vec<Request> = rest.by_ref().take(ACKNOWLEDGED_AT_ONCE).collect();
            let first = self.sequence;
            let bytes = self.number(&some, Acknowledge::Each);
            self.send(&some, &bytes)?;
            let mut refused = None;
            for _ in 0..some.len() {
                let answer = self.answer(&some)?;
                if let Some(error) = answer.error {
                    let place = answer.sequence.wrapping_sub(first) as usize;
                    let what = some.get(place).map_or("an answer to nothing asked", |r| r.what.as_str());
                    refused.get_or_insert(NetlinkError { what: what.to_owned(), said: answer.said, source: error });
                }
            }
            if let Some(error) = refused {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Sends requests that form one netfilter batch (its begin and end among them): all are done, or none.
    pub(super) fn commit(&mut self, batch: &[Request]) -> Result<(), NetlinkError> {
        let first = self.sequence;
        let bytes = self.number(batch, Acknowledge::LastBeforeEnd);
        let last = first.wrapping_add(batch.len().saturating_sub(2) as u32);
        self.send(batch, &bytes)?;
        let mut refused = None;
        loop {
            let answer = self.answer(batch)?;
            if let Some(error) = answer.error {
                let place = answer.sequence.wrapping_sub(first) as usize;
                let what = batch.get(place).map_or("an answer to nothing asked", |r| r.what.as_str());
                refused.get_or_insert(NetlinkError { what: what.to_owned(), said: answer.said, source: error });
                // An error against the begin message speaks of the batch as a whole, and nothing follows it.
                if answer.sequence == first {
                    break;
                }
            }
            if answer.sequence == last {
                break;
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// Joins the messages, each with a number of its own and asking for an answer where one is wanted.
    fn number(&mut self, requests: &[Request], acknowledge: Acknowledge) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(requests.iter().map(|r| r.bytes.len() + 4).sum());
        for (place, request) in requests.iter().enumerate() {
            let start = bytes.len();
            bytes.extend_from_slice(&request.bytes);
            let wanted = match acknowledge {
                Acknowledge::Each => true,
                Acknowledge::LastBeforeEnd => place + 2 == requests.len(),
            };
            let mut header = NetlinkBuffer::new(&mut bytes[start..]);
            header.set_sequence_number(self.sequence);
            if wanted {
                header.set_flags(header.flags() | NLM_F_ACK);
            }
            self.sequence = self.sequence.wrapping_add(1);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    fn send(&self, requests: &[Request], bytes: &[u8]) -> Result<(), NetlinkError> {
        let sent = self.socket.send(bytes, 0).map_err(|source| NetlinkError::new(first_of(requests), source))?;
        if sent == bytes.len() {
            Ok(())
        } else {
            Err(NetlinkError::new(first_of(requests), io::ErrorKind::WriteZero.into()))
        }
    }

    fn answer(&self, requests: &[Request]) -> Result<Answer, NetlinkError> {
        loop {
            let (bytes, _) =
                self.socket.recv_from_full().map_err(|source| NetlinkError::new(first_of(requests), source))?;
            if let Some(answer) = Answer::read(&bytes) {
                return Ok(answer);
            }
        }
    }
}

/// Which of several messages the kernel is asked to acknowledge; refusals always come.
#[derive(Clone, Copy)]
enum Acknowledge {
    Each,
    LastBeforeEnd,
}

fn first_of(requests: &[Request]) -> &str {
    // A batch opens with its begin message, which says nothing; the second says what it is about.
    requests.get(1).or(requests.first()).map_or("nothing", |r| r.what.as_str())
}

/// One acknowledgement or refusal.
#[derive(Debug)]
struct Answer {
    sequence: u32,
    error: Option<io::Error>,
    said: Option<String>,
}

impl Answer {
    /// None where the message is something else.
    fn read(bytes: &[u8]) -> Option<Self> {
        let message = NetlinkBuffer::new_checked(bytes).ok()?;
        if message.message_type() != NLMSG_ERROR {
            return None;
        }
        let payload = message.payload();
        let code = i32::from_ne_bytes(payload.get(..4)?.try_into().ok()?);
        let error = (code != 0).then(|| io::Error::from_raw_os_error(-code));
        let said = (message.flags() & NLM_F_ACK_TLVS != 0).then(|| said(payload.get(20..)?)).flatten();
        Some(Self { sequence: message.sequence_number(), error, said })
    }
}

/// The kernel's words among the attributes of an extended acknowledgement.
fn said(mut attributes: &[u8]) -> Option<String> {
    while let Some((header, rest)) = attributes.split_first_chunk::<4>() {
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & 0x3fff;
        let value = rest.get(..length.checked_sub(4)?)?;
        if kind == SAID {
            let text = value.strip_suffix(&[0]).unwrap_or(value);
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        attributes = rest.get((length - 4).next_multiple_of(4)..)?;
    }
    None
}
