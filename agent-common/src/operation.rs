//! What a task attempts, small enough to compare on every judgement.

use crate::{Route, event::UnknownValue, plain};

/// One thread, unambiguous for one boot: thread ids are reused, start times are not.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct TaskKey {
    /// Thread id in the initial pid namespace.
    pub tid: u32,
    /// Thread group id (what user space calls pid).
    pub tgid: u32,
    /// `task_struct.start_boottime`: nanoseconds since boot.
    pub start_ns: u64,
}

/// A file independent of its names. Read afresh at every judgement, so a file
/// that was replaced while its exec was held is another file; so is one that was
/// written, unless the writing left the change time alone (a shared mapping on
/// tmpfs or below overlayfs, or within one tick of the clock).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct FileId {
    /// `inode.i_ino`.
    pub inode: u64,
    /// `inode.i_size`, bytes.
    pub size: u64,
    /// Change time, seconds since the epoch.
    pub ctime_sec: i64,
    /// Change time, nanoseconds within the second.
    pub ctime_nsec: u32,
    /// `inode.i_generation`: differs when a number is used again.
    pub generation: u32,
    /// `super_block.s_dev`: major << 20 | minor.
    pub device: u32,
    /// Zero.
    pub padding: u32,
}

/// A file or folder, independent of its names and of what is written to it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct InodeKey {
    /// `inode.i_ino`.
    pub inode: u64,
    /// `super_block.s_dev`: major << 20 | minor.
    pub device: u32,
    /// Zero.
    pub padding: u32,
}

/// What a tracked task may not do with a file, or with anything in a folder.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protection {
    /// Change it, in content, name or attributes.
    Write = 1,
    /// Nor read it.
    All = 2,
    /// Change it, unless the session has a permit for startup files.
    Startup = 3,
    /// The same of what has a [`StartupName`] of this place in it: somebody's home.
    Home = 4,
    /// As `Home`, of the folder /etc.
    Etc = 5,
}

/// The byte of a protected inode's value that is its [`Protection`], 0 if it has none.
pub const PROTECTION: u32 = 0xff;

/// Added to that value: it leads to something of the daemon's, so that nothing may come
/// into its place, whatever a profile permits.
pub const LEADS_TO_DAEMON: u32 = 0x100;

/// The same of what leads to startup files, unless the session has a permit for them.
pub const LEADS_TO_STARTUP: u32 = 0x200;

/// A path below a home or /etc that is run or read as something starts: up to three
/// names, each padded with zeros, the rest empty.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct StartupName {
    /// [`Protection::Home`] or [`Protection::Etc`].
    pub place: u64,
    /// From there downwards.
    pub names: [[u8; STARTUP_NAME]; 3],
}

/// What a [`StartupName`] names.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StartupKind {
    /// A startup file, or a folder of them.
    Itself = 1,
    /// A folder above one.
    Above = 2,
}

/// Bytes of one of the names, with at least one zero.
pub const STARTUP_NAME: usize = 24;

impl StartupName {
    /// That of `path` in `place`, none if it has more names or longer ones.
    pub fn new(place: Protection, path: &str) -> Option<Self> {
        let mut all = Self {
            place: place as u64,
            ..Self::default()
        };
        let mut slots = all.names.iter_mut();
        for name in path.split('/') {
            let room = slots.next()?.get_mut(..STARTUP_NAME - 1)?;
            room.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        }
        Some(all)
    }
}

/// Where a connect goes, in canonical form: IPv4-mapped IPv6 is IPv4, the
/// unspecified address is loopback, as the kernel would route it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Peer {
    /// Network order; IPv4 in the first four bytes, the rest zero.
    pub address: [u8; 16],
    /// Host order.
    pub port: u16,
    /// `AF_INET` (2) or `AF_INET6` (10).
    pub family: u16,
    /// `sock.sk_protocol`.
    pub protocol: u16,
    /// `sock.sk_type`.
    pub socket_type: u16,
    /// Inode number of the network namespace of the socket.
    pub netns: u32,
    /// Interface of a link-local address, otherwise zero.
    pub scope_id: u32,
    /// Zero: brings the type to the size of [`FileId`].
    pub padding: u64,
}

