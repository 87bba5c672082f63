//! The kept tree: nodes in a slab with links to their parents, so that a key leads to its pointer.

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::{Map, Value};
use slab::Slab;

use crate::children::{Identity, Plan, Step, plan};
use crate::error::DomError;
use crate::node::{Element, MAX_DEPTH, Node};
use crate::patch::{Patch, write_text, write_value};
use crate::values::compare_members;

type Id = usize;
const NOBODY: Id = usize::MAX;

enum Content {
    Text(String),
    Element {
        kind: String,
        key: Option<String>,
        props: Map<String, Value>,
        children: Vec<Id>,
    },
}

struct Kept {
    content: Content,
    parent: Id,
    /// Where it was last seen among its siblings; checked before it is believed.
    index: usize,
}

/// The page's tree.
#[derive(Default)]
pub struct VirtualDom {
    nodes: Slab<Kept>,
    keys: FxHashMap<String, Id>,
    root: Option<Id>,
    /// What changes before a refused one did; the page hears of it with the next patch.
    unsent: Patch,
    seq: u64,
}

impl VirtualDom {
    /// An empty tree.
    pub fn new() -> Self {
        VirtualDom::default()
    }

    /// How many patches were made.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// How many nodes the tree has.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing was rendered yet.
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// Makes the tree equal to `node`; the patch that does the same to the page, `None` when nothing changed.
    ///
    /// # Errors
    /// [`DomError`]; the tree is then as before.
    pub fn render(&mut self, node: Node) -> Result<Option<Vec<u8>>, DomError> {
        if !matches!(node, Node::Element(_)) {
            return Err(DomError::TextRoot);
        }
        self.check(&node, self.root, 1)?;
        match self.root {
            Some(root) => self.reconcile(root, node),
            None => {
                let root = self.insert(node, NOBODY, 0);
                self.root = Some(root);
                // Taken out so that the tree can be read beside it.
                let mut patch = std::mem::take(&mut self.unsent);
                patch.replace(|bytes| self.write(root, bytes));
                self.unsent = patch;
            }
        }
        Ok(self.take_patch())
    }

    /// Replaces the subtrees of these keys; one patch for all of them.
    ///
    /// # Errors
    /// [`DomError`] for the first change that does not fit. Those before it hold, and travel with the
    /// next patch.
    pub fn update(&mut self, changes: Vec<(String, Node)>) -> Result<Option<Vec<u8>>, DomError> {
        for (key, node) in changes {
            self.change(&key, node)?;
        }
        Ok(self.take_patch())
    }

    fn change(&mut self, key: &str, node: Node) -> Result<(), DomError> {
        if self.root.is_none() {
            return Err(DomError::Empty);
        }
        let id = *self
            .keys
            .get(key)
            .ok_or_else(|| DomError::UnknownKey(key.to_owned()))?;
        if node.key() != Some(key) {
            let found = node.key().unwrap_or_default().to_owned();
            return Err(DomError::WrongKey {
                expected: key.to_owned(),
                found,
            });
        }
        let path = self.path(id);
        self.check(&node, Some(id), path.len() + 1)?;
        let root = self.unsent.enter_path(&path);
        self.reconcile(id, node);
        self.unsent.leave(root);
        Ok(())
    }

