//! Peers that attack: each loses its own session, with a reason, and nobody else notices.

#[path = "../../../tests/stage/vectors.rs"]
#[allow(dead_code, reason = "only the refused frames are used here")]
mod shared;
mod support;

use std::time::{Duration, Instant};

use ipc_bus::{BusError, CallOptions, Closed, Kind, Limits, Malformed, Value};
use support::{Host, Peer, Seen, envelope, expect, frame, hello, id, map};
use tokio::io::AsyncWriteExt;

/// Sends raw bytes in a fresh session and gives the reason of its end and what the peer was told.
async fn attack(host: &mut Host, name: &str, bytes: &[u8]) -> (Closed, Option<String>) {
    let (session, mut peer) = host.session(name).await;
    peer.write(bytes).await;
    let (ended, reason) = host.next_end().await;
    assert_eq!(ended, session.id());
    let told = peer.read().await.map(|complaint| {
        assert_eq!(
            (complaint.kind, complaint.re, complaint.method.as_str()),
            (Kind::Error, None, "session")
        );
        let fields = complaint.body.as_map().expect("fields").clone();
        let message = fields
            .into_iter()
            .find(|(key, _)| key.as_str() == Some("message"));
        message
            .expect("a message")
            .1
            .as_str()
            .expect("text")
            .to_owned()
    });
    assert!(peer.read().await.is_none(), "the connection is closed");
    (reason, told)
}

#[tokio::test]
async fn every_malformed_frame_closes_its_session_alone() {
    let mut host = Host::new(Limits::default());
    let (neighbour, peer) = host.session("neighbour").await;
    tokio::spawn(peer.echo());
    for (index, vector) in shared::refused().into_iter().enumerate() {
        let shared::Refused {
            name,
            frame,
            because,
        } = vector;
        let (reason, told) = attack(&mut host, &index.to_string(), &frame).await;
        let Closed::Protocol(malformed) = reason else {
            panic!("{name}: {reason}")
        };
        assert!(
            malformed.to_string().contains(&because),
            "{name}: {malformed}"
        );
        assert_eq!(told, Some(malformed.to_string()), "{name}");
        assert_eq!(
            neighbour
                .call("call", 1.into(), CallOptions::default())
                .await,
            Ok(1.into()),
            "{name}"
        );
    }
}

#[tokio::test]
async fn references_to_nothing_close_the_session() {
    let mut host = Host::new(Limits::default());
    for kind in [
        Kind::Response,
        Kind::Error,
        Kind::Event,
        Kind::Stream,
        Kind::Request,
    ] {
        let foreign = frame(&envelope(2, kind, Some(id(7)), "call", Value::Nil));
        let (reason, _) = attack(&mut host, kind.as_str(), &foreign).await;
        assert_eq!(
            reason,
            Closed::Protocol(Malformed::UnknownReply(kind.as_str()))
        );
    }
}

