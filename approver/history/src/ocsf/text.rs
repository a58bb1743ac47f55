//! Text of processes as JSON: readable where it can be read, whole where it
//! fits, and honest about both.
//!
//! A record has room for [`super::MAX_RECORD`] bytes, and a process may have
//! two mebibytes of arguments. What is cut is cut here and nowhere else.

use data_encoding::BASE64;

use super::json::{Json, Object};

/// How much of each kind of text a record may hold, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// One path, name or sentence.
    pub(super) text: usize,
    /// All arguments of the operation together.
    pub(super) argv: usize,
    /// Processes above the one that tried.
    pub(super) ancestors: usize,
}

impl Limits {
    /// The most that is tried at first.
    pub(super) const WIDEST: Self = Self {
        text: 4096,
        argv: 16 * 1024,
        ancestors: 64,
    };

    /// Half of everything.
    pub(super) fn halved(self) -> Self {
        Self {
            text: self.text / 2,
            argv: self.argv / 2,
            ancestors: self.ancestors / 2,
        }
    }
}

/// Puts text into one record and remembers what that did to it.
#[derive(Debug)]
pub(super) struct Texts {
    pub(super) limits: Limits,
    /// Something did not fit.
    cut: bool,
    /// Bytes that are no UTF-8, by the place they are read at.
    raw: Vec<Json>,
}

impl Texts {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            cut: false,
            raw: Vec::new(),
        }
    }

    /// Notes that something was left out.
    pub(super) fn cut(&mut self) {
        self.cut = true;
    }

    /// `text`, as much of it as fits.
    pub(super) fn text(&mut self, text: &str) -> String {
        let mut end = text.len().min(self.limits.text);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.cut |= end < text.len();
        text[..end].to_owned()
    }

    /// `bytes` for reading only: they are whole elsewhere in the record.
    pub(super) fn shown(&mut self, bytes: &[u8]) -> String {
        self.text(&String::from_utf8_lossy(bytes))
    }

    /// `bytes` for reading; whole in `unmapped.raw` under the name `place` if
    /// they are no UTF-8.
    pub(super) fn bytes(&mut self, place: &'static str, bytes: &[u8]) -> String {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return self.text(text);
        }
        let kept = &bytes[..bytes.len().min(self.limits.text)];
        self.cut |= kept.len() < bytes.len();
        let raw = Object::new()
            .with("name", place)
            .with("base64", BASE64.encode(kept))
            .into();
        if !self.raw.contains(&raw) {
            self.raw.push(raw);
        }
        String::from_utf8_lossy(kept).into_owned()
    }

    /// `argv` within `room` bytes: each a string, or for one that is no UTF-8 an
    /// object with the text to read and the bytes.
    pub(super) fn argv(&mut self, argv: &[Vec<u8>], room: usize) -> Vec<Json> {
        let mut left = room;
        let mut list = Vec::new();
        for argument in argv {
            let mut end = argument.len().min(left);
            let whole = end == argument.len();
            if !whole {
                self.cut = true;
                // Not in the middle of a character, if these are characters.
                let text = std::str::from_utf8(argument).unwrap_or_default();
                while !text.is_empty() && !text.is_char_boundary(end) {
                    end -= 1;
                }
                if end == 0 {
                    break;
                }
            }
            let kept = &argument[..end];
            list.push(match std::str::from_utf8(kept) {
                Ok(text) => text.into(),
                Err(_) => Object::new()
                    .with("text", String::from_utf8_lossy(kept).into_owned())
                    .with("base64", BASE64.encode(kept))
                    .into(),
            });
            // One more for an empty argument: those take room too.
            left = left.saturating_sub(end + 1);
            if !whole {
                break;
            }
        }
        self.cut |= list.len() < argv.len();
        list
    }

    /// What to say of cut and raw text: whether any was cut, and the raw bytes.
    pub(super) fn into_parts(self) -> (bool, Vec<Json>) {
        (self.cut, self.raw)
    }
}

/// `argv` as one line a shell would read the same way, within `room` bytes.
pub(super) fn command_line(argv: &[Vec<u8>], room: usize) -> String {
    let mut line = String::new();
    for argument in argv {
        if !line.is_empty() {
            line.push(' ');
        }
        let shown = &argument[..argument.len().min(room)];
        let text = String::from_utf8_lossy(shown);
        let plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,~^".contains(c);
        if !text.is_empty() && text.chars().all(plain) {
            line.push_str(&text);
        } else {
            line.push('\'');
            line.push_str(&text.replace('\'', "'\\''"));
            line.push('\'');
        }
        if line.len() >= room {
            break;
        }
    }
    let mut end = line.len().min(room);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.truncate(end);
    line
}

/// The last part of a path.
pub(super) fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}