/// A local (unix) socket that a task connects or sends to: the one that would
/// really answer, whatever name led to it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct LocalPeer {
    /// The kernel's cookie of the socket: no two of one boot have the same.
    pub cookie: u64,
    /// File that the socket is bound to; both 0 if to none.
    pub file_inode: u64,
    /// See `file_inode`; as [`InodeKey::device`].
    pub file_device: u32,
    /// Process that listens, in the initial pid namespace; 0 if that is not known.
    pub pid: u32,
    /// User that made the socket.
    pub uid: u32,
    /// Inode number of the socket itself, by which /proc names it.
    pub socket: u32,
    /// Inode number of the network namespace of the socket.
    pub netns: u32,
    /// `sock.sk_type`.
    pub socket_type: u32,
}

/// The kinds of operations the gate judges.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum OperationKind {
    /// execve, execveat; the subject is a [`FileId`].
    Exec = 1,
    /// connect, and sends that name a destination; the subject is a [`Peer`].
    Connect = 2,
    /// A [`crate::Route`]; its number and what is known of it.
    Route = 3,
    /// connect and sends to a local socket; the subject is a [`LocalPeer`].
    Local = 4,
}

impl TryFrom<u32> for OperationKind {
    type Error = UnknownValue;

    fn try_from(value: u32) -> Result<Self, UnknownValue> {
        match value {
            1 => Ok(Self::Exec),
            2 => Ok(Self::Connect),
            3 => Ok(Self::Route),
            4 => Ok(Self::Local),
            _ => Err(UnknownValue {
                what: "operation kind",
                value,
            }),
        }
    }
}

/// One exact operation: its kind and its subject, as words.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct OperationKey {
    /// [`OperationKind`].
    pub kind: u32,
    /// Zero.
    pub padding: u32,
    /// The bytes of a [`FileId`], a [`Peer`] or a [`LocalPeer`].
    pub subject: [u64; 5],
    /// For the interpreter of a script: keyed hash of the script's first line and
    /// of the path it was called by, which become its arguments. Otherwise 0.
    pub script: u64,
}

const _: () = assert!(size_of::<TaskKey>() == 16);
const _: () = assert!(size_of::<FileId>() == 40);
const _: () = assert!(size_of::<InodeKey>() == 16);
const _: () = assert!(size_of::<StartupName>() == 80);
const _: () = assert!(size_of::<Peer>() == 40);
const _: () = assert!(size_of::<LocalPeer>() == 40);
const _: () = assert!(size_of::<OperationKey>() == 56);

plain!(
    TaskKey,
    FileId,
    InodeKey,
    Peer,
    LocalPeer,
    OperationKey,
    StartupName
);

impl OperationKey {
    /// The execution of `file`; `script` is 0 unless it is an interpreter.
    #[inline(always)]
    #[expect(unsafe_code, reason = "two plain types of the same size")]
    pub fn exec(file: FileId, script: u64) -> Self {
        Self {
            kind: OperationKind::Exec as u32,
            padding: 0,
            // SAFETY: both are 40 bytes of integers without padding.
            subject: unsafe { core::mem::transmute::<FileId, [u64; 5]>(file) },
            script,
        }
    }

    /// A connection to `peer`.
    #[inline(always)]
    #[expect(unsafe_code, reason = "two plain types of the same size")]
    pub fn connect(peer: Peer) -> Self {
        Self {
            kind: OperationKind::Connect as u32,
            padding: 0,
            // SAFETY: both are 40 bytes of integers without padding.
            subject: unsafe { core::mem::transmute::<Peer, [u64; 5]>(peer) },
            script: 0,
        }
    }

    /// A connection or a message to `peer`.
    #[inline(always)]
    #[expect(unsafe_code, reason = "two plain types of the same size")]
    pub fn local(peer: LocalPeer) -> Self {
        Self {
            kind: OperationKind::Local as u32,
            padding: 0,
            // SAFETY: both are 40 bytes of integers without padding.
            subject: unsafe { core::mem::transmute::<LocalPeer, [u64; 5]>(peer) },
            script: 0,
        }
    }

