//! Keeps what there is little of for a node that is about to be ready, so that no other run takes it just before.
//!
//! Without it a node of another run that comes a moment earlier may hold the only GPU for minutes while this
//! run's longest way stands still. Nobody loses more than that moment: what others wait for is not reserved.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::plan::{NodeKind, NodePlan, Plan};
use crate::ports::Asking;

use super::Driver;

/// Resources of which there are few, and which a node holds as long as it runs.
const SCARCE: [&str; 2] = ["gpu", "model_slots"];
/// Seconds that a resource may stand idle for a node that is not ready.
const LONGEST: f64 = 2.0;
/// A reservation lasts so many times as long as the node before is expected to take.
const SLACK: f64 = 2.0;

type Need = (Arc<str>, f64);

/// What is kept for the nodes of a run.
#[derive(Debug)]
pub(super) struct Reserving {
    /// Whether any node needs something scarce.
    is_worth_it: bool,
    /// Reservations by the node that they are for.
    open: FxHashMap<u32, u64>,
}

impl Reserving {
    pub(super) fn of(plan: &Plan) -> Self {
        Self {
            is_worth_it: plan.nodes.iter().any(|node| scarce(node).next().is_some()),
            open: FxHashMap::default(),
        }
    }
}

fn scarce(node: &NodePlan) -> impl Iterator<Item = &Need> {
    let needs = node.resources.iter();
    needs.filter(|(name, amount)| *amount > 0.0 && SCARCE.contains(&&**name))
}

impl Driver {
    /// `node` starts. The most critical of the nodes that wait for it alone has what is scarce kept for it, if
    /// `node` will soon be done. What `node` itself holds is not kept: others would never get it.
    pub(super) fn reserve_for_next(&mut self, node: u32) {
        let plan = self.plan.clone();
        let own = &plan.nodes[node as usize];
        let lasts = own.seconds * SLACK;
        if !self.reserving.is_worth_it || own.kind != NodeKind::Player || lasts > LONGEST {
            return;
        }
        let targets = plan.graph.out_edges(node).iter();
        let targets = targets.map(|&edge| plan.edges[edge as usize].target);
        let next = targets
            .filter(|&next| self.machine.waits_for_one(next))
            .filter(|&next| scarce(&plan.nodes[next as usize]).next().is_some())
            .max_by(|a, b| plan.levels[*a as usize].total_cmp(&plan.levels[*b as usize]));
        let Some(next) = next else {
            return;
        };
        let its = &plan.nodes[next as usize];
        let is_held = |name: &Arc<str>| scarce(own).any(|(held, _)| held == name);
        let needs = scarce(its).filter(|(name, _)| !is_held(name));
        let needs: Vec<Need> = needs.cloned().collect();
        if needs.is_empty() {
            return;
        }
        let asking = Asking {
            owner: &plan.run,
            label: &its.id,
            needs: &needs,
            locks: &[],
            priority: its.priority,
            seconds: its.seconds,
        };
        if let Some(reservation) = self.shared.arbiter.reserve(asking, lasts)
            && let Some(older) = self.reserving.open.insert(next, reservation)
        {
            self.shared.arbiter.unreserve(older);
        }
    }

    /// `node` has asked for what it needs, or never will.
    pub(super) fn unreserve(&mut self, node: u32) {
        if let Some(reservation) = self.reserving.open.remove(&node) {
            self.shared.arbiter.unreserve(reservation);
        }
    }

    pub(super) fn unreserve_all(&mut self) {
        for (_, reservation) in self.reserving.open.drain() {
            self.shared.arbiter.unreserve(reservation);
        }
    }
}
