//! Calls, capability requests, events, cancellation and the end, over real sockets.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use ipc_bus::{BusError, CallError, CallOptions, Closed, Expect, Kind, Limits, Value};
use support::{Host, Seen, expect, hello, id, map};

fn within(deadline: Duration, tag: u64) -> CallOptions {
    CallOptions { deadline, tag }
}

#[tokio::test]
async fn many_calls_at_once_each_get_their_own_answer() {
    let host = Host::new(Limits::default());
    let (session, mut peer) = host.session("a").await;
    let peer = tokio::spawn(async move {
        let mut calls = Vec::new();
        while calls.len() < 50 {
            calls.push(peer.read().await.expect("a call"));
        }
        // Answered in the opposite order.
        for call in calls.into_iter().rev() {
            peer.send(3, Kind::Response, Some(call.id), "call", call.body)
                .await;
        }
        peer
    });
    let calls = (0..50u64).map(|number| {
        let session = session.clone();
        tokio::spawn(async move {
            session
                .call("call", number.into(), CallOptions::default())
                .await
        })
    });
    for (number, call) in calls.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), Ok(Value::from(number as u64)));
    }
    peer.await.unwrap();
    assert_eq!(
        (session.stats().calls_waiting, session.stats().received),
        (0, 50)
    );
}

#[tokio::test]
async fn an_error_arrives_with_all_its_words() {
    let host = Host::new(Limits::default());
    let (session, mut peer) = host.session("a").await;
    let answer = tokio::spawn(async move {
        for (number, body) in [
            map([
                ("code", "bad_input".into()),
                ("message", "no".into()),
                ("remedy", "yes".into()),
                ("traceback", "t".into()),
            ]),
            map([("code", "cancelled".into())]),
            Value::Nil,
        ]
        .into_iter()
        .enumerate()
        {
            let call = peer.read().await.expect("a call");
            peer.send(number as u8 + 2, Kind::Error, Some(call.id), "call", body)
                .await;
        }
        peer
    });
    let remote = |code: &str, message: &str, remedy: &str, traceback: &str| CallError::Remote {
        code: code.into(),
        message: message.into(),
        remedy: remedy.into(),
        traceback: traceback.into(),
    };
    let call = || session.call("call", Value::Nil, CallOptions::default());
    assert_eq!(call().await, Err(remote("bad_input", "no", "yes", "t")));
    assert_eq!(call().await, Err(CallError::Cancelled));
    assert_eq!(
        call().await,
        Err(remote("failed", "the Player gave no reason", "", ""))
    );
    answer.await.unwrap();
}

#[tokio::test]
async fn a_deadline_cancels_and_the_late_answer_harms_nothing() {
    let host = Host::new(Limits::default());
    let (session, mut peer) = host.session("a").await;
    let deadline = Duration::from_millis(20);
    assert_eq!(
        session.call("call", Value::Nil, within(deadline, 1)).await,
        Err(CallError::Timeout(deadline))
    );
    let call = peer.read().await.unwrap();
    let cancel = peer.read().await.unwrap();
    assert_eq!(
        (cancel.kind, cancel.method.as_str(), cancel.re),
        (Kind::Event, "cancel", Some(call.id))
    );
    peer.send(2, Kind::Event, Some(call.id), "progress", Value::Nil)
        .await;
    peer.send(3, Kind::Request, Some(call.id), "fs.read", Value::Nil)
        .await;
    let refusal = peer.read().await.unwrap();
    assert_eq!((refusal.kind, refusal.re), (Kind::Error, Some(id(3))));
    peer.send(4, Kind::Response, Some(call.id), "call", Value::Nil)
        .await;
    tokio::spawn(peer.echo());
    assert_eq!(
        session.call("call", 7.into(), CallOptions::default()).await,
        Ok(7.into())
    );
    assert_eq!(session.stats().late, 1 + 1);
}

#[tokio::test]
async fn cancel_reaches_the_calls_of_its_tag_alone() {
    let host = Host::new(Limits {
        cancel_grace: Duration::from_millis(50),
        ..Limits::default()
    });
    let (session, mut peer) = host.session("a").await;
    let start = |tag: u64| {
        let session = session.clone();
        tokio::spawn(async move {
            session
                .call("call", tag.into(), within(support::PATIENCE, tag))
                .await
        })
    };
    let (first, obeys, ignores) = (start(1), start(2), start(2));
    let mut calls = Vec::new();
    while calls.len() < 3 {
        calls.push(peer.read().await.unwrap());
    }
    session.cancel(2);
    let mut cancelled = vec![
        peer.read().await.unwrap().re.unwrap(),
        peer.read().await.unwrap().re.unwrap(),
    ];
    let mut expected: Vec<_> = calls
        .iter()
        .filter(|call| call.body == Value::from(2))
        .map(|call| call.id)
        .collect();
    cancelled.sort_by_key(|id| id.0);
    expected.sort_by_key(|id| id.0);
    assert_eq!(cancelled, expected);
    let body = map([("code", "cancelled".into())]);
    peer.send(2, Kind::Error, Some(cancelled[0]), "call", body)
        .await;
    assert_eq!(obeys.await.unwrap(), Err(CallError::Cancelled));
    assert_eq!(
        ignores.await.unwrap(),
        Err(CallError::Cancelled),
        "given up after the grace"
    );
    let survivor = calls
        .iter()
        .find(|call| call.body == Value::from(1))
        .unwrap();
    peer.send(3, Kind::Response, Some(survivor.id), "call", "done".into())
        .await;
    assert_eq!(first.await.unwrap(), Ok("done".into()));
}

