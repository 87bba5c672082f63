//! Reads a plan from the map that the host sends.

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rmpv::Value;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::plan::{
    Backoff, Casting, Condition, EdgeKind, EdgePlan, Fallback, InputPlan, NodeKind, NodePlan,
    PathLock, Plan, PlanError, PlanParts, Retry, Source,
};

type Result<T> = std::result::Result<T, PlanError>;

/// The plan that `document` describes (the form is in `pit_native.pyi`, at `Runtime.start`).
pub fn read_plan(document: &Value) -> Result<Plan> {
    let top = Map::new(document, "document")?;
    let mut reader = PlanReader::new(document)?;
    let (nodes, edges) = (top.list("nodes")?, top.list("edges")?);
    reader.reserve(nodes.len(), edges.len());
    for node in nodes {
        reader.declare(Map::new(node, "node")?.text("id")?)?;
    }
    nodes.iter().try_for_each(|node| reader.read_node(node))?;
    edges.iter().try_for_each(|edge| reader.read_edge(edge))?;
    reader.finish()
}

/// Reads a plan piece by piece, so that no document of a hundred thousand nodes is held beside it.
///
/// First every node is declared, for any may name any; then the nodes are read in the same order, and the
/// edges.
pub struct PlanReader {
    parts: PlanParts,
    index: FxHashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
    texts: Texts,
}

impl PlanReader {
    /// Begins with all of the document but its nodes and edges, which are not looked at.
    pub fn new(document: &Value) -> Result<Self> {
        let top = Map::new(document, "document")?;
        let folder = top
            .optional_text("dir")?
            .filter(|dir| !dir.is_empty())
            .map(PathBuf::from);
        let parts = PlanParts {
            run: top.text("run")?.to_owned(),
            folder,
            name: top.optional_text("name")?.unwrap_or_default().to_owned(),
            melody: top.optional_text("melody")?.map(str::to_owned),
            project: top.optional_text("project")?.map(str::to_owned),
            meta: top
                .pairs("meta")?
                .map(|(k, v)| (k.to_owned(), v.clone()))
                .collect(),
            asks_on_failure: top.flag("ask_failure")?,
            ..PlanParts::default()
        };
        Ok(Self {
            parts,
            index: FxHashMap::default(),
            names: Vec::new(),
            texts: Texts::default(),
        })
    }

    /// Makes room for so many nodes and edges.
    pub fn reserve(&mut self, nodes: usize, edges: usize) {
        self.index.reserve(nodes);
        self.names.reserve_exact(nodes);
        self.parts.nodes.reserve_exact(nodes);
        self.parts.edges.reserve_exact(edges);
    }

    /// Says that there is a node called `id`.
    pub fn declare(&mut self, id: &str) -> Result<()> {
        let id: Arc<str> = id.into();
        let at = self.names.len() as u32;
        if self.index.insert(id.clone(), at).is_some() {
            return Err(PlanError::DuplicateNode(id.to_string()));
        }
        self.names.push(id);
        Ok(())
    }

    /// Reads the next node.
    pub fn read_node(&mut self, value: &Value) -> Result<()> {
        let id = Map::new(value, "node")?.text("id")?;
        // Who sends the document may have changed it since the node was declared.
        let name = self.names.get(self.parts.nodes.len());
        let Some(name) = name.filter(|name| &***name == id) else {
            return Err(PlanError::UnknownNode {
                at: "the list of nodes".to_owned(),
                node: id.to_owned(),
            });
        };
        let node = read_node(value, name.clone(), &self.index, &mut self.texts)?;
        self.parts.nodes.push(node);
        Ok(())
    }

    /// Reads the next edge.
    pub fn read_edge(&mut self, value: &Value) -> Result<()> {
        let edge = read_edge(value, &self.index)?;
        self.parts.edges.push(edge);
        Ok(())
    }

    /// The plan of all that was read.
    pub fn finish(self) -> Result<Plan> {
        let Self {
            parts,
            index,
            names,
            texts,
        } = self;
        drop((names, texts));
        Plan::with_index(parts, index)
    }
}

