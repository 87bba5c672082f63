//! Plans for tests, written in one line.

use std::sync::Arc;
use std::time::Duration;

use rmpv::Value;

use crate::plan::{
    Backoff, Casting, Condition, EdgeKind, EdgePlan, Fallback, InputPlan, NodeKind, NodePlan, Plan,
    PlanParts, Retry, Source,
};

/// What differs between nodes of a test.
#[derive(Debug, Clone)]
pub(crate) struct NodeSpec {
    pub kind: NodeKind,
    pub retry: Retry,
    pub has_effects: bool,
    pub seconds: f64,
    pub timeout: Option<Duration>,
    pub cache_key: Option<String>,
    pub outputs: Vec<(&'static str, &'static str)>,
    pub cpu: f64,
    pub gpu: f64,
    pub has_fallback: bool,
}

impl Default for NodeSpec {
    fn default() -> Self {
        Self {
            kind: NodeKind::Player,
            retry: Retry {
                attempts: 1,
                backoff: Backoff::None,
                delay: Duration::ZERO,
            },
            has_effects: false,
            seconds: 1.0,
            timeout: None,
            cache_key: None,
            outputs: vec![("out", "json")],
            cpu: 0.0,
            gpu: 0.0,
            has_fallback: false,
        }
    }
}

/// `n` ordinary nodes.
pub(crate) fn nodes(n: usize) -> Vec<NodeSpec> {
    vec![NodeSpec::default(); n]
}

/// A plan of nodes `n0`, `n1`, …; edges are data, optional (data that may be missing), control or
/// conditional. A data edge feeds the input `from_SOURCE`.
pub(crate) fn plan(specs: Vec<NodeSpec>, edges: &[(&str, u32, u32)]) -> Plan {
    Plan::new(parts(specs, edges)).expect("a plan without cycles")
}

fn casting(spec: &NodeSpec) -> Casting {
    Casting {
        kind: spec.kind,
        key: "test".into(),
        player: "test/player#work".into(),
        function: "work".into(),
        version: "1.0.0".into(),
        outputs: spec
            .outputs
            .iter()
            .map(|&(port, kind)| (port.into(), kind.into()))
            .collect(),
        timeout: spec.timeout,
        retry: spec.retry,
        resources: vec![("cpu".into(), spec.cpu), ("gpu".into(), spec.gpu)],
        locks: Vec::new(),
        priority: 5,
        has_effects: spec.has_effects,
        uncached: spec.cache_key.is_none().then(|| "not deterministic".into()),
        fallback: spec.has_fallback.then(|| Fallback {
            key: "other".into(),
            player: "test/other#work".into(),
            function: "work".into(),
            params: Arc::new(Value::Map(Vec::new())),
        }),
    }
}

pub(crate) fn parts(specs: Vec<NodeSpec>, edges: &[(&str, u32, u32)]) -> PlanParts {
    let mut nodes: Vec<NodePlan> = specs
        .into_iter()
        .enumerate()
        .map(|(at, spec)| NodePlan {
            id: format!("n{at}").into(),
            casting: Arc::new(casting(&spec)),
            params: Arc::new(Value::Map(vec![("node".into(), (at as u64).into())])),
            inputs: Vec::new(),
            cache_key: spec.cache_key,
            seconds: spec.seconds,
        })
        .collect();
    let mut listed = Vec::new();
    for &(kind, source, target) in edges {
        let kind = match kind {
            "data" | "optional" => {
                nodes[target as usize].inputs.push(InputPlan {
                    port: format!("from_{source}").into(),
                    is_list: false,
                    is_optional: kind == "optional",
                    sources: vec![Source::Node {
                        node: source,
                        port: "out".into(),
                    }],
                });
                continue;
            }
            "control" => EdgeKind::Control,
            _ => EdgeKind::Conditional,
        };
        let condition = (kind == EdgeKind::Conditional).then(|| {
            Box::new(Condition {
                when: Some("true".into()),
                token: None,
            })
        });
        listed.push(EdgePlan {
            kind,
            source,
            target,
            is_optional: false,
            condition,
        });
    }
    PlanParts {
        run: "run".into(),
        melody: Some("melody".into()),
        nodes,
        edges: listed,
        ..PlanParts::default()
    }
}
