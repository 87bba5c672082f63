//! Keeps the page's tree and turns changed subtrees into JSON patches.
