//! Definitions of runs: giving a run another one, and showing those that it has had.
//!
//! Not for: whether an edit is possible (`fusion_core::workflow::edit`), what is different (`engine::workflow`).

use super::refuse::{broken, refuse};
use super::workflows::{aside, run_in};
use super::{Door, view};
use crate::engine::Beside;
use crate::engine::workflow::{Edited, Revision, edit, revisions_of, whole_script_of};
use fusion_core::workflow::{EditMode, EditRun, Run};
use fusion_core::{Caller, Command, Reject};
use fusion_proto::v1;
use fusion_workflow::Definition;
use tonic::Status;

impl Door {
    /// Gives a run another definition, or says whether that is possible.
    pub(super) async fn edit(&self, caller: Caller, ask: v1::EditRunRequest) -> Result<Run, Status> {
        let mode = if ask.dry_run { EditMode::Try } else { EditMode::Do };
        let run = self.find_run(caller, ask.run).await?;
        let definition = self.read_definition(caller, ask.definition).await;
        let definition = definition.map_err(|reject| refuse(&reject))?;
        let base = if ask.revision == 0 { run.revision } else { ask.revision };
        let Some(edited) = self.compare(&run, base, definition).await? else { return Ok(run) };
        self.check_nodes(caller, run.owner, &edited.to_begin(&run)).await?;
        let Edited { script, plan, changed, changes } = edited;
        let id = run.id.to_string();
        let command = Command::EditRun(Box::new(EditRun {
            run: id,
            base,
            plan,
            changed,
            changes,
            mode,
            recalled: None,
        }));
        match mode {
            EditMode::Try => {
                let asked = self.engine.ask(caller, command, None, |_, _, _| ()).await;
                asked.map(|()| run).map_err(|reject| refuse(&reject))
            }
            EditMode::Do => {
                let beside = Some(Beside::Edit(script, changes));
                let asked =
                    self.engine.ask(caller, command, beside, |state, _, done| run_in(state, done)).await;
                asked.and_then(|run| run).map_err(|reject| refuse(&reject))
            }
        }
    }

    /// What is different from the definition that the run has; nothing when nothing is.
    async fn compare(&self, run: &Run, base: u32, definition: Definition) -> Result<Option<Edited>, Status> {
        let (id, reader) = (run.id, self.engine.reader().clone());
        let gone = || refuse(&Reject::RunNotFound { run: id.to_string() });
        let old = aside(move || whole_script_of(&reader, id)).await?.ok_or_else(gone)?;
        if base != run.revision {
            let (run, revision) = (id.to_string(), run.revision);
            return Err(refuse(&Reject::EditConflict { run, revision, base }));
        }
        let compared = tokio::task::spawn_blocking(move || edit(&old, definition)).await;
        let compared = compared.map_err(|error| broken("comparing definitions", &error))?;
        compared.map_err(|what| refuse(&Reject::EditFixed { run: id.to_string(), what }))
    }

    /// The definitions that a run has had, oldest first.
    pub(super) async fn revisions(
        &self,
        caller: Caller,
        run: String,
    ) -> Result<(Run, Vec<Revision>), Status> {
        let run = self.find_run(caller, run).await?;
        let (known, reader) = (run.clone(), self.engine.reader().clone());
        let found = aside(move || revisions_of(&reader, &known)).await?;
        Ok((run, found))
    }

    /// One of them with what it says; 0: the present one.
    pub(super) async fn revision(
        &self,
        caller: Caller,
        ask: v1::GetRunRevisionRequest,
    ) -> Result<v1::RunRevision, Status> {
        let number = ask.revision;
        let (run, found) = self.revisions(caller, ask.run).await?;
        let wanted = found.into_iter().rev().find(|each| number == 0 || each.number == number);
        let gone = || Reject::RevisionNotFound { run: run.id.to_string(), revision: number };
        let wanted = wanted.ok_or_else(|| refuse(&gone()))?;
        let text = serde_json::to_string(&wanted.definition);
        let definition = text.map_err(|error| broken("showing a definition", &error))?;
        Ok(v1::RunRevision { definition, ..self.shown_revision(&run, &wanted) })
    }

    /// As people read it: who gave it, by name.
    pub(super) fn shown_revision(&self, run: &Run, revision: &Revision) -> v1::RunRevision {
        let mut shown = view::run::revision(run, revision);
        if let Some(uid) = shown.actor.strip_prefix("user:") {
            shown.actor = self.name_of(uid);
        }
        shown
    }
}
