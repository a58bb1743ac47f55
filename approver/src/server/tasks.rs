//! What runs beside the listeners for as long as the server does.
//!
//! None of it may end by itself: an approver that expires nothing, or whose log no
//! longer grows, looks well and is not. One that ends, by a panic or otherwise,
//! ends the server, and the service manager starts it again.

use std::{
    collections::HashMap,
    future::{Future, pending},
};

use tokio::task::{Id, JoinSet};

/// The tasks, by name. They end with this.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    running: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Tasks {
    /// Starts a task.
    pub(super) fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let id = self.running.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Waits until a task ends, and says which. May be dropped while it waits.
    pub(super) async fn ended(&mut self) -> &'static str {
        let id = match self.running.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            // A panic was printed when it happened.
            Some(Err(error)) => error.id(),
            None => return pending().await,
        };
        self.names.remove(&id).unwrap_or("unknown")
    }

    /// Waits until the task `name` ends, whichever others do.
    pub(super) async fn end_of(&mut self, name: &str) {
        while self.names.values().any(|running| *running == name) {
            self.ended().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn within<T>(future: impl Future<Output = T>) -> T {
        timeout(Duration::from_secs(10), future).await.unwrap()
    }

    #[tokio::test]
    async fn one_that_ends_is_named_however_it_ends() {
        let mut tasks = Tasks::default();
        tasks.spawn("lasting", pending());
        tasks.spawn("broken", async { panic!("as in this test") });
        assert_eq!(within(tasks.ended()).await, "broken");
        tasks.spawn("through", async {});
        assert_eq!(within(tasks.ended()).await, "through");
        let waits = timeout(Duration::from_millis(20), tasks.ended()).await;
        assert!(waits.is_err(), "the other lasts");
    }

    #[tokio::test]
    async fn the_end_of_one_is_waited_for_and_those_that_went_are_not() {
        let mut tasks = Tasks::default();
        tasks.spawn("lasting", pending());
        tasks.spawn("short", async {});
        tasks.spawn("web", tokio::time::sleep(Duration::from_millis(20)));
        within(tasks.end_of("web")).await;
        within(tasks.end_of("web")).await;
        within(tasks.end_of("short")).await;
    }
}
