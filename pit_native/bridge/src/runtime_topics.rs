//! Topics between Players of one project. Who may hear or publish what is decided in Python, once for each
//! subscription and each topic; what is published then goes from Player to Player without it.

use std::sync::Arc;
use std::time::Duration;

use ipc_bus::topics::{BadTopic, Bounds, Message, Pattern, Topic, Topics};
use ipc_bus::{Incoming, Responder};
use parking_lot::Mutex;
use rmpv::Value;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::runtime_events::Note;
use crate::runtime_players::Theatre;

/// Topics that one Player may have announced.
const MOST_TOPICS: usize = 256;
/// However long a publisher says that it would wait.
const LONGEST_WAIT: f64 = 60.0;
/// However long a queue a subscriber wishes for.
const LONGEST_QUEUE: usize = 4096;

/// Players of the same project hear each other; those of another do not.
type Project = Arc<str>;

/// All subscriptions, and what may be published.
#[derive(Default)]
pub(crate) struct Halls {
    topics: Mutex<FxHashMap<Project, Arc<Topics>>>,
    /// By the request that is answered piece by piece.
    listening: Mutex<FxHashMap<u64, Listening>>,
    /// By session.
    announced: Mutex<FxHashMap<u64, FxHashSet<Topic>>>,
}

struct Listening {
    session: u64,
    project: Project,
    topics: Arc<Topics>,
    id: u64,
}

impl Halls {
    /// Forgets what a session that has ended announced.
    pub(crate) fn left(&self, session: u64) {
        self.announced.lock().remove(&session);
    }

    /// Ends the subscription that a request began, if it did.
    pub(crate) fn stop(&self, request: u64) {
        let Some(ended) = self.listening.lock().remove(&request) else {
            return;
        };
        ended.topics.unsubscribe(ended.id);
        let mut topics = self.topics.lock();
        if topics.get(&ended.project).is_some_and(|all| all.is_empty()) {
            topics.remove(&ended.project);
        }
    }

    fn of_session(&self, session: u64, request: u64) -> Option<(Arc<Topics>, u64)> {
        let listening = self.listening.lock();
        let found = listening.get(&request);
        let found = found.filter(|found| found.session == session)?;
        Some((found.topics.clone(), found.id))
    }
}

impl Theatre {
    /// From now on answers the open `request` with what is published under `pattern` in its Player's project.
    /// False when nobody waits for the answer any more.
    pub(crate) fn listen(
        self: &Arc<Self>,
        request: u64,
        pattern: &str,
        queue: usize,
    ) -> Result<bool, BadTopic> {
        let pattern = Pattern::parse(pattern)?;
        let requests = self.requests.lock();
        let Some(open) = requests.get(&request) else {
            return Ok(false);
        };
        let (session, project) = (open.session, open.project.clone());
        let pieces = open.responder.pieces();
        // Before the first message, so that it can be acknowledged.
        pieces.send(&Value::Map(vec![("id".into(), request.into())]));
        let bounds = Bounds {
            queue: queue.clamp(1, LONGEST_QUEUE),
            ..Bounds::default()
        };
        let deliver = Box::new(move |message: &Message, missed: u64| {
            if missed > 0 {
                pieces.send(&Value::Map(vec![("missed".into(), missed.into())]));
            }
            pieces.send(&message.body);
        });
        // While requests are locked: who withdraws this one finds the subscription afterwards.
        let mut all = self.halls.topics.lock();
        let topics = all.entry(project.clone()).or_default().clone();
        let id = topics.subscribe(pattern, bounds, deliver);
        drop(all);
        let listening = Listening {
            session,
            project,
            topics,
            id,
        };
        self.halls.listening.lock().insert(request, listening);
        Ok(true)
    }