#[tokio::test]
async fn a_dropped_call_is_cancelled() {
    let host = Host::new(Limits::default());
    let (session, mut peer) = host.session("a").await;
    let call = {
        let session = session.clone();
        tokio::spawn(async move {
            session
                .call("call", Value::Nil, CallOptions::default())
                .await
        })
    };
    let sent = peer.read().await.unwrap();
    call.abort();
    let cancel = peer.read().await.unwrap();
    assert_eq!(
        (cancel.method.as_str(), cancel.re),
        ("cancel", Some(sent.id))
    );
}

#[tokio::test]
async fn requests_and_events_carry_the_tag_of_their_call() {
    let mut host = Host::new(Limits::default());
    let (session, mut peer) = host.session("a").await;
    let call = {
        let session = session.clone();
        tokio::spawn(async move {
            session
                .call("call", Value::Nil, within(support::PATIENCE, 42))
                .await
        })
    };
    let sent = peer.read().await.unwrap();
    peer.send(2, Kind::Event, Some(sent.id), "progress", 0.5.into())
        .await;
    peer.send(3, Kind::Stream, Some(sent.id), "output", "piece".into())
        .await;
    peer.send(4, Kind::Request, Some(sent.id), "fs.read", "a".into())
        .await;
    peer.send(5, Kind::Request, None, "fs.list", "b".into())
        .await;
    for method in ["progress", "output"] {
        let Seen::Event {
            session: from,
            tag,
            method: seen,
            ..
        } = host.next().await
        else {
            panic!("an event")
        };
        assert_eq!((from, tag, seen.as_str()), (session.id(), 42, method));
    }
    let Seen::Request(incoming, responder) = host.next().await else {
        panic!("a request")
    };
    assert_eq!(
        (incoming.tag, incoming.method.as_str(), incoming.body),
        (42, "fs.read", "a".into())
    );
    assert!(responder.piece(&"one".into()));
    responder.ok("content".into());
    let Seen::Request(incoming, responder) = host.next().await else {
        panic!("a request")
    };
    assert_eq!((incoming.tag, incoming.method.as_str()), (0, "fs.list"));
    drop(responder);
    let piece = peer.read().await.unwrap();
    assert_eq!(
        (piece.kind, piece.re, piece.body),
        (Kind::Stream, Some(id(4)), "one".into())
    );
    let answer = peer.read().await.unwrap();
    assert_eq!(
        (answer.kind, answer.re, answer.body),
        (Kind::Response, Some(id(4)), "content".into())
    );
    let silence = peer.read().await.unwrap();
    assert_eq!(
        (silence.kind, silence.re),
        (Kind::Error, Some(id(5))),
        "a dropped responder answers"
    );
    peer.send(6, Kind::Response, Some(sent.id), "call", Value::Nil)
        .await;
    assert_eq!(call.await.unwrap(), Ok(Value::Nil));
}

