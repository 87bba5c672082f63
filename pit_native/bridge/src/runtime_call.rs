//! One function of a Player alone, outside of any run.

use std::sync::Arc;
use std::time::Duration;

use rmpv::Value;
use run_loop::bad_output;
use run_loop::ports::NodeError;

use crate::runtime_events::Place;
use crate::runtime_players::Theatre;

/// Calls it. What it answers is held against the `outputs` of the body, where there are any.
pub(crate) async fn call_alone(
    theatre: Arc<Theatre>,
    key: Arc<str>,
    body: Value,
    limit: Option<Duration>,
    tag: u64,
) -> Result<Value, NodeError> {
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    let extension = theatre
        .launches
        .lock()
        .get(&key)
        .map(|launch| launch.extension.clone());
    let what = format!(
        "{}#{}",
        extension.as_deref().unwrap_or(&key),
        text("function")
    );
    let context = &body["context"];
    let place = |key: &str| context[key].as_str().unwrap_or_default().into();
    let place = Place {
        run: place("run"),
        node: place("node"),
    };
    let declared = declared(&body);
    let seat = theatre.clone().seat(key, 5).await?;
    let call = seat.call_with(body, what.clone(), place, tag, limit);
    let answer = match limit {
        None => call.await?,
        // Dropping the call tells the Player to stop.
        Some(limit) => tokio::time::timeout(limit, call).await.map_err(|_| {
            let message = format!("{what} was not done within {} seconds", limit.as_secs_f64());
            NodeError::new(
                "timeout",
                message,
                "raise the timeout or give it less to do",
            )
        })??,
    };
    let Value::Map(entries) = answer else {
        return Err(bad_answer(&what, "is no map"));
    };
    let outputs = entries
        .into_iter()
        .find(|(key, _)| key.as_str() == Some("outputs"));
    let outputs = outputs.map_or_else(|| Value::Map(Vec::new()), |(_, outputs)| outputs);
    match declared {
        Some(declared) => checked(&theatre, &what, declared, outputs),
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
