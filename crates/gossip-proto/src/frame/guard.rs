//! What a client's WebSocket frames must be (RFC 6455 §5), watched on their way to the library that reads them, for what
//! that leaves to its user. Bytes in, in whatever pieces they come; what breaks the protocol is refused before the rest of
//! its frame has come. It hands out no frame, keeps nothing of a payload, answers nothing and closes nothing.

use super::MAX_CONTROL_LEN;

/// Why nothing more can be read: with which code to close (RFC 6455 §7.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The protocol was broken: 1002. What was broken.
    #[error("WebSocket protocol violated: {0}")]
    Protocol(&'static str),
    /// A text, or the reason of a close frame, is not UTF-8: 1007.
    #[error("text that is not UTF-8")]
    InvalidUtf8,
    /// A message too long, or in too many fragments: 1009.
    #[error("message too large")]
    TooLarge,
}

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// A head with its longest length and the mask.
const MAX_HEAD_LEN: usize = 14;

/// Any message may have this many fragments. Without a bound empty ones could come without end.
const MIN_FRAGMENTS: usize = 1024;

/// One fragment more for this many bytes that a message may have.
const BYTES_PER_FRAGMENT: usize = 64;

/// So much of a text is looked at at once, in bytes: a multiple of the mask's length.
const PART_LEN: usize = 512;

/// The longest beginning of a character that is not all of it.
const MAX_OPEN_LEN: usize = 3;

/// Watches the frames of one client.
#[derive(Debug)]
pub struct Guard {
    max_message: usize,
    /// As much of a head as has come.
    head: [u8; MAX_HEAD_LEN],
    head_len: usize,
    frame: Option<Frame>,
    message: Option<Message>,
    /// How many frames came to their end and are not taken.
    untaken: usize,
    refused: Option<FrameError>,
}

/// A frame whose payload is to come.
#[derive(Debug, Clone, Copy)]
struct Frame {
    opcode: u8,
    fin: bool,
    /// Turned such that its first byte is that of the next byte of the payload.
    mask: [u8; 4],
    remaining: usize,
    /// Of a close frame: its code, as far as it has come, and the text behind it.
    code: u16,
    code_len: usize,
    reason: Utf8,
}

/// A message whose end has not come.
#[derive(Debug)]
struct Message {
    text: Option<Utf8>,
    /// With what its last frame announced.
    len: usize,
    fragments: usize,
}

/// A text that comes in pieces.
#[derive(Debug, Clone, Copy, Default)]
struct Utf8 {
    /// The beginning of a character.
    open: [u8; MAX_OPEN_LEN],
    open_len: usize,
}

impl Guard {
    /// Lets messages of at most `max_message` bytes pass, whatever their fragments.
    #[must_use]
    pub fn new(max_message: usize) -> Guard {
        Guard {
            max_message,
            head: [0; MAX_HEAD_LEN],
            head_len: 0,
            frame: None,
            message: None,
            untaken: 0,
            refused: None,
        }
    }

    /// Looks at the next bytes, before anybody reads them. Says how many of them may be read: all, or those before the
    /// frame that is refused, and then every later call tells why.
    ///
    /// # Errors
    /// [`FrameError`], where none may be read: for a head that is not good when the head is there, for a text when no byte
    /// could make it good.
    pub fn watch(&mut self, bytes: &[u8]) -> Result<usize, FrameError> {
        if let Some(error) = self.refused {
            return Err(error);
        }
        let mut rest = bytes;
        let mut passed = 0;
        while !rest.is_empty() {
            match self.step(&mut rest) {
                Ok(false) => {}
                Ok(true) => {
                    self.untaken += 1;
                    passed = bytes.len() - rest.len();
                }
                Err(error) => {
                    self.refused = Some(error);
                    return if passed == 0 { Err(error) } else { Ok(passed) };
                }
            }
        }
        Ok(bytes.len())
    }

