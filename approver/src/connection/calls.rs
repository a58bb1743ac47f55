//! The calls on one connection, counted: whether anything goes on there.
//!
//! A connection on which nothing goes on may be ended. It goes on as long as a
//! call waits for us, which a stream of events does all its life, and while a
//! peer takes what it is sent. A peer that takes nothing, or that only answers
//! PINGs, keeps nothing open.

use std::{
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use axum::{body::Body, response::Response};
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};

/// Longest piece of an answer that is handed on at once: what shows that a peer
/// takes it.
const PIECE: usize = 16 * 1024;

/// The calls on one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Whether there was one ever.
    any: bool,
    /// Those that wait for us: to be answered, or for more of their answer.
    waiting: usize,
    /// Whether anything went on since the last look.
    active: bool,
}

/// One call; it is over when this is dropped.
#[derive(Debug)]
pub(crate) struct Call {
    calls: Calls,
    waits: bool,
}

impl Calls {
    /// A call begins.
    pub(crate) fn begin(&self) -> Call {
        let mut state = self.state();
        state.any = true;
        state.waiting += 1;
        drop(state);
        Call {
            calls: self.clone(),
            waits: true,
        }
    }

    /// Whether there was a call ever.
    pub(crate) fn any(&self) -> bool {
        self.state().any
    }

    /// Whether anything went on since this was asked before, or goes on now.
    pub(crate) fn go_on(&self) -> bool {
        let mut state = self.state();
        mem::take(&mut state.active) || state.waiting > 0
    }

    /// Whether these are the same.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Counters are never left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    /// `response`, which the call lasts as long as.
    pub(crate) fn answer(mut self, response: Response) -> Response {
        self.wait(false);
        response.map(|body| {
            Body::new(Answer {
                body,
                rest: Bytes::new(),
                call: self,
            })
        })
    }

    /// Says whether the call waits for us from now on.
    fn wait(&mut self, waits: bool) {
        let mut state = self.calls.state();
        match (mem::replace(&mut self.waits, waits), waits) {
            (true, false) => state.waiting -= 1,
            (false, true) => state.waiting += 1,
            _ => {}
        }
        state.active |= !waits;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.wait(false);
    }
}

/// The body of an answer.
struct Answer {
    body: Body,
    /// What is left of a long piece.
    rest: Bytes,
    call: Call,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    /// Asked only when the peer has room for more.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = if self.rest.is_empty() {
            Pin::new(&mut self.body).poll_frame(context)
        } else {
            let rest = mem::take(&mut self.rest);
            Poll::Ready(Some(Ok(Frame::data(rest))))
        };
        self.call.wait(frame.is_pending());
        frame.map_ok(|frame| match frame.into_data() {
            Ok(mut data) => {
                self.rest = data.split_off(data.len().min(PIECE));
                Frame::data(data)
            }
            Err(other) => other,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn an_answer_arrives_whole_in_pieces() {
        let long: Vec<u8> = (0..=250_u8).cycle().take(3 * PIECE + 7).collect();
        let calls = Calls::default();
        let answer = calls
            .begin()
            .answer(Response::new(Body::from(long.clone())));
        let mut body = answer.into_body();
        assert_eq!(body.size_hint().exact(), Some(long.len() as u64));
        let mut pieces = Vec::new();
        while let Some(frame) = body.frame().await {
            pieces.push(frame.unwrap().into_data().unwrap());
        }
        assert_eq!(pieces.len(), 4);
        assert!(body.is_end_stream());
        assert_eq!(pieces.concat(), long);
    }

    #[tokio::test]
    async fn what_waits_for_us_goes_on_and_what_a_peer_leaves_does_not() {
        let calls = Calls::default();
        assert!(!calls.any() && !calls.go_on());
        let call = calls.begin();
        for _ in 0..3 {
            assert!(calls.go_on(), "it is not answered");
        }
        let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, axum::Error>>(1);
        let events = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let mut body = call
            .answer(Response::new(Body::from_stream(events)))
            .into_body();
        assert!(calls.go_on(), "just answered");
        assert!(!calls.go_on(), "the peer takes nothing");
        assert!(is_waiting(&mut body).await);
        for _ in 0..3 {
            assert!(calls.go_on(), "it waits for the next event");
        }
        sender.send(Ok(Bytes::from_static(b"x"))).await.unwrap();
        body.frame().await.unwrap().unwrap();
        assert!(calls.go_on(), "just taken");
        assert!(!calls.go_on());
        drop(body);
        assert!(calls.go_on() && !calls.go_on(), "it has just ended");
        assert!(calls.any());
    }

    /// Whether the next frame has to be waited for.
    async fn is_waiting(body: &mut Body) -> bool {
        std::future::poll_fn(|context| {
            let frame = Pin::new(&mut *body).poll_frame(context);
            Poll::Ready(frame.is_pending())
        })
        .await
    }
}