#[tokio::test]
async fn both_ends_can_end_it() {
    let mut host = Host::new(Limits::default());
    let (session, mut peer) = host.session("a").await;
    let waiting = {
        let session = session.clone();
        tokio::spawn(async move {
            session
                .call("call", Value::Nil, CallOptions::default())
                .await
        })
    };
    peer.read().await.unwrap();
    session.close();
    assert_eq!(
        waiting.await.unwrap(),
        Err(CallError::Closed(Closed::ByHost))
    );
    assert_eq!(session.closed().await, Closed::ByHost);
    assert_eq!(host.next_end().await, (session.id(), Closed::ByHost));
    assert!(peer.read().await.is_none());
    assert_eq!(
        session
            .call("call", Value::Nil, CallOptions::default())
            .await,
        Err(CallError::Closed(Closed::ByHost))
    );

    let (session, peer) = host.session("b").await;
    let waiting = {
        let session = session.clone();
        tokio::spawn(async move {
            session
                .call("call", Value::Nil, CallOptions::default())
                .await
        })
    };
    drop(peer);
    assert_eq!(
        waiting.await.unwrap(),
        Err(CallError::Closed(Closed::ByPeer))
    );
    assert_eq!(host.next_end().await, (session.id(), Closed::ByPeer));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_sent() {
    let mut host = Host::new(Limits {
        frame: 100_000,
        ..Limits::default()
    });
    let (session, mut peer) = host.session("a").await;
    let large = Value::Binary(vec![0; 100_000]);
    let Err(CallError::Protocol(message)) = session
        .call("call", large.clone(), CallOptions::default())
        .await
    else {
        panic!("it must not be sent")
    };
    assert!(message.contains("over the limit of 100000"), "{message}");
    peer.send(2, Kind::Request, None, "fs.read", Value::Nil)
        .await;
    let Seen::Request(_, responder) = host.next().await else {
        panic!("a request")
    };
    responder.ok(large);
    let answer = peer.read().await.unwrap();
    assert_eq!((answer.kind, answer.re), (Kind::Error, Some(id(2))));
    tokio::spawn(peer.echo());
    assert_eq!(
        session.call("call", 1.into(), CallOptions::default()).await,
        Ok(1.into())
    );
}

#[tokio::test]
async fn large_frames_and_a_full_socket_keep_their_order() {
    let host = Host::new(Limits {
        outgoing: 1 << 20,
        ..Limits::default()
    });
    let (session, peer) = host.session("a").await;
    tokio::spawn(peer.echo());
    let calls: Vec<_> = (0..40u8)
        .map(|number| {
            let session = session.clone();
            tokio::spawn(async move {
                let body = Value::Binary(vec![number; 300_000]);
                (
                    session
                        .call("call", body.clone(), CallOptions::default())
                        .await,
                    body,
                )
            })
        })
        .collect();
    for call in calls {
        let (answer, body) = call.await.unwrap();
        assert!(answer == Ok(body), "the body comes back as it was");
    }
}

#[tokio::test]
async fn the_welcome_tells_grants_and_limits() {
    let host = Host::new(Limits::default());
    let grants = map([("files", Value::Array(vec!["read:project/**".into()]))]);
    let (session, mut peer) = host
        .connect(
            "a",
            Expect {
                grants: grants.clone(),
                ..expect()
            },
            hello(1),
        )
        .await;
    let session = session.unwrap();
    let welcome = peer.read().await.unwrap();
    let limits = map([
        ("frame", (16 << 20).into()),
        ("depth", 64.into()),
        ("values", 2_000_000.into()),
    ]);
    assert_eq!(
        welcome.body,
        map([
            ("version", 1.into()),
            ("grants", grants),
            ("limits", limits)
        ])
    );
    let peer = session.peer();
    assert_eq!(
        (peer.name.as_str(), peer.version.as_str(), peer.pid),
        ("tests/peer", "1.0.0", std::process::id())
    );
}

#[tokio::test]
async fn another_process_is_not_heard() {
    let host = Host::new(Limits::default());
    let nobody = Expect {
        pid: 1,
        timeout: Duration::from_millis(200),
        ..expect()
    };
    let (session, mut peer) = host.connect("a", nobody, hello(1)).await;
    let Err(BusError::Timeout { strangers: 1, .. }) = session else {
        panic!("it must not be accepted")
    };
    assert!(peer.read().await.is_none());
    assert!(!host.path("a").exists());
}

#[tokio::test]
async fn a_wrong_hello_is_told_why() {
    let host = Host::new(Limits::default());
    let wrong = [
        (hello(2), "does not speak protocol version 1"),
        (
            support::frame(&support::envelope(
                1,
                Kind::Event,
                None,
                "hello",
                Value::Nil,
            )),
            "the first frame is event",
        ),
        (
            support::frame(&support::envelope(
                1,
                Kind::Request,
                None,
                "hello",
                Value::Nil,
            )),
            "names no protocol versions",
        ),
    ];
    for (first, words) in wrong {
        let (session, mut peer) = host.connect("a", expect(), first).await;
        let Err(BusError::Hello(reason)) = session.map(|_| ()) else {
            panic!("it must be refused")
        };
        assert!(reason.contains(words), "{reason}");
        assert_eq!(peer.read().await.unwrap().kind, Kind::Error);
        assert!(peer.read().await.is_none());
    }
    let other = Expect {
        name: "tests/other".into(),
        ..expect()
    };
    let (session, _peer) = host.connect("a", other, hello(1)).await;
    assert!(
        matches!(session, Err(BusError::Hello(reason)) if reason.contains("expected \"tests/other\""))
    );
}

#[tokio::test]
async fn the_socket_is_the_users_alone_and_takes_one() {
    let host = Host::new(Limits::default());
    let path = host.path("a");
    let listener = host.bus.listen(&path).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    drop(listener);
    assert!(!path.exists());
    let (_session, _peer) = host.session("a").await;
    assert!(
        tokio::net::UnixStream::connect(&path).await.is_err(),
        "nobody else can come"
    );

    std::fs::write(&path, "not a socket").unwrap();
    assert!(matches!(host.bus.listen(&path), Err(BusError::Listen(..))));
    // However deep the home lies, the socket is below it.
    let deep = host.path(&"x".repeat(200));
    std::fs::create_dir(&deep).unwrap();
    let listener = host.bus.listen(&deep.join("socket")).unwrap();
    assert!(deep.join("socket").exists());
    drop(listener);
    assert!(!deep.join("socket").exists());
}

/// Calls and hands the answer to the test, from a function of the reader.
fn call_then(
    session: &ipc_bus::Session,
    body: Value,
    options: CallOptions,
) -> tokio::sync::oneshot::Receiver<Result<Value, CallError>> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    session.call_then("call", &body, options, move |answer| {
        let _ = sender.send(answer);
    });
    receiver
}

