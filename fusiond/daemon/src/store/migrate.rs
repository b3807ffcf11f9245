//! Bringing what an older program wrote to the present schema, value by value.
//!
//! Not for: what the values mean; each step is the engine's.

use std::borrow::Cow;

use super::{Batch, Direction, OpenError, SCHEMA_KEY, Store};

/// Entries that a migration reads at once, and bytes above which it commits: bounds its memory.
const PAGE: usize = 1024;
pub(super) const BATCH_BYTES: usize = 8 << 20;

impl Store {
    pub(super) fn migrate(&mut self, found: u32) -> Result<(), OpenError> {
        // What the older program wrote stays at hand as it was.
        self.checkpoint().map_err(|e| OpenError::Migration { from: found, reason: e.to_string() })?;
        self.rehearse(found)?;
        for from in found..self.config.schema {
            self.migrate_one(from)?;
        }
        Ok(())
    }

    /// Takes every value through every step and keeps nothing: a step that refuses one does so before anything is
    /// changed, and the older program goes on with what it wrote.
    fn rehearse(&self, found: u32) -> Result<(), OpenError> {
        let mut refusal = None;
        let walked = self.load_all(|key, version, body| {
            if refusal.is_none() && key != SCHEMA_KEY {
                refusal = self.take_through(u32::from(version), key, body).err();
            }
        });
        walked.map_err(|e| OpenError::Migration { from: found, reason: e.to_string() })?;
        refusal.map_or(Ok(()), Err)
    }

    fn take_through(&self, version: u32, key: &[u8], body: &[u8]) -> Result<(), OpenError> {
        let mut body = Cow::Borrowed(body);
        for from in version..self.config.schema {
            let step = self.config.migrations[from as usize - 1];
            match step(key, &body) {
                Ok(Some(next)) => body = next.into(),
                Ok(None) => {}
                Err(reason) => return Err(OpenError::Migration { from, reason }),
            }
        }
        Ok(())
    }

    /// Brings everything from schema `from` to the next. A crash in between leaves some values in either; each
    /// says in which it is, so the next start goes on where this one ended.
    fn migrate_one(&mut self, from: u32) -> Result<(), OpenError> {
        let failed = |reason: String| OpenError::Migration { from, reason };
        let step = self.config.migrations[from as usize - 1];
        let next = (from + 1) as u8;
        let mut batch = Batch::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.reader.range(b"", after.as_deref(), PAGE, Direction::Ascending);
            let page = page.map_err(|e| failed(e.to_string()))?;
            for entry in page.iter().filter(|entry| entry.version < next && entry.key != SCHEMA_KEY) {
                if let Some(body) = step(&entry.key, &entry.body).map_err(failed)? {
                    batch.push_put(&entry.key, &body);
                }
                if batch.bytes() > BATCH_BYTES {
                    self.commit_as(&mut batch, next)?;
                }
            }
            let Some(last) = page.into_iter().next_back() else { break };
            after = Some(last.key);
        }
        batch.push_put(SCHEMA_KEY, &(from + 1).to_le_bytes());
        self.commit_as(&mut batch, next)?;
        Ok(())
    }
}
