//! The event service: stored events, and new ones behind them without a gap.
//!
//! A stream reads the store up to the last committed sequence number and waits for that number to
//! grow: a slow reader costs no memory. Not for: what an event says (`view::event`).

use super::refuse::{broken, refuse};
use super::subject::{find_subject, id_of};
use super::{Door, page_size, view};
use crate::engine::{decode_event, event_key};
use crate::store::Direction;
use fusion_core::{AgentId, Caller, Event, Rights, RunId, SecretId, State, TaskId, Time, WorkflowId};
use fusion_proto::v1;
use std::pin::Pin;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// Events read at once for a stream.
const PAGE: usize = 256;

#[tonic::async_trait]
impl v1::event_service_server::EventService for Door {
    async fn list_events(
        &self,
        request: Request<v1::ListEventsRequest>,
    ) -> Result<Response<v1::ListEventsResponse>, Status> {
        let caller = Self::caller(&request)?;
        let mut ask = request.into_inner();
        ask.subject = self.subject(caller, ask.subject).await?;
        let size = page_size(ask.page_size);
        let mut events = Vec::new();
        let mut since = ask.since_seq;
        loop {
            let page = self.read_events(since, PAGE).await?;
            let full = page.len() == PAGE;
            for event in page {
                since = event.seq;
                if sees(caller, &event, &ask.subject) {
                    events.push(self.show_event(&event));
                }
                if events.len() == size {
                    return Ok(Response::new(v1::ListEventsResponse { events, next_seq: since }));
                }
            }
            if !full {
                return Ok(Response::new(v1::ListEventsResponse { events, next_seq: 0 }));
            }
        }
    }

    type WatchEventsStream = Pin<Box<dyn Stream<Item = Result<v1::Event, Status>> + Send>>;

    async fn watch_events(
        &self,
        request: Request<v1::WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        let caller = Self::caller(&request)?;
        let mut ask = request.into_inner();
        ask.subject = self.subject(caller, ask.subject).await?;
        let (sender, stream) = mpsc::channel(PAGE);
        let door = self.clone();
        tokio::spawn(async move {
            if let Err(status) = door.pump_events(caller, ask, &sender).await {
                // The client may be gone already.
                drop(sender.send(Err(status)).await);
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

/// Whether this caller may see the event, and asked for it.
fn sees(caller: Caller, event: &Event, subject: &str) -> bool {
    let allowed = match caller.rights {
        Rights::Admin => true,
        Rights::User => event.owner == Some(caller.uid),
        Rights::Agent(_) => false,
    };
    allowed && (subject.is_empty() || event.kind.subject().to_string() == subject)
}

/// Whether this is the full form of a subject: what is removed still goes by it.
fn is_full(text: &str) -> bool {
    let is_id = AgentId::parse(text).is_some()
        || TaskId::parse(text).is_some()
        || RunId::parse(text).is_some()
        || SecretId::parse(text).is_some()
        || WorkflowId::parse(text).is_some();
    text.is_empty() || text == "fusiond" || text.starts_with("user:") || is_id
}

impl Door {
    async fn subject(&self, caller: Caller, text: String) -> Result<String, Status> {
        if is_full(&text) {
            return Ok(text);
        }
        let look = move |state: &State, _: Time| find_subject(state, caller, &text);
        let found = self.engine.look(look).await.and_then(|found| found).map_err(|reject| refuse(&reject))?;
        Ok(id_of(found))
    }

    fn show_event(&self, event: &Event) -> v1::Event {
        let mut shown = view::event::event(event);
        shown.user = self.name_of(&shown.user);
        shown
    }

    async fn pump_events(
        &self,
        caller: Caller,
        ask: v1::WatchEventsRequest,
        sender: &mpsc::Sender<Result<v1::Event, Status>>,
    ) -> Result<(), Status> {
        let mut last = self.engine.seq();
        let mut since = ask.since_seq.unwrap_or(*last.borrow_and_update());
        loop {
            let page = self.read_events(since, PAGE).await?;
            let full = page.len() == PAGE;
            for event in page {
                since = event.seq;
                let wanted = sees(caller, &event, &ask.subject);
                if wanted && sender.send(Ok(self.show_event(&event))).await.is_err() {
                    return Ok(());
                }
            }
            if full {
                continue;
            }
            tokio::select! {
                changed = last.wait_for(|seq| *seq > since) => if changed.is_err() { return Ok(()) },
                () = sender.closed() => return Ok(()),
            }
        }
    }

    /// The next events after `since`. Reading may wait for the disk, so it is done aside.
    async fn read_events(&self, since: u64, count: usize) -> Result<Vec<Event>, Status> {
        let reader = self.engine.reader().clone();
        let read = tokio::task::spawn_blocking(move || {
            reader.range(b"event/", Some(&event_key(since)), count, Direction::Ascending)
        });
        let entries = read.await.map_err(|error| broken("reading events", &error))?;
        let entries = entries.map_err(|error| broken("reading events", &error))?;
        Ok(entries.iter().filter_map(|entry| decode_event(&entry.body)).collect())
    }
}
