//! The network between a host and its approver, which can be cut.

use std::sync::Arc;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// A port that leads to another one as long as it is not cut.
pub struct Wire {
    port: u16,
    whole: Arc<watch::Sender<bool>>,
    accepting: JoinHandle<()>,
}

impl Wire {
    /// Leads to `target` on this machine.
    pub async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let whole = Arc::new(watch::channel(true).0);
        let state = Arc::clone(&whole);
        let accepting = tokio::spawn(async move {
            loop {
                let Ok((here, _)) = listener.accept().await else {
                    return;
                };
                let cut = state.subscribe();
                tokio::spawn(carry(here, target, cut));
            }
        });
        Self {
            port,
            whole,
            accepting,
        }
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Breaks what is connected and lets nothing through.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Lets everything through again.
    pub fn mend(&self) {
        self.whole.send_replace(true);
    }
}

async fn carry(mut here: TcpStream, target: u16, mut whole: watch::Receiver<bool>) {
    if !*whole.borrow_and_update() {
        return;
    }
    let Ok(mut there) = TcpStream::connect(("127.0.0.1", target)).await else {
        return;
    };
    tokio::select! {
        // Either side may go away at any time.
        _ = copy_bidirectional(&mut here, &mut there) => {}
        _ = whole.wait_for(|whole| !whole) => {}
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
