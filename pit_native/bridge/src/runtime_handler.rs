//! What arrives from Players: capability requests, what they say, their end.

use std::sync::{Arc, OnceLock, Weak};

use ipc_bus::{Closed, Handler, Incoming, Responder, Room, check_body};
use rmpv::Value;

use crate::runtime_events::Note;
use crate::runtime_players::{OpenRequest, Theatre};
use crate::runtime_session::PlayerSession;

/// What arrives from one Player.
pub(crate) struct PlayerHandler {
    pub(crate) theatre: Weak<Theatre>,
    pub(crate) key: Arc<str>,
    pub(crate) extension: Arc<str>,
    /// Its Player's project, empty when it has none.
    pub(crate) project: Arc<str>,
    /// Set once the session stands.
    pub(crate) player: OnceLock<Weak<PlayerSession>>,
}

impl Handler for PlayerHandler {
    fn request(&self, incoming: Incoming, responder: Responder) {
        let Some(theatre) = self.theatre.upgrade() else {
            return;
        };
        if let Err(fault) = check_body(&incoming.method, &incoming.body) {
            return responder.err("bad_input", &fault, "see docs/stage-protocol.md");
        }
        let answered = theatre.answer_natively(incoming, responder, &self.extension, &self.project);
        let Some((incoming, responder)) = answered else {
            return;
        };
        let id = theatre.next();
        let place = theatre.place_of(incoming.tag);
        let request = OpenRequest {
            session: incoming.session,
            tag: incoming.tag,
            project: self.project.clone(),
            responder,
        };
        theatre.requests.lock().insert(id, request);
        theatre.events.push(Note::Request {
            weight: theatre.events.weigh(incoming.session, &incoming.body),
            id,
            place,
            extension: self.extension.clone(),
            key: self.key.clone(),
            method: incoming.method,
            body: incoming.body,
        });
    }

    fn event(&self, session: u64, tag: u64, method: &str, body: Value) {
        let Some(theatre) = self.theatre.upgrade() else {
            return;
        };
        if check_body(method, &body).is_err() {
            return;
        }
        if method == "extension.received" {
            return theatre.received(session, &body);
        }
        if !matches!(method, "progress" | "log" | "output" | "ui") {
            return;
        }
        let place = theatre.place_of(tag);
        theatre
            .events
            .say(session, method, place, self.extension.clone(), body);
    }

    fn room(&self, session: u64) -> Option<Room> {
        let theatre = self.theatre.upgrade()?;
        let room = theatre.events.backlog().room(session)?;
        Some(Box::pin(room))
    }

    fn closed(&self, session: u64, reason: &Closed) {
        let Some(theatre) = self.theatre.upgrade() else {
            return;
        };
        theatre.withdraw(|request| request.session == session);
        theatre.halls.left(session);
        if *reason == Closed::ByHost {
            return;
        }
        let Some(player) = self.player.get().and_then(Weak::upgrade) else {
            return;
        };
        let reason = reason.clone();
        // Waiting for the exit status and the pool's hooks may block; the reader must not.
        let handle = theatre.handle.clone();
        handle.spawn_blocking(move || theatre.lost(&player, &reason));
    }
}
