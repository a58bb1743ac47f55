//! From a ring buffer of the gate into a channel of the daemon.
//!
//! Must never take a record without a place for it: what is left in the ring
//! buffer is there for the next daemon, and counted by the kernel if it overflows;
//! what was taken is this daemon's to tell of.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use aya::maps::{MapData, RingBuf};
use holdpoint_agent_common::UnknownValue;
use tokio::{io::unix::AsyncFd, sync::mpsc};
use tracing::{error, warn};

/// Why a record cannot be told of.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotUnderstood {
    /// It is no record that this version knows.
    #[error("it has an unexpected size, or says that of its parts")]
    Size,
    /// It has a value in it that this version does not know.
    #[error(transparent)]
    Value(#[from] UnknownValue),
}

/// Records that were taken, could not be told of, and were not declared yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Unread(Arc<AtomicU64>);

impl Unread {
    fn one_more(&self, why: &NotUnderstood) {
        warn!(%why, "a record of the gate was not understood; a gap will say so");
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many.
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// `count` of them are declared.
    pub(super) fn declared(&self, count: u64) {
        self.0.fetch_sub(count.min(self.count()), Ordering::Relaxed);
    }
}

/// Hands what `read` makes of the records of `ring` to `sender` until nobody
/// listens. `without` says what becomes of the daemon if that cannot be.
#[expect(unsafe_code, reason = "waiting on a descriptor that aya owns")]
pub(super) async fn run<T>(
    ring: RingBuf<MapData>,
    sender: mpsc::Sender<T>,
    unread: Unread,
    read: fn(&[u8]) -> Result<T, NotUnderstood>,
    without: &'static str,
) {
    // SAFETY: the ring buffer owns its descriptor and closes it when dropped,
    // which AsyncFd delays until it has stopped watching it.
    let mut ring = match unsafe { AsyncFd::register(ring) } {
        Ok(ring) => ring,
        Err(error) => {
            error!(%error, "cannot wait for what the gate tells; {without}");
            return;
        }
    };
    loop {
        let Ok(mut guard) = ring.readable_mut().await else {
            return;
        };
        let next = || guard.get_inner_mut().next().map(|record| read(&record));
        if !take(next, &sender, &unread).await {
            return;
        }
        guard.clear_ready();
    }
}

/// Takes as many records as there are. Gives whether somebody listens still.
async fn take<T>(
    mut next: impl FnMut() -> Option<Result<T, NotUnderstood>>,
    sender: &mpsc::Sender<T>,
    unread: &Unread,
) -> bool {
    // Full: the daemon is behind.
    while let Ok(place) = sender.reserve().await {
        match next() {
            Some(Ok(told)) => place.send(told),
            Some(Err(why)) => unread.one_more(&why),
            None => return true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Mutex, time::Duration};

    use super::*;

    /// A ring buffer that both ends of a test hold.
    #[derive(Clone, Default)]
    struct Ring(Arc<Mutex<VecDeque<Result<u32, NotUnderstood>>>>);

    impl Ring {
        fn with(numbers: std::ops::Range<u32>) -> Self {
            Self(Arc::new(Mutex::new(numbers.map(Ok).collect())))
        }

        fn len(&self) -> usize {
            self.0.lock().unwrap().len()
        }

        /// Takes from it into a channel as short as the daemon's.
        fn pump(&self, unread: &Unread) -> mpsc::Receiver<u32> {
            let (sender, receiver) = mpsc::channel(4);
            let (ring, unread) = (self.clone(), unread.clone());
            tokio::spawn(async move {
                take(|| ring.0.lock().unwrap().pop_front(), &sender, &unread).await
            });
            receiver
        }
    }

    #[tokio::test]
    async fn nothing_is_taken_that_a_daemon_that_stops_would_not_get() {
        let ring = Ring::with(0..100);
        let mut receiver = ring.pump(&Unread::default());
        // Long enough to take whatever it would take.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut got = vec![receiver.recv().await.unwrap()];
        tokio::time::sleep(Duration::from_millis(50)).await;
        receiver.close();
        while let Some(number) = receiver.recv().await {
            got.push(number);
        }
        let count = got.len();
        assert!(got.into_iter().eq(0..count as u32));
        assert_eq!(ring.len(), 100 - count, "the rest is the next daemon's");
    }

    #[tokio::test]
    async fn what_is_not_understood_is_counted_until_it_is_declared() {
        let ring = Ring::with(0..2);
        ring.0.lock().unwrap().insert(1, Err(NotUnderstood::Size));
        let unread = Unread::default();
        let mut receiver = ring.pump(&unread);
        assert_eq!(receiver.recv().await, Some(0));
        assert_eq!(receiver.recv().await, Some(1));
        assert_eq!(receiver.recv().await, None);
        assert_eq!(unread.count(), 1);
        unread.declared(1);
        assert_eq!(unread.count(), 0);
    }
}
