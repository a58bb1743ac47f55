//! This side's end of the stage: tells it what to do and reads what it reports.

use std::{
    io::{self, Write},
    sync::mpsc::{self, Receiver, Sender},
};

use anyhow::{Context as _, Result};
use serde_json::Value;

/// What the stage reports.
#[derive(Debug, PartialEq)]
pub(crate) enum News {
    /// The agent waits for its first task.
    Ready,
    /// The agent, or a program of it, wrote this line.
    Agent(String),
    /// The agent's task ended with this status.
    Done(i32),
    /// What the host looks like now.
    Seen(Look),
    /// There is no agent any more.
    Ended,
    /// Something this program does not understand.
    Garbled(String),
}

/// What really happened on the host so far.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Look {
    pub(crate) uploads: Traffic,
    pub(crate) staging: Traffic,
    /// Size of the archive the agent made.
    pub(crate) archive: Option<u64>,
    /// Size of what curl writes.
    pub(crate) receipt: Option<u64>,
    /// The account is there.
    pub(crate) account: bool,
    pub(crate) kernel: String,
}

/// What a server has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) connections: u64,
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
}

impl Look {
    fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let traffic = |name: &str| {
            let count = |key: &str| value[name][key].as_u64();
            Some(Traffic {
                connections: count("connections")?,
                requests: count("requests")?,
                bytes: count("bytes")?,
            })
        };
        Some(Self {
            uploads: traffic("uploads")?,
            staging: traffic("staging")?,
            archive: value["archive"].as_u64(),
            receipt: value["receipt"].as_u64(),
            account: value["account"].as_bool()?,
            kernel: value["kernel"].as_str()?.to_owned(),
        })
    }
}

impl News {
    fn parse(line: &str) -> Self {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let news = match word {
            "ready" => Some(Self::Ready),
            "agent" => Some(Self::Agent(rest.to_owned())),
            "done" => rest.parse().ok().map(Self::Done),
            "seen" => Look::parse(rest).map(Self::Seen),
            "ended" => Some(Self::Ended),
            _ => None,
        };
        news.unwrap_or_else(|| Self::Garbled(line.to_owned()))
    }
}

/// The stage, from here.
pub(crate) struct Link {
    orders: Box<dyn Write + Send>,
    pub(crate) news: Receiver<News>,
}

impl Link {
    /// A link that sends orders there, and where the stage's output must go.
    pub(crate) fn new(orders: impl Write + Send + 'static) -> (Self, Reports) {
        let (sender, news) = mpsc::channel();
        let link = Self {
            orders: Box::new(orders),
            news,
        };
        let reports = Reports {
            sender,
            begun: Vec::new(),
        };
        (link, reports)
    }

    pub(crate) fn order(&mut self, order: &str) -> Result<()> {
        self.orders
            .write_all(format!("{order}\n").as_bytes())
            .and_then(|()| self.orders.flush())
            .context("the host takes no orders any more")
    }
}

/// Where the stage's output goes: each line becomes a piece of news.
pub(crate) struct Reports {
    sender: Sender<News>,
    begun: Vec<u8>,
}

impl Write for Reports {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun.extend_from_slice(bytes);
        while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.begun.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            // Nobody listens any more once the demo is over.
            let _ = self.sender.send(News::parse(line.trim_end_matches('\n')));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_news_however_they_are_cut() {
        let (link, mut reports) = Link::new(io::sink());
        for part in ["rea", "dy\nagent $ a  b\nag", "ent \ndone 12", "6\n"] {
            reports.write_all(part.as_bytes()).unwrap();
        }
        let news: Vec<News> = link.news.try_iter().collect();
        assert_eq!(
            news,
            [
                News::Ready,
                News::Agent("$ a  b".to_owned()),
                News::Agent(String::new()),
                News::Done(126)
            ]
        );
    }

    #[test]
    fn nonsense_is_no_news() {
        for line in ["done x", "seen {}", "", "see {}"] {
            assert_eq!(News::parse(line), News::Garbled(line.to_owned()));
        }
        let seen = News::parse(
            r#"seen {"uploads":{"connections":1,"requests":1,"bytes":9},
                "staging":{"connections":0,"requests":0,"bytes":0},
                "archive":9,"receipt":null,"account":false,"kernel":"6.12"}"#,
        );
        let News::Seen(look) = seen else {
            panic!("{seen:?}")
        };
        assert_eq!(
            (look.uploads.bytes, look.archive, look.receipt),
            (9, Some(9), None)
        );
    }
}
