//! Names, types and runs, each text kept once and known by its row.

use crate::base::Base;
use crate::error::Result;
use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use std::hash::BuildHasher;
use std::sync::Arc;

/// The texts of a checkpoint, and those since.
#[derive(Clone, Default)]
pub(crate) struct Words {
    base: Option<Arc<Base>>,
    texts: Vec<Box<str>>,
    table: HashTable<u32>,
}

impl Words {
    pub(crate) fn of(base: Option<Arc<Base>>) -> Self {
        Self {
            base,
            ..Self::default()
        }
    }

    /// The first row that is not in the checkpoint.
    fn first(&self) -> u32 {
        self.base.as_ref().map_or(0, |base| base.layout.words.rows)
    }

    /// The number of rows.
    pub(crate) fn rows(&self) -> u32 {
        self.first() + self.texts.len() as u32
    }

    /// The texts since the checkpoint, with their rows.
    pub(crate) fn since(&self) -> impl Iterator<Item = (u32, &str)> {
        (self.first()..).zip(self.texts.iter().map(|text| &**text))
    }

    pub(crate) fn find(&self, text: &str) -> Result<Option<u32>> {
        let hash = FxBuildHasher.hash_one(text);
        let first = self.first();
        let is_it = |row: &u32| &*self.texts[(*row - first) as usize] == text;
        if let Some(row) = self.table.find(hash, is_it) {
            return Ok(Some(*row));
        }
        match &self.base {
            Some(base) => base.word_row(text),
            None => Ok(None),
        }
    }

    pub(crate) fn intern(&mut self, text: &str) -> Result<u32> {
        if let Some(row) = self.find(text)? {
            return Ok(row);
        }
        let row = self.rows();
        let first = self.first();
        self.texts.push(text.into());
        let texts = &self.texts;
        self.table
            .insert_unique(FxBuildHasher.hash_one(text), row, |row| {
                FxBuildHasher.hash_one(&*texts[(*row - first) as usize])
            });
        Ok(row)
    }

    pub(crate) fn text(&self, row: u32) -> Result<String> {
        match (&self.base, row.checked_sub(self.first())) {
            (_, Some(since)) => Ok(self.texts[since as usize].to_string()),
            (Some(base), None) => base.text(row),
            (None, None) => Ok(String::new()),
        }
    }
}
