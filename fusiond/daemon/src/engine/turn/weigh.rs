//! What a message adds to the record of its turn: how many bytes, and whether they need lasting room.

use crate::engine::{Beside, Keep, Message};
use fusion_core::Command;

/// How many bytes stand beside what a message makes.
pub(super) fn record_bytes(message: &Message) -> usize {
    match message {
        Message::Ask { beside: Some(Beside::Task(input)), .. } => input.bytes(),
        Message::Ask { beside: Some(Beside::Run(script)), .. } => script.bytes(),
        // Before the first edit the definition that was stands there, too; that one is no longer.
        Message::Ask { beside: Some(Beside::Edit(script, _)), .. } => script.bytes() * 3,
        Message::Ask { beside: Some(Beside::Sealed(bytes)), .. } => bytes.len(),
        Message::Ask { beside: Some(Beside::Definition(text)), .. } => text.len(),
        Message::Keep { step: Keep::Piece { bytes, .. }, .. } => bytes.len(),
        Message::Run(news) => news.bytes(),
        Message::Keep { step: Keep::Begin { .. } | Keep::End, .. }
        | Message::Ask { beside: None, .. }
        | Message::Look(_)
        | Message::Wait(..)
        | Message::Own(_)
        | Message::History(_)
        | Message::Stop(_) => 0,
    }
}

/// Whether a message asks for something that needs lasting room on the disk.
pub(super) fn is_new_work(message: &Message) -> bool {
    match message {
        Message::Ask { command, .. } => {
            matches!(
                command,
                Command::SubmitTask(_)
                    | Command::SpawnAgent(_)
                    | Command::SpawnGroup { .. }
                    | Command::RunTask(_)
                    | Command::SetSecret(_)
                    | Command::ApplyWorkflow(_)
                    | Command::StartRun(_)
                    | Command::EditRun(_)
            )
        }
        Message::Keep { .. } => true,
        Message::Look(_)
        | Message::Wait(..)
        | Message::Own(_)
        | Message::Run(_)
        | Message::History(_)
        | Message::Stop(_) => false,
    }
}
