//! The known ways around the gate that are open, by kernel: what
//! `docs/security/bypasses.md` says, for the program. Data alone. `cargo xtask
//! bypasses --check` takes in this very file and compares the two, so it must use
//! nothing of this crate.

use std::ops::Range;

/// A kernel's series: 6.12 is `(6, 12)`.
pub(crate) type Series = (u32, u32);

/// One way around the gate.
pub(crate) struct OpenRoute {
    /// Its number in the document.
    pub(crate) id: &'static str,
    /// The kernels it is open on, the end not included.
    pub(crate) kernels: Range<Series>,
    /// What it is, in one line.
    pub(crate) what: &'static str,
}

const FIRST: Series = (0, 0);
const EVER: Series = (u32::MAX, 0);
const ALL: Range<Series> = FIRST..EVER;

const fn open(id: &'static str, kernels: Range<Series>, what: &'static str) -> OpenRoute {
    OpenRoute { id, kernels, what }
}

/// In the order of the document.
#[rustfmt::skip]
pub(crate) const ROUTES: &[OpenRoute] = &[
    open("A19", ALL, "files that others run later: cron, .bashrc, user units, hooks"),
    open("A24", ALL, "data in the names that the resolver is asked for"),
    open("A29", ALL, "tunnels, VPNs and changed routes under an approved address"),
    open("A32", ALL, "addresses rewritten by other eBPF programs (cluster networks)"),
    open("A39", ALL, "automounts by host name, and mounted network shares"),
    open("A42", ALL, "passing for a program that may connect"),
    open("B1", ALL, "running a program through the dynamic loader"),
    open("B2", ALL, "code given to interpreters as an argument"),
    open("B3", ALL, "code that interpreters read from standard input"),
    open("B4", ALL, "replacing a script between its approval and its interpreter's reading"),
    open("B6", ALL, "copies and renames of a program that a rule names"),
    open("B10", ALL, "overwriting a program in place, unseen, just before it runs"),
    open("B11", ALL, "code loaded as a library or made in memory"),
    open("B12", ALL, "LD_PRELOAD and the like for programs that a rule allows"),
    open("B15", ALL, "registering file formats, as root (not proved closed)"),
    open("B19", ALL, "running programs from FUSE or network filesystems"),
    open("B20", ALL, "replacing libraries that an approved program loads"),
    open("B27", ALL, "configuration files that change what an approved program does"),
    open("B28", ALL, "environment variables that are not shown to the reviewer"),
    open("C4", ALL, "having a server outside the session start programs"),
    open("C10", ALL, "a label that finds no memory (not proved closed)"),
    open("C13", FIRST..(6, 2), "old point releases of 6.1 may skip programs under preemption"),
    open("C14", ALL, "an approved operation may pass once more within a minute"),
    open("C16", ALL, "an inode number that is used again (not proved closed)"),
    open("C17", FIRST..(6, 12), "letting 6.1 preempt itself through debugfs, as root (not proved closed)"),
    open("D10", ALL, "filling the host's disk (not proved harmless)"),
    open("D20", ALL, "faults of the kernel itself"),
    open("D24", ALL, "flooding reviewers with requests"),
    open("D25", ALL, "reviewers' logins that the agent's user can read or drive"),
    open("D26", ALL, "keeping the daemon's readers busy (not proved harmless)"),
    open("D29", ALL, "changing what the host boots (root)"),
];