/// Shares what is equal: ten thousand nodes have a handful of Players and port names.
#[derive(Default)]
struct Texts {
    known: FxHashSet<Arc<str>>,
    castings: FxHashMap<Arc<str>, Vec<Arc<Casting>>>,
    /// A map without entries.
    empty: Option<Arc<Value>>,
}

/// Castings of one Player that are compared; beyond them equal ones are not found.
const COMPARED: usize = 8;

impl Texts {
    fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.known.get(text) {
            return known.clone();
        }
        let shared: Arc<str> = text.into();
        self.known.insert(shared.clone());
        shared
    }

    fn params(&mut self, params: Option<&Value>) -> Arc<Value> {
        match params {
            Some(Value::Map(entries)) if entries.is_empty() => self.empty(),
            Some(params) => Arc::new(params.clone()),
            None => self.empty(),
        }
    }

    fn empty(&mut self) -> Arc<Value> {
        let empty = || Arc::new(Value::Map(Vec::new()));
        self.empty.get_or_insert_with(empty).clone()
    }

    fn cast(&mut self, casting: Casting) -> Arc<Casting> {
        let known = self.castings.entry(casting.player.clone()).or_default();
        if let Some(same) = known.iter().find(|same| ***same == casting) {
            return same.clone();
        }
        let shared = Arc::new(casting);
        if known.len() == COMPARED {
            known.remove(0);
        }
        known.push(shared.clone());
        shared
    }
}

fn read_node(
    value: &Value,
    id: Arc<str>,
    index: &FxHashMap<Arc<str>, u32>,
    texts: &mut Texts,
) -> Result<NodePlan> {
    let map = Map {
        at: Place::Node(&id),
        ..Map::new(value, "node")?
    };
    let key = map.optional_text("key")?.unwrap_or_default();
    let kind = match map.optional_text("kind")? {
        Some("pass") => NodeKind::Pass,
        Some("control") => NodeKind::Control,
        _ if key.is_empty() => NodeKind::Control,
        _ => NodeKind::Player,
    };
    if kind == NodeKind::Player && key.is_empty() {
        return Err(map.wrong("key", "is missing"));
    }
    let player = map.optional_text("player")?.unwrap_or_default();
    let function = map
        .optional_text("function")?
        .unwrap_or_else(|| player.split_once('#').map_or("", |(_, f)| f));
    let casting = Casting {
        kind,
        key: texts.share(key),
        player: texts.share(player),
        function: texts.share(function),
        version: texts.share(map.optional_text("version")?.unwrap_or_default()),
        outputs: read_outputs(&map, texts)?,
        timeout: map.duration("timeout")?,
        retry: read_retry(&map)?,
        resources: read_resources(&map, texts)?,
        locks: read_locks(&map, texts)?,
        priority: map.number("priority")?.unwrap_or(5.0).clamp(0.0, 9.0) as u8,
        has_effects: map.flag("effects")?,
        uncached: map.optional_text("uncached")?.map(|why| texts.share(why)),
        fallback: read_fallback(&map, texts)?,
    };
    let inputs = read_inputs(&map, index, texts)?;
    let cache_key = map.optional_text("cache_key")?.map(str::to_owned);
    let seconds = map.number("seconds")?.unwrap_or(1.0).max(0.0);
    let params = texts.params(map.optional("params"));
    Ok(NodePlan {
        id,
        casting: texts.cast(casting),
        params,
        inputs,
        cache_key,
        seconds,
    })
}

fn read_outputs(map: &Map<'_, '_>, texts: &mut Texts) -> Result<Vec<(Arc<str>, Arc<str>)>> {
    let mut outputs = Vec::new();
    for (port, type_name) in map.pairs("outputs")? {
        let type_name = type_name
            .as_str()
            .ok_or_else(|| map.wrong("outputs", "must map names to types"))?;
        outputs.push((texts.share(port), texts.share(type_name)));
    }
    Ok(outputs)
}

fn read_resources(map: &Map<'_, '_>, texts: &mut Texts) -> Result<Vec<(Arc<str>, f64)>> {
    let mut resources = Vec::new();
    for (resource, amount) in map.pairs("resources")? {
        let amount =
            number(amount).ok_or_else(|| map.wrong("resources", "must map names to numbers"))?;
        resources.push((texts.share(resource), amount));
    }
    Ok(resources)
}

