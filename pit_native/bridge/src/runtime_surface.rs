//! What is said to a Player about a call that is open: events of what it shows, and that it shall end.

use rmpv::Value;

use crate::runtime_events::Place;
use crate::runtime_players::{Entry, Theatre};

impl Theatre {
    /// Tells the Player that serves the call of `place` something; false when no such call is open.
    pub(crate) fn tell_call(&self, place: &Place, method: &str, body: &Value) -> bool {
        self.open_call(place).is_some_and(|(tag, player)| {
            // An event over the frame limit is refused as one that nobody hears.
            matches!(player.session.notify_calls(tag, method, body), Ok(told) if told > 0)
        })
    }

    /// Asks the Player that serves the call of `place` to end it; false when no such call is open.
    pub(crate) fn stop_call(&self, place: &Place) -> bool {
        let Some((tag, player)) = self.open_call(place) else {
            return false;
        };
        player.session.cancel(tag);
        true
    }

    fn open_call(&self, place: &Place) -> Option<(u64, Entry)> {
        let calls = self.calls.lock();
        let found = calls.iter().find(|(_, (at, _))| at == place);
        found.map(|(tag, (_, player))| (*tag, player.clone()))
    }
}
