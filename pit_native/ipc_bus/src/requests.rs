//! The requests of a Player that are not answered yet, how many they are and how much they hold.

use rustc_hash::FxHashMap;

use crate::calls::MessageId;
use crate::error::Malformed;
use crate::limits::Limits;

/// What a Player has asked for and waits for.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    open: FxHashMap<MessageId, usize>,
    bytes: usize,
}

impl Requests {
    /// Notes a request of so many bytes, payloads included; the reason when it is one too many.
    ///
    /// A single request is never too large here: the frame's and the payload's limits say what one may hold.
    ///
    /// # Errors
    /// [`Malformed::RepeatedId`].
    pub(crate) fn begin(
        &mut self,
        id: MessageId,
        bytes: usize,
        limits: &Limits,
    ) -> Result<Option<String>, Malformed> {
        if self.open.contains_key(&id) {
            return Err(Malformed::RepeatedId);
        }
        if self.open.len() >= limits.requests {
            let most = limits.requests;
            return Ok(Some(format!("{most} requests of this Player already wait")));
        }
        if self.bytes > 0 && self.bytes.saturating_add(bytes) > limits.unanswered {
            let (held, most) = (self.bytes, limits.unanswered);
            return Ok(Some(format!(
                "requests of this Player that wait hold {held} bytes, and may hold {most}"
            )));
        }
        self.open.insert(id, bytes);
        self.bytes += bytes;
        Ok(None)
    }

    /// Forgets a request that is answered.
    pub(crate) fn end(&mut self, id: MessageId) {
        if let Some(bytes) = self.open.remove(&id) {
            self.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            requests: 3,
            unanswered: 100,
            ..Limits::default()
        }
    }

    fn id(number: u8) -> MessageId {
        MessageId([number; 16])
    }

    #[test]
    fn what_waits_is_bounded_in_number_and_in_bytes() {
        let (mut requests, limits) = (Requests::default(), limits());
        assert_eq!(requests.begin(id(1), 60, &limits), Ok(None));
        assert!(requests.begin(id(2), 41, &limits).unwrap().is_some());
        assert_eq!(requests.begin(id(2), 40, &limits), Ok(None));
        requests.end(id(1));
        assert_eq!(requests.begin(id(3), 30, &limits), Ok(None));
        assert_eq!(requests.begin(id(4), 1, &limits), Ok(None));
        assert!(requests.begin(id(5), 1, &limits).unwrap().is_some());
    }

    #[test]
    fn one_that_is_alone_may_be_as_large_as_frames_may_be() {
        let (mut requests, limits) = (Requests::default(), limits());
        assert_eq!(requests.begin(id(1), 1_000, &limits), Ok(None));
        assert!(requests.begin(id(2), 0, &limits).unwrap().is_some());
        requests.end(id(1));
        assert_eq!(requests.begin(id(2), 0, &limits), Ok(None));
    }

    #[test]
    fn an_id_that_waits_is_not_taken_again_and_ends_once() {
        let (mut requests, limits) = (Requests::default(), limits());
        assert_eq!(requests.begin(id(1), 1, &limits), Ok(None));
        assert_eq!(
            requests.begin(id(1), 1, &limits),
            Err(Malformed::RepeatedId)
        );
        requests.end(id(1));
        requests.end(id(1));
        assert_eq!(requests.begin(id(1), 100, &limits), Ok(None));
    }
}
