//! The end in order: what was taken out of the kernel is written down first.
//!
//! Must begin nothing that it cannot end: what waits goes on waiting in the kernel,
//! and the next daemon looks at it anew.

use holdpoint_proto::v1;
use tokio::sync::mpsc;
use tracing::warn;

use super::Daemon;
use crate::kernel::{Gate, GateEvent, Observed};

impl<G: Gate + ?Sized> Daemon<G> {
    /// The last words. Of what the gate tells from now on nothing is taken.
    pub(super) async fn stop(
        &mut self,
        mut events: mpsc::Receiver<GateEvent>,
        mut observations: mpsc::Receiver<Observed>,
    ) {
        events.close();
        observations.close();
        while let Some(event) = events.recv().await {
            // A hold that is over is told of now or never. One that begins is found
            // again: reading it here would come to nothing.
            if !matches!(event, GateEvent::Held(_)) {
                self.gate_event(event);
            }
        }
        while let Some(observed) = observations.recv().await {
            self.observed(&observed);
        }
        self.note_losses();
        let hello = self.hello.borrow().clone();
        self.recording
            .enforcement(&hello, &self.enforcement, v1::Lifecycle::Stopping);
        if let Err(error) = self.recording.journal().end().await {
            warn!(%error, "the next start will take this end for a crash");
        }
    }
}