    /// The whole tree as JSON; `null` when it is empty.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.root {
            Some(root) => self.write(root, &mut bytes),
            None => bytes.extend_from_slice(b"null"),
        }
        bytes
    }

    fn take_patch(&mut self) -> Option<Vec<u8>> {
        let patch = std::mem::take(&mut self.unsent).finish();
        self.seq += u64::from(patch.is_some());
        patch
    }

    /// Finds what is wrong with `node` in the place of the subtree `instead_of`, before anything changes.
    fn check(&self, node: &Node, instead_of: Option<Id>, depth: usize) -> Result<(), DomError> {
        let mut seen: FxHashSet<&str> = FxHashSet::default();
        let mut open = vec![(node, depth)];
        while let Some((node, depth)) = open.pop() {
            let Node::Element(element) = node else {
                continue;
            };
            if depth > MAX_DEPTH {
                return Err(DomError::TooDeep(MAX_DEPTH));
            }
            if let Some(key) = &element.key {
                let is_elsewhere = instead_of.is_some()
                    && self
                        .keys
                        .get(key)
                        .is_some_and(|id| !self.is_within(*id, instead_of));
                if is_elsewhere || !seen.insert(key) {
                    return Err(DomError::DuplicateKey(key.clone()));
                }
            }
            open.extend(element.children.iter().map(|child| (child, depth + 1)));
        }
        Ok(())
    }

    fn is_within(&self, id: Id, ancestor: Option<Id>) -> bool {
        if ancestor == self.root {
            return true;
        }
        let mut at = id;
        while at != NOBODY {
            if Some(at) == ancestor {
                return true;
            }
            at = self.nodes[at].parent;
        }
        false
    }

    /// The indexes that lead from the root to a node.
    fn path(&mut self, id: Id) -> Vec<usize> {
        let mut path = Vec::new();
        let mut at = id;
        while self.nodes[at].parent != NOBODY {
            let parent = self.nodes[at].parent;
            let siblings = self.children(parent);
            let mut index = self.nodes[at].index;
            if siblings.get(index) != Some(&at) {
                index = siblings
                    .iter()
                    .position(|sibling| *sibling == at)
                    .expect("a child of its parent");
                self.nodes[at].index = index;
            }
            path.push(index);
            at = parent;
        }
        path.reverse();
        path
    }

    fn children(&self, id: Id) -> &[Id] {
        match &self.nodes[id].content {
            Content::Element { children, .. } => children,
            Content::Text(_) => &[],
        }
    }

    /// Makes the kept node equal to `new`, writing what that takes at the patch's pointer.
    fn reconcile(&mut self, id: Id, new: Node) {
        match (&mut self.nodes[id].content, new) {
            (Content::Text(old), Node::Text(new)) => {
                if *old != new {
                    self.unsent.replace(|bytes| write_text(bytes, &new));
                    *old = new;
                }
            }
            (Content::Element { kind, key, .. }, Node::Element(new))
                if *kind == new.kind && *key == new.key =>
            {
                self.reconcile_element(id, new);
            }
            (_, new) => self.replace(id, new),
        }
    }

    fn reconcile_element(&mut self, id: Id, new: Element) {
        let Content::Element {
            props, children, ..
        } = &mut self.nodes[id].content
        else {
            unreachable!("the caller saw an element");
        };
        if *props != new.props {
            let mark = self.unsent.enter("props");
            compare_members(props, &new.props, &mut self.unsent);
            self.unsent.leave(mark);
            *props = new.props;
        }
        if children.is_empty() && new.children.is_empty() {
            return;
        }
        let old = std::mem::take(children);
        let mark = self.unsent.enter("children");
        let kept = self.reconcile_children(id, &old, new.children);
        self.unsent.leave(mark);
        let Content::Element { children, .. } = &mut self.nodes[id].content else {
            unreachable!("it did not change");
        };
        *children = kept;
    }

    fn reconcile_children(&mut self, parent: Id, old: &[Id], new: Vec<Node>) -> Vec<Id> {
        let Plan { matches, steps } = {
            let before: Vec<Identity<'_>> = old
                .iter()
                .map(|id| identity_of_kept(&self.nodes[*id]))
                .collect();
            let after: Vec<Identity<'_>> = new.iter().map(identity_of_new).collect();
            plan(&before, &after)
        };
        let mut is_continued = vec![false; old.len()];
        for matched in matches.iter().flatten() {
            is_continued[*matched] = true;
        }
        let mut patch = std::mem::take(&mut self.unsent);
        for step in &steps {
            match step {
                Step::Remove { index } => {
                    let mark = patch.enter_index(*index);
                    patch.remove();
                    patch.leave(mark);
                }
                Step::Move { from, to } => patch.move_item(*from, *to),
                Step::Add { index, child } => {
                    let mark = patch.enter_index(*index);
                    patch.add(|bytes| write_node(&new[*child], bytes));
                    patch.leave(mark);
                }
            }
        }
        self.unsent = patch;
        for (id, _) in old
            .iter()
            .zip(&is_continued)
            .filter(|(_, continued)| !**continued)
        {
            self.remove(*id);
        }
        let mut kept = Vec::with_capacity(new.len());
        for (index, (child, matched)) in new.into_iter().zip(matches).enumerate() {
            kept.push(match matched {
                Some(matched) => {
                    let id = old[matched];
                    self.nodes[id].index = index;
                    let mark = self.unsent.enter_index(index);
                    self.reconcile(id, child);
                    self.unsent.leave(mark);
                    id
                }
                None => self.insert(child, parent, index),
            });
        }
        kept
    }

    /// Another node in the same place, under the same id.
    fn replace(&mut self, id: Id, new: Node) {
        self.unsent.replace(|bytes| write_node(&new, bytes));
        for child in self.children(id).to_vec() {
            self.remove(child);
        }
        self.forget_key(id);
        let content = self.keep(id, new);
        self.nodes[id].content = content;
    }

    fn insert(&mut self, node: Node, parent: Id, index: usize) -> Id {
        let id = self.nodes.insert(Kept {
            content: Content::Text(String::new()),
            parent,
            index,
        });
        let content = self.keep(id, node);
        self.nodes[id].content = content;
        id
    }

    fn keep(&mut self, id: Id, node: Node) -> Content {
        match node {
            Node::Text(text) => Content::Text(text),
            Node::Element(Element {
                kind,
                key,
                props,
                children,
            }) => {
                if let Some(key) = &key {
                    self.keys.insert(key.clone(), id);
                }
                let children = children
                    .into_iter()
                    .enumerate()
                    .map(|(index, child)| self.insert(child, id, index))
                    .collect();
                Content::Element {
                    kind,
                    key,
                    props,
                    children,
                }
            }
        }
    }

    fn remove(&mut self, id: Id) {
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            open.extend_from_slice(self.children(id));
            self.forget_key(id);
            self.nodes.remove(id);
        }
    }

    /// Drops the key of a node, unless another node has taken it over meanwhile.
    fn forget_key(&mut self, id: Id) {
        if let Content::Element { key: Some(key), .. } = &self.nodes[id].content
            && self.keys.get(key) == Some(&id)
        {
            self.keys.remove(key);
        }
    }

    fn write(&self, id: Id, bytes: &mut Vec<u8>) {
        match &self.nodes[id].content {
            Content::Text(text) => write_text(bytes, text),
            Content::Element {
                kind,
                key,
                props,
                children,
            } => {
                write_element(
                    bytes,
                    kind,
                    key.as_deref(),
                    props,
                    children,
                    |child, bytes| self.write(*child, bytes),
                );
            }
        }
    }
}