fn read_locks(map: &Map<'_, '_>, texts: &mut Texts) -> Result<Vec<PathLock>> {
    let mut locks = Vec::new();
    for value in map.list("locks")? {
        let lock = Map {
            at: Place::Part(&map.at, "lock", ""),
            ..Map::new(value, "lock")?
        };
        locks.push(PathLock {
            path: texts.share(lock.text("path")?),
            is_exclusive: match lock.text("mode")? {
                "read" => false,
                "write" => true,
                _ => return Err(lock.wrong("mode", "must be read or write")),
            },
        });
    }
    Ok(locks)
}

fn read_fallback(map: &Map<'_, '_>, texts: &mut Texts) -> Result<Option<Fallback>> {
    let Some(value) = map.optional("fallback") else {
        return Ok(None);
    };
    let fallback = Map {
        at: Place::Part(&map.at, "fallback", ""),
        ..Map::new(value, "fallback")?
    };
    let params = fallback.optional("params");
    Ok(Some(Fallback {
        key: texts.share(fallback.text("key")?),
        player: texts.share(fallback.text("player")?),
        function: texts.share(fallback.text("function")?),
        params: texts.params(params),
    }))
}

fn read_inputs(
    map: &Map<'_, '_>,
    index: &FxHashMap<Arc<str>, u32>,
    texts: &mut Texts,
) -> Result<Vec<InputPlan>> {
    let names = |key: &str| -> Result<Vec<&str>> {
        let list = map.list(key)?.iter().map(|name| {
            name.as_str()
                .ok_or_else(|| map.wrong(key, "must be port names"))
        });
        list.collect()
    };
    let (lists, optional) = (names("list_inputs")?, names("optional_inputs")?);
    let mut inputs = Vec::new();
    for (port, fed_by) in map.pairs("inputs")? {
        let mut sources = Vec::new();
        let entries = match fed_by {
            Value::Array(entries) => entries.as_slice(),
            one => std::slice::from_ref(one),
        };
        for entry in entries {
            let source = Map {
                at: Place::Part(&map.at, "input ", port),
                ..Map::new(entry, "input")?
            };
            if let Some(value) = source.find("value") {
                sources.push(Source::Value(Arc::new(value.clone())));
                continue;
            }
            let node = source.text("node")?;
            let Some(&node) = index.get(node) else {
                return Err(PlanError::UnknownNode {
                    at: source.at.to_string(),
                    node: node.to_owned(),
                });
            };
            sources.push(Source::Node {
                node,
                port: texts.share(source.text("port")?),
            });
        }
        inputs.push(InputPlan {
            port: texts.share(port),
            is_list: lists.contains(&port),
            is_optional: optional.contains(&port),
            sources,
        });
    }
    Ok(inputs)
}

fn read_retry(map: &Map<'_, '_>) -> Result<Retry> {
    let Some(value) = map.optional("retry") else {
        return Ok(Retry {
            attempts: 1,
            backoff: Backoff::None,
            delay: Duration::ZERO,
        });
    };
    let retry = Map {
        at: Place::Part(&map.at, "retry", ""),
        ..Map::new(value, "retry")?
    };
    let backoff = match retry.optional_text("backoff")? {
        Some("none") => Backoff::None,
        Some("fixed") => Backoff::Fixed,
        Some("exponential") | None => Backoff::Exponential,
        Some(_) => return Err(retry.wrong("backoff", "must be none, fixed or exponential")),
    };
    Ok(Retry {
        attempts: retry.number("attempts")?.unwrap_or(1.0).clamp(1.0, 1000.0) as u32,
        backoff,
        delay: retry
            .duration("delay")?
            .unwrap_or(Duration::from_millis(500)),
    })
}

