//! Completeness: whether everything that hosts numbered is in the log.
//!
//! A Merkle log proves that nothing in it was changed. It can't prove that
//! something was put in, so this is a question of its own: each host numbers its
//! events from 1 in each spool, and a number that never came is a hole, declared
//! or not. What a host never numbered nobody can miss.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// Gaps of one kind and host that are kept one by one; the rest are counted.
const LISTED_MAX: usize = 1_000;

/// Hosts that are told apart.
const HOSTS_MAX: usize = 100_000;

/// One record as far as completeness goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sighting<'a> {
    /// Index in the log.
    pub log_index: u64,
    /// UUID of the host.
    pub host: &'a str,
    /// What it is called.
    pub hostname: &'a str,
    /// Spool the number belongs to.
    pub spool: &'a str,
    /// The host's number; none for what the approver itself says of the host.
    pub sequence: Option<u64>,
    /// The record declares that events are missing.
    pub gap: Option<Gap<'a>>,
}

/// A declaration that events are missing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gap<'a> {
    /// Why: `ring-buffer`, `spool`, `daemon-down`, `sequence`.
    pub cause: &'a str,
    /// How many; 0 if nobody knows.
    pub lost: u64,
    /// The approver says it of numbers that never came: the record stands in
    /// their place, under the first or the last of them.
    pub of_numbers: bool,
}

/// What is known of all hosts.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Completeness {
    /// By UUID.
    pub hosts: BTreeMap<String, Host>,
    /// Records whose host or number can't be made out; also those of more hosts
    /// than can be told apart.
    pub unreadable: u64,
}

/// What is known of one host.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Host {
    /// What it is called, as of the last record.
    pub hostname: String,
    /// Its spool, as of the last record.
    pub spool: String,
    /// The number that has to come next.
    pub next: u64,
    /// Numbered events.
    pub events: u64,
    /// Gaps that were declared, oldest first.
    pub declared: Vec<Declared>,
    /// Further ones.
    pub declared_more: u64,
    /// Holes that nobody declared, oldest first.
    pub undeclared: Vec<Undeclared>,
    /// Further ones.
    pub undeclared_more: u64,
}

/// A gap that was declared.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Declared {
    /// The record that says so.
    pub log_index: u64,
    /// Why events are missing.
    pub cause: String,
    /// How many; 0 if nobody knows.
    pub lost: u64,
}

/// A hole that nobody declared.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Undeclared {
    /// The record at which it shows.
    pub log_index: u64,
    /// What shows.
    pub hole: Hole,
}

/// What is wrong with the numbers of a host.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Hole {
    /// Numbers that never came.
    Missing {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// A number that had come before, or has gone back.
    Repeated {
        /// The number.
        sequence: u64,
    },
    /// A new spool, and nothing that says what became of the end of the last.
    SpoolReplaced,
}

impl Completeness {
    /// Takes in the next record of the log.
    pub fn saw(&mut self, sighting: &Sighting<'_>) {
        if !self.hosts.contains_key(sighting.host) {
            if self.hosts.len() >= HOSTS_MAX {
                self.unreadable += 1;
                return;
            }
            self.hosts.insert(
                sighting.host.to_owned(),
                Host {
                    next: 1,
                    ..Host::default()
                },
            );
        }
        if let Some(host) = self.hosts.get_mut(sighting.host) {
            host.saw(sighting);
        }
    }

    /// Whether no number is missing that was not declared.
    pub fn is_complete(&self) -> bool {
        self.unreadable == 0 && self.hosts.values().all(Host::is_complete)
    }
}

impl Host {
    /// Whether no number is missing that was not declared.
    pub fn is_complete(&self) -> bool {
        self.undeclared.is_empty()
    }

    fn saw(&mut self, sighting: &Sighting<'_>) {
        if !sighting.hostname.is_empty() {
            sighting.hostname.clone_into(&mut self.hostname);
        }
        if let Some(gap) = sighting.gap {
            self.declare(sighting.log_index, gap);
        }
        let Some(sequence) = sighting.sequence else {
            return;
        };
        if self.spool != sighting.spool {
            let replaced = !self.spool.is_empty();
            sighting.spool.clone_into(&mut self.spool);
            self.next = 1;
            if replaced && sighting.gap.is_none() {
                self.hole(sighting.log_index, Hole::SpoolReplaced);
            }
        }
        if sequence < self.next {
            self.hole(sighting.log_index, Hole::Repeated { sequence });
            return;
        }
        let declared = sighting.gap.filter(|gap| gap.of_numbers);
        if let Some(gap) = declared {
            let (first, lost) = (self.next, gap.lost.max(1));
            let under_last = first.checked_add(lost - 1) == Some(sequence);
            if sequence == first || under_last {
                self.next = first.saturating_add(lost);
                return;
            }
        }
        if sequence > self.next {
            let (first, last) = (self.next, sequence - 1);
            self.hole(sighting.log_index, Hole::Missing { first, last });
        }
        self.events += 1;
        self.next = sequence.saturating_add(1);
    }

    fn declare(&mut self, log_index: u64, gap: Gap<'_>) {
        if self.declared.len() < LISTED_MAX {
            self.declared.push(Declared {
                log_index,
                cause: gap.cause.to_owned(),
                lost: gap.lost,
            });
        } else {
            self.declared_more += 1;
        }
    }