    /// An attempt on `route`, with up to three numbers that say more of it.
    #[inline(always)]
    pub fn route(route: Route, about: [u64; 3]) -> Self {
        Self {
            kind: OperationKind::Route as u32,
            padding: 0,
            subject: [route as u64, about[0], about[1], about[2], 0],
            script: 0,
        }
    }

    /// The number of the route that was attempted and what is known of the
    /// attempt, none for another kind.
    pub fn attempted_route(&self) -> Option<(u32, [u64; 3])> {
        let [route, about @ .., _] = self.subject;
        (self.kind == OperationKind::Route as u32).then_some((route as u32, about))
    }

    /// The file of an exec, none for another kind.
    #[expect(unsafe_code, reason = "two plain types of the same size")]
    pub fn file(&self) -> Option<FileId> {
        (self.kind == OperationKind::Exec as u32)
            // SAFETY: both are 40 bytes of integers, any bit pattern is valid.
            .then(|| unsafe { core::mem::transmute::<[u64; 5], FileId>(self.subject) })
    }

    /// The peer of a connect, none for another kind.
    #[expect(unsafe_code, reason = "two plain types of the same size")]
    pub fn peer(&self) -> Option<Peer> {
        (self.kind == OperationKind::Connect as u32)
            // SAFETY: both are 40 bytes of integers, any bit pattern is valid.
            .then(|| unsafe { core::mem::transmute::<[u64; 5], Peer>(self.subject) })
    }

    /// The peer of a local connection, none for another kind.
    #[expect(unsafe_code, reason = "two plain types of the same size")]
    pub fn local_peer(&self) -> Option<LocalPeer> {
        (self.kind == OperationKind::Local as u32)
            // SAFETY: both are 40 bytes of integers, any bit pattern is valid.
            .then(|| unsafe { core::mem::transmute::<[u64; 5], LocalPeer>(self.subject) })
    }

    /// Equality without a call to `memcmp`, which eBPF does not have.
    #[inline(always)]
    pub fn same(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.script == other.script
            && self.subject[0] == other.subject[0]
            && self.subject[1] == other.subject[1]
            && self.subject[2] == other.subject[2]
            && self.subject[3] == other.subject[3]
            && self.subject[4] == other.subject[4]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gives_back_what_it_was_made_of() {
        let file = FileId {
            inode: 7,
            size: 9,
            ctime_sec: -1,
            ctime_nsec: 3,
            generation: 4,
            device: 5,
            padding: 0,
        };
        let key = OperationKey::exec(file, 0);
        assert_eq!(key.file(), Some(file));
        assert_eq!(key.peer(), None);
        let peer = Peer {
            address: [1; 16],
            port: 443,
            family: 10,
            ..Peer::default()
        };
        assert_eq!(OperationKey::connect(peer).peer(), Some(peer));
        let peer = LocalPeer {
            cookie: 7,
            socket_type: 1,
            ..LocalPeer::default()
        };
        assert_eq!(OperationKey::local(peer).local_peer(), Some(peer));
        assert_eq!(OperationKey::local(peer).peer(), None);
    }

    #[test]
    fn a_startup_name_is_a_short_path() {
        let new = |path: &str| StartupName::new(Protection::Home, path);
        let name = new(".config/systemd").unwrap();
        assert_eq!(&name.names[0][..8], b".config\0");
        assert_eq!(&name.names[1][..8], b"systemd\0");
        assert_eq!(name.names[2], [0; STARTUP_NAME]);
        assert_eq!(new("a/b/c/d"), None);
        assert_eq!(new(&"x".repeat(STARTUP_NAME)), None);
    }

    #[test]
    fn every_word_of_the_subject_counts() {
        let base = OperationKey::exec(FileId::default(), 0);
        assert!(!base.same(&OperationKey::exec(FileId::default(), 1)));
        for word in 0..5 {
            let mut other = base;
            other.subject[word] = 1;
            assert!(!base.same(&other), "word {word}");
        }
        assert!(!base.same(&OperationKey::connect(Peer::default())));
        assert!(base.same(&base));
    }
}