fn read_edge(value: &Value, index: &FxHashMap<Arc<str>, u32>) -> Result<EdgePlan> {
    let edge = Map::new(value, "edge")?;
    let end = |key: &str| {
        // An end may be a node or one of its ports.
        let named = edge.text(key)?;
        let found = index
            .get(named)
            .or_else(|| index.get(named.split_once('.').map_or(named, |(node, _)| node)));
        found.copied().ok_or_else(|| PlanError::UnknownNode {
            at: "an edge".to_owned(),
            node: named.to_owned(),
        })
    };
    let kind = match edge.optional_text("kind")? {
        Some("data") | None => EdgeKind::Data,
        Some("control") => EdgeKind::Control,
        Some("conditional") => EdgeKind::Conditional,
        Some(_) => return Err(edge.wrong("kind", "must be data, control or conditional")),
    };
    let condition = match kind {
        EdgeKind::Conditional => Some(Box::new(Condition {
            when: edge.optional_text("when")?.map(Into::into),
            token: edge.optional("token").and_then(Value::as_i64),
        })),
        EdgeKind::Data | EdgeKind::Control => None,
    };
    Ok(EdgePlan {
        kind,
        source: end("from")?,
        target: end("to")?,
        is_optional: edge.flag("optional")?,
        condition,
    })
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| number.is_finite())
}

/// Where in the document something is; written out only for errors.
#[derive(Clone, Copy)]
enum Place<'p> {
    Top(&'static str),
    Node(&'p str),
    /// A part of another, and its name.
    Part(&'p Place<'p>, &'static str, &'p str),
}

impl Display for Place<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top(word) => formatter.write_str(word),
            Self::Node(id) => write!(formatter, "node {id}"),
            Self::Part(whole, kind, name) => write!(formatter, "{whole}, {kind}{name}"),
        }
    }
}

/// A map of the document, with the place to name in errors.
struct Map<'a, 'p> {
    at: Place<'p>,
    entries: &'a [(Value, Value)],
}

impl<'a, 'p> Map<'a, 'p> {
    fn new(value: &'a Value, at: &'static str) -> Result<Self> {
        match value {
            Value::Map(entries) => Ok(Self {
                at: Place::Top(at),
                entries,
            }),
            _ => Err(PlanError::Malformed {
                at: at.to_owned(),
                problem: "must be a map".to_owned(),
            }),
        }
    }

    fn wrong(&self, key: &str, problem: &str) -> PlanError {
        PlanError::Malformed {
            at: format!("{}: {key}", self.at),
            problem: problem.to_owned(),
        }
    }