    fn hole(&mut self, log_index: u64, hole: Hole) {
        if self.undeclared.len() < LISTED_MAX {
            self.undeclared.push(Undeclared { log_index, hole });
        } else {
            self.undeclared_more += 1;
        }
    }
}

impl fmt::Display for Hole {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { first, last } if first == last => {
                write!(formatter, "event {first} never came")
            }
            Self::Missing { first, last } => {
                write!(formatter, "events {first} to {last} never came")
            }
            Self::Repeated { sequence } => {
                write!(formatter, "event {sequence} came again, or out of order")
            }
            Self::SpoolReplaced => write!(
                formatter,
                "a new spool began, and nothing says what became of the end of the last"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Told {
        completeness: Completeness,
        at: u64,
    }

    impl Told {
        fn new() -> Self {
            Self {
                completeness: Completeness::default(),
                at: 0,
            }
        }

        fn event(&mut self, host: &str, spool: &str, sequence: u64) {
            self.tell(host, spool, Some(sequence), None);
        }

        fn tell(&mut self, host: &str, spool: &str, sequence: Option<u64>, gap: Option<Gap<'_>>) {
            self.completeness.saw(&Sighting {
                log_index: self.at,
                host,
                hostname: "build-1",
                spool,
                sequence,
                gap,
            });
            self.at += 1;
        }

        fn holes(&self, host: &str) -> Vec<Hole> {
            let host = &self.completeness.hosts[host];
            host.undeclared.iter().map(|one| one.hole).collect()
        }
    }

    const LOST: Gap<'static> = Gap {
        cause: "spool",
        lost: 7,
        of_numbers: false,
    };
    const NEVER_CAME: Gap<'static> = Gap {
        cause: "sequence",
        lost: 7,
        of_numbers: true,
    };

    #[test]
    fn hosts_are_counted_apart() {
        let mut told = Told::new();
        for sequence in 1..=3 {
            told.event("a", "x", sequence);
            told.event("b", "y", sequence);
        }
        assert!(told.completeness.is_complete());
        told.event("a", "x", 5);
        assert!(!told.completeness.is_complete());
        assert_eq!(told.holes("a"), [Hole::Missing { first: 4, last: 4 }]);
        assert_eq!(told.holes("b"), []);
        assert_eq!(told.completeness.hosts["a"].undeclared[0].log_index, 6);
    }

    #[test]
    fn the_first_number_is_one() {
        let mut told = Told::new();
        told.event("a", "x", 3);
        assert_eq!(told.holes("a"), [Hole::Missing { first: 1, last: 2 }]);
    }

    #[test]
    fn numbers_that_come_again_are_told() {
        let mut told = Told::new();
        for sequence in [1, 2, 2, 3, 1, 4] {
            told.event("a", "x", sequence);
        }
        assert_eq!(
            told.holes("a"),
            [
                Hole::Repeated { sequence: 2 },
                Hole::Repeated { sequence: 1 }
            ]
        );
    }

    #[test]
    fn what_a_host_declares_is_listed_and_no_hole() {
        let mut told = Told::new();
        told.event("a", "x", 1);
        told.tell("a", "x", Some(2), Some(LOST));
        told.event("a", "x", 3);
        assert!(told.completeness.is_complete());
        let declared = &told.completeness.hosts["a"].declared;
        assert_eq!(
            (declared.len(), declared[0].lost, declared[0].log_index),
            (1, 7, 1)
        );
    }

    #[test]
    fn what_the_approver_declares_stands_in_the_place_of_what_never_came() {
        let mut told = Told::new();
        told.event("a", "x", 1);
        told.tell("a", "x", Some(2), Some(NEVER_CAME));
        told.event("a", "x", 9);
        told.tell("a", "x", Some(16), Some(NEVER_CAME));
        told.event("a", "x", 17);
        assert!(told.completeness.is_complete());
        assert_eq!(told.completeness.hosts["a"].declared.len(), 2);
        told.tell("a", "x", Some(18), Some(NEVER_CAME));
        told.event("a", "x", 27);
        assert_eq!(
            told.holes("a"),
            [Hole::Missing {
                first: 25,
                last: 26
            }],
            "no more than it declares"
        );
    }

    #[test]
    fn a_new_spool_begins_anew_and_has_to_say_why() {
        let mut told = Told::new();
        told.event("a", "x", 1);
        told.tell("a", "y", Some(1), Some(LOST));
        told.event("a", "y", 2);
        assert!(told.completeness.is_complete());
        told.event("a", "z", 1);
        assert_eq!(told.holes("a"), [Hole::SpoolReplaced]);
        told.event("a", "w", 4);
        assert_eq!(
            told.holes("a")[1..],
            [Hole::SpoolReplaced, Hole::Missing { first: 1, last: 3 }]
        );
    }

    #[test]
    fn lists_are_bounded() {
        let mut told = Told::new();
        for sequence in 1..=3_000 {
            told.event("a", "x", sequence * 2);
            told.tell("a", "x", None, Some(Gap::default()));
        }
        let host = &told.completeness.hosts["a"];
        assert_eq!(
            (host.undeclared.len(), host.undeclared_more),
            (1_000, 2_000)
        );
        assert_eq!((host.declared.len(), host.declared_more), (1_000, 2_000));
    }
}