    /// The Player of the open `request` may publish under `topic` while its session lasts. False when nobody
    /// waits for the answer any more, or it has announced too many.
    pub(crate) fn announce(&self, request: u64, topic: &str) -> Result<bool, BadTopic> {
        let topic = Topic::parse(topic)?;
        let requests = self.requests.lock();
        let Some(open) = requests.get(&request) else {
            return Ok(false);
        };
        let mut announced = self.halls.announced.lock();
        let of_session = announced.entry(open.session).or_default();
        let has_room = of_session.len() < MOST_TOPICS || of_session.contains(&topic);
        if has_room {
            of_session.insert(topic);
        }
        Ok(has_room)
    }

    /// Answers what needs no decision; gives back what does.
    pub(crate) fn answer_natively(
        self: &Arc<Self>,
        incoming: Incoming,
        responder: Responder,
        extension: &Arc<str>,
        project: &Project,
    ) -> Option<(Incoming, Responder)> {
        match &*incoming.method {
            "extension.publish" => self.publish(incoming, responder, extension, project),
            "extension.unsubscribe" => self.unsubscribe(&incoming, responder),
            _ => return Some((incoming, responder)),
        }
        None
    }

    fn publish(
        self: &Arc<Self>,
        incoming: Incoming,
        responder: Responder,
        extension: &Arc<str>,
        project: &Project,
    ) {
        let topic = match Topic::parse(incoming.body["topic"].as_str().unwrap_or_default()) {
            Ok(topic) => topic,
            Err(bad) => return responder.err("bad_input", &bad.to_string(), ""),
        };
        let may = self.halls.announced.lock();
        let is_announced = may
            .get(&incoming.session)
            .is_some_and(|topics| topics.contains(&topic));
        drop(may);
        if !is_announced {
            let message = format!("{extension} has not announced the topic {topic}");
            return responder.err(
                "permission_denied",
                &message,
                "ask extension.announce first",
            );
        }
        let patience = incoming.body["wait"].as_f64().unwrap_or_default();
        let Some(topics) = self.halls.topics.lock().get(project).cloned() else {
            return responder.ok(told(0, 0));
        };
        let message = Message::new(topic, body(incoming.body, extension));
        // Not a number counts as no wait.
        if patience > 0.0 {
            let patience = Duration::from_secs_f64(patience.min(LONGEST_WAIT));
            self.handle.spawn(async move {
                let done = topics.publish_within(message, patience).await;
                responder.ok(told(done.subscribers, done.displaced));
            });
        } else {
            let done = topics.publish(message);
            responder.ok(told(done.subscribers, done.displaced));
        }
    }

    fn unsubscribe(&self, incoming: &Incoming, responder: Responder) {
        let request = incoming.body["id"].as_u64().unwrap_or_default();
        if self.halls.of_session(incoming.session, request).is_none() {
            return responder.err("not_found", "there is no such subscription", "");
        }
        if let Some(open) = self.answered(request) {
            open.responder.ok(Value::Map(Vec::new()));
        }
        self.events.push(Note::Withdrawn { id: request });
        responder.ok(Value::Map(Vec::new()));
    }

    /// A Player has dealt with messages of one of its own subscriptions.
    pub(crate) fn received(&self, session: u64, body: &Value) {
        let request = body["id"].as_u64().unwrap_or_default();
        let count = body["count"].as_u64().unwrap_or_default();
        if let Some((topics, id)) = self.halls.of_session(session, request) {
            topics.acknowledge(id, usize::try_from(count).unwrap_or(usize::MAX));
        }
    }
}

/// What subscribers get. The host says who published it, not the Player.
fn body(asked: Value, extension: &Arc<str>) -> Value {
    let Value::Map(fields) = asked else {
        unreachable!("its topic was found in it");
    };
    let mut kept: Vec<_> = fields
        .into_iter()
        .filter(|(key, _)| matches!(key.as_str(), Some("topic" | "value")))
        .collect();
    kept.push(("from".into(), (&**extension).into()));
    Value::Map(kept)
}

fn told(subscribers: usize, displaced: usize) -> Value {
    Value::Map(vec![
        ("subscribers".into(), subscribers.into()),
        ("displaced".into(), displaced.into()),
    ])
}