    /// Whoever reads the frames has one more. Says whether it was the last: with nothing begun behind it and nothing
    /// refused, the reader holds no byte that is of use.
    pub fn taken(&mut self) -> bool {
        self.untaken = self.untaken.saturating_sub(1);
        self.untaken == 0 && self.head_len == 0 && self.frame.is_none() && self.refused.is_none()
    }

    /// Takes a frame's bytes from the front of `rest`. Says whether its end was among them.
    fn step(&mut self, rest: &mut &[u8]) -> Result<bool, FrameError> {
        let mut frame = match self.frame {
            Some(frame) => frame,
            None => match self.head(rest)? {
                Some(frame) => frame,
                None => return Ok(false),
            },
        };
        let payload = take(rest, frame.remaining);
        frame.remaining -= payload.len();
        self.payload(&mut frame, payload)?;
        if frame.remaining > 0 {
            self.frame = Some(frame);
            return Ok(false);
        }
        self.frame = None;
        self.end(&frame)?;
        Ok(true)
    }

    /// Takes the next head, if all of it is there.
    fn head(&mut self, rest: &mut &[u8]) -> Result<Option<Frame>, FrameError> {
        loop {
            let wanted = if self.head_len < 2 { 2 } else { head_len(self.head[1]) };
            let bytes = take(rest, wanted - self.head_len);
            self.head[self.head_len..self.head_len + bytes.len()].copy_from_slice(bytes);
            self.head_len += bytes.len();
            if self.head_len < wanted {
                return Ok(None);
            }
            if wanted == 2 {
                self.check(self.head[0], self.head[1])?;
            } else {
                self.head_len = 0;
                let frame = frame(&self.head, wanted)?;
                self.begin(&frame)?;
                return Ok(Some(frame));
            }
        }
    }

    /// What the first two bytes of a head tell.
    fn check(&self, first: u8, second: u8) -> Result<(), FrameError> {
        let refused = |what| Err(FrameError::Protocol(what));
        let (opcode, fin, len) = (first & 0x0f, first & 0x80 != 0, usize::from(second & 0x7f));
        if first & 0x70 != 0 {
            return refused("reserved bits");
        }
        match opcode {
            CONTINUATION if self.message.is_none() => return refused("continuation without a start"),
            TEXT | BINARY if self.message.is_some() => return refused("new message inside a fragmented one"),
            CONTINUATION | TEXT | BINARY => {}
            CLOSE | PING | PONG if !fin => return refused("fragmented control frame"),
            CLOSE | PING | PONG if len > MAX_CONTROL_LEN => return refused("control frame too long"),
            CLOSE if len == 1 => return refused("close frame of one byte"),
            CLOSE | PING | PONG => {}
            _ => return refused("unknown opcode"),
        }
        if second & 0x80 == 0 { refused("unmasked frame") } else { Ok(()) }
    }

    /// What the length tells of a frame that is good as such.
    fn begin(&mut self, frame: &Frame) -> Result<(), FrameError> {
        if frame.is_control() {
            return Ok(());
        }
        let text = (frame.opcode == TEXT).then(Utf8::default);
        let message = self.message.get_or_insert(Message { text, len: 0, fragments: 0 });
        message.len = message.len.saturating_add(frame.remaining);
        message.fragments += 1;
        let max_fragments = MIN_FRAGMENTS + self.max_message / BYTES_PER_FRAGMENT;
        if message.len > self.max_message || message.fragments > max_fragments {
            return Err(FrameError::TooLarge);
        }
        Ok(())
    }

    fn payload(&mut self, frame: &mut Frame, bytes: &[u8]) -> Result<(), FrameError> {
        if frame.opcode == CLOSE {
            return frame.close(bytes);
        }
        let text = self.message.as_mut().and_then(|message| message.text.as_mut());
        if let Some(text) = text.filter(|_| !frame.is_control()) {
            text.push(bytes, frame.mask)?;
        }
        frame.turn(bytes.len());
        Ok(())
    }

