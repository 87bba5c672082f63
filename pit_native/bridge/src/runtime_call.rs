//! One function of a Player alone, outside of any run.

use std::sync::Arc;
use std::time::Duration;

use rmpv::Value;
use run_loop::bad_output;
use run_loop::ports::NodeError;

use crate::runtime_events::Place;
use crate::runtime_players::{PlayerSeat, Theatre};

/// Someone waits for it.
const PRIORITY: u8 = 5;

/// A call that is to be made.
pub(crate) struct LoneCall {
    pub(crate) key: Arc<str>,
    pub(crate) body: Value,
    /// From its sending to its answer.
    pub(crate) limit: Option<Duration>,
    pub(crate) tag: u64,
}

/// Makes it; `done` gets the outputs, held against the `outputs` of the body where there are any.
///
/// When the Player is there and reads, the call is sent from this thread and its answer is told from where
/// it is read: to wake two tasks on the way would cost as much as the message. Else a task waits.
pub(crate) fn call_alone(
    theatre: &Arc<Theatre>,
    call: LoneCall,
    done: impl FnOnce(Result<Value, NodeError>) + Send + 'static,
) {
    let LoneCall {
        key,
        body,
        limit,
        tag,
    } = call;
    let what = name_of(theatre, &key, &body);
    let context = &body["context"];
    let place = |key: &str| context[key].as_str().unwrap_or_default().into();
    let place = Place {
        run: place("run"),
        node: place("node"),
    };
    let declared = declared(&body);
    let types = theatre.clone();
    let finish = move |what: &str, answer: Result<Value, NodeError>| {
        done(answer.and_then(|answer| outputs(&types, what, declared, answer)));
    };
    match theatre
        .seat_now(&key, PRIORITY)
        .filter(PlayerSeat::has_room)
    {
        Some(seat) => seat.call_then(body, what, place, tag, limit, finish),
        None => {
            let theatre = theatre.clone();
            theatre.handle.clone().spawn(async move {
                match theatre.seat(key, PRIORITY).await {
                    Ok(seat) => seat.call_then(body, what, place, tag, limit, finish),
                    Err(error) => finish(&what, Err(error)),
                }
            });
        }
    }
}

/// How errors name what is called.
fn name_of(theatre: &Theatre, key: &str, body: &Value) -> String {
    let launches = theatre.launches.lock();
    let extension = launches.get(key).map(|launch| &*launch.extension);
    let function = body["function"].as_str().unwrap_or_default();
    format!("{}#{function}", extension.unwrap_or(key))
}

/// The outputs in an answer.
fn outputs(
    theatre: &Theatre,
    what: &str,
    declared: Option<Vec<(String, String)>>,
    answer: Value,
) -> Result<Value, NodeError> {
    let Value::Map(entries) = answer else {
        return Err(bad_answer(what, "is no map"));
    };
    let outputs = entries
        .into_iter()
        .find(|(key, _)| key.as_str() == Some("outputs"));
    let outputs = outputs.map_or_else(|| Value::Map(Vec::new()), |(_, outputs)| outputs);
    match declared {
        Some(declared) => checked(theatre, what, declared, outputs),
        None => Ok(outputs),
    }
}

/// The output ports that the caller says the function has, each with its type; none when it does not say.
fn declared(body: &Value) -> Option<Vec<(String, String)>> {
    let ports = body["outputs"].as_map()?.iter();
    let ports = ports.map(|(port, port_type)| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(port), text(port_type))
    });
    Some(ports.collect())
}

/// The declared outputs of an answer, each of its type. What is not declared is left out.
fn checked(
    theatre: &Theatre,
    what: &str,
    declared: Vec<(String, String)>,
    outputs: Value,
) -> Result<Value, NodeError> {
    let Value::Map(mut outputs) = outputs else {
        return Err(bad_answer(what, "has outputs that are no map"));
    };
    let types = theatre.types.read().clone();
    let mut kept = Vec::with_capacity(declared.len());
    for (port, port_type) in declared {
        let at = outputs
            .iter()
            .position(|(name, _)| name.as_str() == Some(&port));
        let at = at.ok_or_else(|| bad_answer(what, &format!("lacks the output {port}")))?;
        let (name, value) = outputs.swap_remove(at);
        if let Some(mismatch) = types.mismatch(&port_type, &value) {
            return Err(bad_output(what, &port, &port_type, &mismatch));
        }
        kept.push((name, value));
    }
    Ok(Value::Map(kept))
}

fn bad_answer(what: &str, problem: &str) -> NodeError {
    NodeError::new(
        "protocol",
        format!("The answer of {what} {problem}"),
        "report it to the extension's author",
    )
}