fn identity_of_kept(kept: &Kept) -> Identity<'_> {
    match &kept.content {
        Content::Text(_) => Identity::Text,
        Content::Element {
            kind,
            key: Some(key),
            ..
        } => Identity::Keyed(kind, key),
        Content::Element {
            kind, key: None, ..
        } => Identity::Unkeyed(kind),
    }
}

fn identity_of_new(node: &Node) -> Identity<'_> {
    match node {
        Node::Text(_) => Identity::Text,
        Node::Element(Element {
            kind,
            key: Some(key),
            ..
        }) => Identity::Keyed(kind, key),
        Node::Element(Element {
            kind, key: None, ..
        }) => Identity::Unkeyed(kind),
    }
}

fn write_node(node: &Node, bytes: &mut Vec<u8>) {
    match node {
        Node::Text(text) => write_text(bytes, text),
        Node::Element(element) => {
            let Element {
                kind,
                key,
                props,
                children,
            } = element;
            write_element(bytes, kind, key.as_deref(), props, children, write_node);
        }
    }
}

/// The one place that knows how an element looks to the page.
fn write_element<Child>(
    bytes: &mut Vec<u8>,
    kind: &str,
    key: Option<&str>,
    props: &Map<String, Value>,
    children: &[Child],
    write_child: impl Fn(&Child, &mut Vec<u8>),
) {
    bytes.extend_from_slice(b"{\"type\":");
    write_text(bytes, kind);
    bytes.extend_from_slice(b",\"key\":");
    match key {
        Some(key) => write_text(bytes, key),
        None => bytes.extend_from_slice(b"null"),
    }
    bytes.extend_from_slice(b",\"props\":{");
    for (index, (name, value)) in props.iter().enumerate() {
        if index > 0 {
            bytes.push(b',');
        }
        write_text(bytes, name);
        bytes.push(b':');
        write_value(bytes, value);
    }
    bytes.extend_from_slice(b"},\"children\":[");
    for (index, child) in children.iter().enumerate() {
        if index > 0 {
            bytes.push(b',');
        }
        write_child(child, bytes);
    }
    bytes.extend_from_slice(b"]}");
}