    fn end(&mut self, frame: &Frame) -> Result<(), FrameError> {
        if frame.is_control() {
            return frame.reason.end();
        }
        match self.message.take_if(|_| frame.fin) {
            Some(Message { text: Some(text), .. }) => text.end(),
            _ => Ok(()),
        }
    }
}

impl Frame {
    fn is_control(&self) -> bool {
        self.opcode & 0x8 != 0
    }

    /// The payload went on by so many bytes.
    fn turn(&mut self, len: usize) {
        self.mask.rotate_left(len % 4);
    }

    /// A part of a close frame: RFC 6455 §5.5.1 and §7.4, with the codes that were registered since (1012 to 1014).
    fn close(&mut self, mut bytes: &[u8]) -> Result<(), FrameError> {
        for byte in take(&mut bytes, 2 - self.code_len) {
            self.code = self.code << 8 | u16::from(byte ^ self.mask[0]);
            self.code_len += 1;
            self.turn(1);
            if self.code_len == 2 && !matches!(self.code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(FrameError::Protocol("close code"));
            }
        }
        self.reason.push(bytes, self.mask)?;
        self.turn(bytes.len());
        Ok(())
    }
}

impl Utf8 {
    /// Refuses what cannot become UTF-8, whatever follows. The mask begins with that of the first byte.
    fn push(&mut self, masked: &[u8], mask: [u8; 4]) -> Result<(), FrameError> {
        let mut buf = [0; MAX_OPEN_LEN + PART_LEN];
        for part in masked.chunks(PART_LEN) {
            let whole = self.open_len + part.len();
            buf[..self.open_len].copy_from_slice(&self.open[..self.open_len]);
            buf[self.open_len..whole].copy_from_slice(part);
            unmask(&mut buf[self.open_len..whole], mask);
            let open = match str::from_utf8(&buf[..whole]) {
                Ok(_) => &[][..],
                Err(error) if error.error_len().is_none() => &buf[error.valid_up_to()..whole],
                Err(_) => return Err(FrameError::InvalidUtf8),
            };
            self.open[..open.len()].copy_from_slice(open);
            self.open_len = open.len();
        }
        Ok(())
    }

    fn end(self) -> Result<(), FrameError> {
        if self.open_len == 0 { Ok(()) } else { Err(FrameError::InvalidUtf8) }
    }
}

/// At most `len` bytes from the front.
fn take<'a>(rest: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (front, back) = rest.split_at(len.min(rest.len()));
    *rest = back;
    front
}

fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let (words, tail) = bytes.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(mask)).to_ne_bytes();
    }
    for (byte, mask) in tail.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

/// How long a head is, by its second byte; the mask included.
fn head_len(second: u8) -> usize {
    match second & 0x7f {
        126 => 8,
        127 => MAX_HEAD_LEN,
        _ => 6,
    }
}

/// Reads a head of `len` bytes whose first two are checked.
fn frame(head: &[u8; MAX_HEAD_LEN], len: usize) -> Result<Frame, FrameError> {
    let mut announced = [0; 8];
    let longer = &head[2..len - 4];
    announced[8 - longer.len()..].copy_from_slice(longer);
    let (announced, least) = match longer.len() {
        0 => (u64::from(head[1] & 0x7f), 0),
        2 => (u64::from_be_bytes(announced), 126),
        _ => (u64::from_be_bytes(announced), 0x1_0000),
    };
    if announced < least {
        return Err(FrameError::Protocol("length not in its shortest form"));
    }
    if announced > i64::MAX as u64 {
        return Err(FrameError::Protocol("length of more than 63 bits"));
    }
    let mut mask = [0; 4];
    mask.copy_from_slice(&head[len - 4..len]);
    let remaining = usize::try_from(announced).map_err(|_| FrameError::TooLarge)?;
    let (opcode, fin) = (head[0] & 0x0f, head[0] & 0x80 != 0);
    Ok(Frame { opcode, fin, mask, remaining, code: 0, code_len: 0, reason: Utf8::default() })
}

#[cfg(test)]
mod tests;