#[tokio::test]
async fn one_byte_at_a_time_is_slow_but_sound() {
    let mut host = Host::new(Limits::default());
    let (_session, mut peer) = host.session("a").await;
    for byte in frame(&envelope(2, Kind::Event, None, "log", "whole".into())) {
        peer.stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let Seen::Event { body, .. } = host.next().await else {
        panic!("an event")
    };
    assert_eq!(body, "whole".into());
}

#[tokio::test]
async fn who_does_not_finish_a_frame_is_closed() {
    let mut host = Host::new(Limits {
        stall: Duration::from_millis(100),
        ..Limits::default()
    });
    let (_session, mut peer) = host.session("a").await;
    peer.write(&[9, 0]).await;
    assert_eq!(
        host.next_end().await.1,
        Closed::Stalled {
            reading: false,
            seconds: 0
        }
    );
    assert!(peer.read().await.is_none());
}

#[tokio::test]
async fn who_says_no_hello_is_not_waited_for() {
    let host = Host::new(Limits::default());
    let silent = ipc_bus::Expect {
        timeout: Duration::from_millis(100),
        ..expect()
    };
    let (session, _peer) = host.connect("a", silent, vec![]).await;
    assert!(matches!(
        session.map(|_| ()),
        Err(BusError::Timeout { strangers: 0, .. })
    ));
    let (session, _peer) = host.connect("b", expect(), vec![0xff; 4]).await;
    assert!(matches!(
        session.map(|_| ()),
        Err(BusError::Malformed(Malformed::TooLong {
            limit: 65_536,
            ..
        }))
    ));
}

#[tokio::test]
async fn a_forged_sender_changes_nothing() {
    let mut host = Host::new(Limits::default());
    let (session, mut peer) = host.session("a").await;
    let mut forged = envelope(2, Kind::Request, None, "fs.read", Value::Nil);
    forged.from = "symphony/files".into();
    peer.write(&frame(&forged)).await;
    let Seen::Request(incoming, _responder) = host.next().await else {
        panic!("a request")
    };
    assert_eq!(incoming.session, session.id());
    assert_eq!(session.peer().name, "tests/peer");
}

#[tokio::test]
async fn a_neighbours_call_cannot_be_answered() {
    let mut host = Host::new(Limits::default());
    let (victim, mut victim_peer) = host.session("victim").await;
    let (thief, mut thief_peer) = host.session("thief").await;
    let call = tokio::spawn(async move {
        victim
            .call("call", Value::Nil, CallOptions::default())
            .await
    });
    let sent = victim_peer.read().await.unwrap();
    thief_peer
        .send(2, Kind::Response, Some(sent.id), "call", "stolen".into())
        .await;
    assert_eq!(
        host.next_end().await,
        (
            thief.id(),
            Closed::Protocol(Malformed::UnknownReply("response"))
        )
    );
    victim_peer
        .send(2, Kind::Response, Some(sent.id), "call", "own".into())
        .await;
    assert_eq!(call.await.unwrap(), Ok("own".into()));
}

#[tokio::test]
async fn a_second_answer_and_a_repeated_id_are_violations() {
    let mut host = Host::new(Limits::default());
    let (session, mut peer) = host.session("a").await;
    let call = tokio::spawn(async move {
        session
            .call("call", Value::Nil, CallOptions::default())
            .await
    });
    let sent = peer.read().await.unwrap();
    for number in 2..4 {
        peer.send(number, Kind::Response, Some(sent.id), "call", number.into())
            .await;
    }
    assert_eq!(call.await.unwrap(), Ok(2.into()));
    assert_eq!(
        host.next_end().await.1,
        Closed::Protocol(Malformed::UnknownReply("response"))
    );

    let (_session, mut peer) = host.session("b").await;
    peer.send(2, Kind::Request, None, "fs.read", Value::Nil)
        .await;
    peer.send(2, Kind::Request, None, "fs.read", Value::Nil)
        .await;
    let Seen::Request(_, _unanswered) = host.next().await else {
        panic!("a request")
    };
    assert_eq!(
        host.next_end().await.1,
        Closed::Protocol(Malformed::RepeatedId)
    );
}

#[tokio::test]
async fn a_flood_is_refused_then_closed() {
    let limits = Limits {
        rate: 10.0,
        burst: 5.0,
        refusals: 20,
        ..Limits::default()
    };
    let mut host = Host::new(limits);
    let (session, mut peer) = host.session("a").await;
    for number in 0..200 {
        peer.send(number, Kind::Event, None, "log", Value::Nil)
            .await;
    }
    let (ended, reason) = host.next_end().await;
    assert_eq!((ended, reason), (session.id(), Closed::Flood(10)));
    let complaint = peer.read().await.expect("it was told why");
    let told = complaint
        .body
        .as_map()
        .unwrap()
        .iter()
        .any(|(_, value)| value.as_str() == Some("rate"));
    assert_eq!(
        (complaint.kind, complaint.re, told),
        (Kind::Error, None, true)
    );
    assert!(session.stats().refused > 20);
}

#[tokio::test]
async fn requests_beyond_the_rate_get_an_answer_and_the_session_goes_on() {
    let limits = Limits {
        rate: 1.0,
        burst: 1.0,
        ..Limits::default()
    };
    let mut host = Host::new(limits);
    let (_session, mut peer) = host.session("a").await;
    peer.send(2, Kind::Request, None, "fs.list", Value::Nil)
        .await;
    peer.send(3, Kind::Request, None, "fs.list", Value::Nil)
        .await;
    let refusal = peer.read().await.unwrap();
    assert_eq!((refusal.kind, refusal.re), (Kind::Error, Some(id(3))));
    let Seen::Request(_, responder) = host.next().await else {
        panic!("a request")
    };
    responder.ok(1.into());
    assert_eq!(peer.read().await.unwrap().re, Some(id(2)));
}

#[tokio::test]
async fn too_many_open_requests_are_refused() {
    let mut host = Host::new(Limits {
        requests: 2,
        ..Limits::default()
    });
    let (session, mut peer) = host.session("a").await;
    for number in 2..5 {
        peer.send(number, Kind::Request, None, "exec", Value::Nil)
            .await;
    }
    let refusal = peer.read().await.unwrap();
    assert_eq!((refusal.kind, refusal.re), (Kind::Error, Some(id(4))));
    assert_eq!(session.stats().refused, 1);
    let Seen::Request(_, first) = host.next().await else {
        panic!("a request")
    };
    first.ok(Value::Nil);
    assert_eq!(peer.read().await.unwrap().re, Some(id(2)));
    peer.send(5, Kind::Request, None, "exec", Value::Nil).await;
    let Seen::Request(..) = host.next().await else {
        panic!("a request")
    };
    let Seen::Request(..) = host.next().await else {
        panic!("its place is free again")
    };
}

#[tokio::test]
async fn who_never_reads_holds_a_bounded_queue_and_is_closed() {
    let limits = Limits {
        outgoing: 1 << 20,
        stall: Duration::from_millis(200),
        ..Limits::default()
    };
    let mut host = Host::new(limits);
    let (session, _peer) = host.session("a").await;
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let session = session.clone();
            tokio::spawn(async move {
                let body = Value::Binary(vec![0; 200_000]);
                session
                    .call("call", body, CallOptions::default())
                    .await
                    .is_err()
            })
        })
        .collect();
    let start = Instant::now();
    while !session.is_closed() {
        assert!(
            session.stats().bytes_waiting <= (1 << 20) + 200_200,
            "the queue is bounded"
        );
        assert!(start.elapsed() < support::PATIENCE);
        tokio::task::yield_now().await;
    }
    assert_eq!(
        host.next_end().await.1,
        Closed::Stalled {
            reading: true,
            seconds: 0
        }
    );
    for call in calls {
        assert!(call.await.unwrap(), "every caller is let go");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neighbours_of_a_flood_keep_working() {
    let limits = Limits {
        rate: 1_000.0,
        burst: 1_000.0,
        refusals: u64::MAX,
        ..Limits::default()
    };
    let host = Host::new(limits);
    let (session, peer) = host.session("neighbour").await;
    tokio::spawn(peer.echo());
    let (flooded, mut flooder) = host.session("flooder").await;
    let flood = tokio::spawn(async move {
        let event = frame(&envelope(
            2,
            Kind::Event,
            None,
            "log",
            map([("message", "x".into())]),
        ))
        .repeat(100);
        loop {
            flooder.write(&event).await;
        }
    });
    while flooded.stats().refused < 50 {
        assert_eq!(
            session.call("call", 1.into(), CallOptions::default()).await,
            Ok(1.into())
        );
    }
    flood.abort();
    let _ = flood.await;
}

#[tokio::test]
async fn a_connection_that_goes_at_once_is_an_error() {
    let host = Host::new(Limits::default());
    let path = host.path("a");
    let listener = host.bus.listen(&path).unwrap();
    let connect = async { drop(Peer::connect(&path).await) };
    let (session, ()) = tokio::join!(
        host.bus.accept(listener, expect(), host.recorder.clone()),
        connect
    );
    assert!(
        matches!(session.map(|_| ()), Err(BusError::Hello(reason)) if reason.contains("ended before it"))
    );
}

#[tokio::test]
async fn frames_that_come_with_the_hello_are_not_lost() {
    let mut host = Host::new(Limits::default());
    let event = frame(&envelope(2, Kind::Event, None, "log", "early".into()));
    let (session, _peer) = host
        .connect("a", expect(), [hello(1), event].concat())
        .await;
    let session = session.unwrap();
    let Seen::Event {
        session: from,
        body,
        ..
    } = host.next().await
    else {
        panic!("an event")
    };
    assert_eq!((from, body), (session.id(), "early".into()));
}
