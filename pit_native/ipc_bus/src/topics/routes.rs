//! Which subscriptions a topic reaches: a tree over the parts of their patterns.

use rustc_hash::FxHashMap;

use super::pattern::{Pattern, Topic};

/// Subscriptions by pattern. A topic's way through it takes as many steps as it has parts, twice as many at
/// each `*` that stands beside a word, and does not grow with the number of other patterns.
#[derive(Debug)]
pub struct Routes<T> {
    root: Node<T>,
}

#[derive(Debug)]
struct Node<T> {
    words: FxHashMap<Box<str>, Node<T>>,
    any: Option<Box<Node<T>>>,
    /// Patterns that end here.
    here: Vec<T>,
    /// Patterns whose `**` stands here.
    below: Vec<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Node {
            words: FxHashMap::default(),
            any: None,
            here: Vec::new(),
            below: Vec::new(),
        }
    }
}

impl<T> Node<T> {
    fn is_empty(&self) -> bool {
        let has_patterns = !self.here.is_empty() || !self.below.is_empty();
        !has_patterns && self.words.is_empty() && self.any.is_none()
    }
}

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Routes {
            root: Node::default(),
        }
    }
}

impl<T> Routes<T> {
    /// Adds one.
    pub fn insert(&mut self, pattern: &Pattern, target: T) {
        let mut node = &mut self.root;
        for part in pattern.parts() {
            node = match part {
                "**" => return node.below.push(target),
                "*" => node.any.get_or_insert_default(),
                word => node.words.entry(word.into()).or_default(),
            };
        }
        node.here.push(target);
    }

    /// Takes out those of a pattern for which `is_it` holds, and the ways that lead nowhere then.
    pub fn remove(&mut self, pattern: &Pattern, is_it: impl Fn(&T) -> bool) {
        let parts: Vec<&str> = pattern.parts().collect();
        remove_below(&mut self.root, &parts, &is_it);
    }

    /// Calls `found` with each one that a topic reaches.
    pub fn reached<'a>(&'a self, topic: &Topic, mut found: impl FnMut(&'a T)) {
        let parts: Vec<&str> = topic.parts().collect();
        walk(&self.root, &parts, &mut found);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.root.is_empty()
    }
}

fn remove_below<T>(node: &mut Node<T>, parts: &[&str], is_it: &impl Fn(&T) -> bool) {
    let Some((part, rest)) = parts.split_first() else {
        return node.here.retain(|target| !is_it(target));
    };
    match *part {
        "**" => node.below.retain(|target| !is_it(target)),
        "*" => {
            if let Some(any) = &mut node.any {
                remove_below(any, rest, is_it);
                node.any.take_if(|any| any.is_empty());
            }
        }
        word => {
            if let Some(next) = node.words.get_mut(word) {
                remove_below(next, rest, is_it);
                if next.is_empty() {
                    node.words.remove(word);
                }
            }
        }
    }
}

/// As deep as a topic has parts, which are few.
fn walk<'a, T>(node: &'a Node<T>, parts: &[&str], found: &mut impl FnMut(&'a T)) {
    let Some((part, rest)) = parts.split_first() else {
        return node.here.iter().for_each(found);
    };
    node.below.iter().for_each(&mut *found);
    if let Some(next) = node.words.get(*part) {
        walk(next, rest, found);
    }
    if let Some(any) = &node.any {
        walk(any, rest, found);
    }
}