    fn find(&self, key: &str) -> Option<&'a Value> {
        self.entries
            .iter()
            .find(|(k, _)| k.as_str() == Some(key))
            .map(|(_, value)| value)
    }

    fn optional(&self, key: &str) -> Option<&'a Value> {
        self.find(key).filter(|value| !value.is_nil())
    }

    fn optional_text(&self, key: &str) -> Result<Option<&'a str>> {
        let text = |value: &'a Value| {
            value
                .as_str()
                .ok_or_else(|| self.wrong(key, "must be text"))
        };
        self.optional(key).map(text).transpose()
    }

    fn text(&self, key: &str) -> Result<&'a str> {
        self.optional_text(key)?
            .ok_or_else(|| self.wrong(key, "is missing"))
    }

    fn list(&self, key: &str) -> Result<&'a [Value]> {
        match self.optional(key) {
            None => Ok(&[]),
            Some(Value::Array(list)) => Ok(list),
            Some(_) => Err(self.wrong(key, "must be a list")),
        }
    }

    fn pairs(&self, key: &str) -> Result<impl Iterator<Item = (&'a str, &'a Value)> + use<'a, 'p>> {
        let entries: &[(Value, Value)] = match self.optional(key) {
            None => &[],
            Some(Value::Map(entries)) => entries,
            Some(_) => return Err(self.wrong(key, "must be a map")),
        };
        if entries.iter().any(|(name, _)| name.as_str().is_none()) {
            return Err(self.wrong(key, "must have text as keys"));
        }
        Ok(entries
            .iter()
            .map(|(name, value)| (name.as_str().unwrap_or_default(), value)))
    }

    fn number(&self, key: &str) -> Result<Option<f64>> {
        self.optional(key)
            .map(|value| number(value).ok_or_else(|| self.wrong(key, "must be a number")))
            .transpose()
    }

    fn duration(&self, key: &str) -> Result<Option<Duration>> {
        let seconds = |seconds: f64| {
            Duration::try_from_secs_f64(seconds)
                .map_err(|_| self.wrong(key, "must be seconds, not negative"))
        };
        self.number(key)?.map(seconds).transpose()
    }

    fn flag(&self, key: &str) -> Result<bool> {
        let flag = |value: &Value| {
            value
                .as_bool()
                .ok_or_else(|| self.wrong(key, "must be true or false"))
        };
        Ok(self.optional(key).map(flag).transpose()?.unwrap_or(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// JSON text as the value that MessagePack would carry.
    fn document(json: &str) -> Value {
        let bytes =
            rmp_serde::to_vec(&serde_json::from_str::<serde_json::Value>(json).unwrap()).unwrap();
        rmpv::decode::read_value(&mut bytes.as_slice()).unwrap()
    }

    #[test]
    fn a_whole_plan_is_read() {
        let plan = read_plan(&document(
            r#"{"run": "r", "dir": "/tmp/r", "name": "n", "project": null, "meta": {"prompt": "p"},
                "nodes": [
                  {"id": "log", "kind": "operator", "key": "git", "player": "symphony/git#log", "function": "log",
                   "params": {"since": "90d"}, "inputs": {"project": {"value": "/p"}}, "outputs": {"commits": "json"},
                   "timeout": 1.5, "retry": {"attempts": 3, "backoff": "fixed", "delay": 0.25},
                   "resources": {"cpu": 1, "memory": 1024}, "effects": false, "cache_key": null,
                   "locks": [{"path": "docs", "mode": "write"}, {"path": "src", "mode": "read"}]},
                  {"id": "if", "kind": "control", "key": "", "inputs": {"value": [{"node": "log", "port": "commits"}]}}],
                "edges": [{"kind": "data", "from": "log.commits", "to": "if.value"},
                          {"kind": "conditional", "from": "log", "to": "if", "token": 7, "when": "x"}]}"#,
        ))
        .unwrap();
        assert_eq!(plan.edges.len(), 2, "the listed data edge is the input's");
        let log = &plan.nodes[0];
        assert_eq!(
            (log.timeout, log.retry.attempts),
            (Some(Duration::from_millis(1500)), 3)
        );
        let locks = log.locks.iter();
        let locks: Vec<_> = locks.map(|lock| (&*lock.path, lock.is_exclusive)).collect();
        assert_eq!(locks, [("docs", true), ("src", false)]);
        assert_eq!(plan.nodes[1].kind, NodeKind::Control);
        let condition = plan.edges[1].condition.as_ref().unwrap();
        assert_eq!(
            (condition.when.as_deref(), condition.token),
            (Some("x"), Some(7))
        );
        assert_eq!(plan.levels, [2.0, 1.0]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let table = [
            (r#"[]"#, "the plan's document must be a map"),
            (r#"{"nodes": []}"#, "the plan's document: run is missing"),
            (
                r#"{"run": "r", "nodes": [{"id": "a"}, {"id": "a"}]}"#,
                "two nodes of the plan are called a",
            ),
            (
                r#"{"run": "r", "nodes": [{"id": "a", "timeout": -1}]}"#,
                "the plan's node a: timeout must be seconds, not negative",
            ),
            (
                r#"{"run": "r", "nodes": [{"id": "a", "locks": [{"path": "x", "mode": "all"}]}]}"#,
                "the plan's node a, lock: mode must be read or write",
            ),
            (
                r#"{"run": "r", "nodes": [{"id": "a", "inputs": {"x": [{"node": "b", "port": "y"}]}}]}"#,
                "node a, input x names the node b, which the plan does not have",
            ),
            (
                r#"{"run": "r", "nodes": [{"id": "a"}, {"id": "b"}],
                    "edges": [{"kind": "control", "from": "a", "to": "b"}, {"kind": "control", "from": "b", "to": "a"}]}"#,
                "the plan has a cycle: a → b → a",
            ),
        ];
        for (json, message) in table {
            assert_eq!(read_plan(&document(json)).unwrap_err().to_string(), message);
        }
    }
}
