//! The Artifact Store and the Stale Manager as the run loop sees them.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use artifact_store::{ArtifactId, Put, Store, StoreError, Whereabouts};
use parking_lot::Mutex;
use run_loop::ports::{Artifacts, NewArtifact, NodeError, Presence};
use stale_manager::StaleManager;

use crate::values::to_json;

/// Every artifact that is put is registered with the Stale Manager.
pub(crate) struct PitArtifacts {
    pub(crate) store: Arc<Store>,
    pub(crate) stale: Arc<Mutex<StaleManager>>,
}

impl Artifacts for PitArtifacts {
    fn put(&self, artifact: NewArtifact<'_>) -> Result<(Arc<str>, f64), NodeError> {
        let meta = artifact
            .meta
            .iter()
            .map(|(key, value)| (key.clone(), to_json(value)))
            .collect();
        let put = Put {
            name: artifact.name.to_owned(),
            kind: artifact.type_name.to_owned(),
            meta,
        };
        let id = self
            .store
            .put(artifact.content, &put)
            .map_err(|error| store_failure(&error))?;
        let info = self
            .store
            .info(&id)
            .map_err(|error| store_failure(&error))?;
        let quality = (f64::from(info.quality) * 10_000.0).round() / 10_000.0;
        self.stale
            .lock()
            .register(&info.id, info.bytes, seconds_now(), quality);
        Ok((info.id.into(), quality))
    }

    fn get(&self, id: &str) -> Result<Vec<u8>, NodeError> {
        let id: ArtifactId = id.parse().map_err(|error| store_failure(&error))?;
        self.store.get(&id).map_err(|error| store_failure(&error))
    }

    fn are_some_away(&self) -> bool {
        // A store that does not answer is asked for each content again.
        self.store.stats().is_ok_and(|stats| stats.remote > 0)
    }

    fn presence(&self, id: &str) -> Presence {
        let Ok(id) = id.parse() else {
            return Presence::Gone;
        };
        match self.store.whereabouts(&id) {
            Ok(Whereabouts::Here) => Presence::Here,
            Ok(Whereabouts::Remote { .. }) => Presence::Away,
            Ok(Whereabouts::Damaged | Whereabouts::Unknown) | Err(_) => Presence::Gone,
        }
    }
}

/// Seconds since the epoch.
pub(crate) fn seconds_now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |elapsed| elapsed.as_secs_f64())
}

fn store_failure(error: &StoreError) -> NodeError {
    let (code, remedy) = match error {
        StoreError::Full { .. } => ("storage_full", "free some space, then resume the run"),
        StoreError::NotFound(_) => ("not_found", "play the melody again"),
        StoreError::Remote { .. } => (
            "artifact_remote",
            "bring it back with `symphony artifacts show`, then resume the run",
        ),
        StoreError::Damaged { .. } => ("damaged_artifact", "play the melody again to make it anew"),
        _ => ("storage_failed", "check the disk, then resume the run"),
    };
    NodeError::new(code, format!("The artifact store: {error}"), remedy)
}