#[tokio::test]
async fn a_function_gets_the_answer_the_deadline_the_cancel_or_the_end() {
    let host = Host::new(Limits {
        cancel_grace: Duration::from_millis(20),
        frame: 1 << 20,
        ..Limits::default()
    });
    let (session, mut peer) = host.session("a").await;
    let limit = Duration::from_millis(20);

    let answered = call_then(&session, 7.into(), CallOptions::default());
    let call = peer.read().await.unwrap();
    peer.send(2, Kind::Response, Some(call.id), "call", call.body)
        .await;
    assert_eq!(answered.await.unwrap(), Ok(7.into()));

    let late = call_then(&session, Value::Nil, within(limit, 1));
    assert_eq!(late.await.unwrap(), Err(CallError::Timeout(limit)));
    let call = peer.read().await.unwrap();
    let cancel = peer.read().await.unwrap();
    assert_eq!((&*cancel.method, cancel.re), ("cancel", Some(call.id)));
    // The late answer harms nothing, once.
    peer.send(3, Kind::Response, Some(call.id), "call", Value::Nil)
        .await;

    let cancelled = call_then(&session, Value::Nil, within(support::PATIENCE, 5));
    session.cancel(5);
    assert_eq!(cancelled.await.unwrap(), Err(CallError::Cancelled));

    let large = Value::Binary(vec![0; 2 << 20]);
    let too_large = call_then(&session, large, CallOptions::default());
    assert!(matches!(
        too_large.await.unwrap(),
        Err(CallError::Protocol(_))
    ));

    let open = call_then(&session, Value::Nil, CallOptions::default());
    session.close();
    let ended = Err(CallError::Closed(Closed::ByHost));
    assert_eq!(open.await.unwrap(), ended);
    let afterwards = call_then(&session, Value::Nil, CallOptions::default());
    assert_eq!(afterwards.await.unwrap(), ended);
    assert_eq!(session.stats().calls_waiting, 0);
}

#[tokio::test]
async fn a_function_may_call_again_and_its_panic_ends_nothing() {
    let host = Host::new(Limits::default());
    let (session, peer) = host.session("a").await;
    tokio::spawn(peer.echo());
    session.call_then("call", &Value::Nil, CallOptions::default(), |_| {
        panic!("a caller's fault")
    });
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let again = session.clone();
    session.call_then("call", &1.into(), CallOptions::default(), move |first| {
        let second = call_then(&again, 2.into(), CallOptions::default());
        let _ = sender.send((first, second));
    });
    let (first, second) = receiver.await.unwrap();
    assert_eq!((first, second.await.unwrap()), (Ok(1.into()), Ok(2.into())));
}

#[tokio::test]
async fn each_call_ends_at_its_own_deadline_in_whatever_order_they_began() {
    let host = Host::new(Limits::default());
    let (session, _peer) = host.session("a").await;
    let (ended, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let began = std::time::Instant::now();
    for limit in [300, 20, 160, 90].map(Duration::from_millis) {
        let ended = ended.clone();
        session.call_then("call", &Value::Nil, within(limit, 1), move |answer| {
            assert_eq!(answer, Err(CallError::Timeout(limit)));
            let _ = ended.send(limit);
        });
    }
    for limit in [20, 90, 160, 300].map(Duration::from_millis) {
        assert_eq!(ends.recv().await, Some(limit));
        assert!(began.elapsed() >= limit, "never before its time");
    }
    assert_eq!(session.stats().calls_waiting, 0);
    let forever = within(Duration::MAX, 1);
    let (open, first) = tokio::join!(session.call("call", Value::Nil, forever), async {
        let first = session
            .call("call", Value::Nil, within(Duration::from_millis(5), 1))
            .await;
        session.close();
        first
    });
    assert_eq!(first, Err(CallError::Timeout(Duration::from_millis(5))));
    assert_eq!(open, Err(CallError::Closed(Closed::ByHost)));
}
