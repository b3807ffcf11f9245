//! What is gone, by what it was known.
//!
//! Not for: what is still there in another state.

use serde::Serialize;

use crate::output::Shown;
use crate::table::Cell;

/// Something that was removed.
#[derive(Debug, Serialize)]
pub(crate) struct Removed {
    /// Its id; what has none goes by its name.
    pub(crate) id: String,
    /// Its name.
    pub(crate) name: String,
}

impl Shown for Removed {
    fn id(&self) -> &str {
        &self.id
    }

    fn fields(&self) -> Vec<(&'static str, Cell)> {
        vec![("ID", self.id.as_str().into()), ("Name", self.name.as_str().into())]
    }
}
