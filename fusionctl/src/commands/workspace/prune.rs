//! `workspace prune`: the folders of agents that were terminated long enough ago go; their records and logs stay.

use std::time::Duration;

use fusion_proto::v1::{DeleteWorkspaceRequest, WorkspaceState};
use jiff::Timestamp;

use super::Whose;
use crate::commands::{Session, agreed};
use crate::error::{Complaint, Exit, Stop};
use crate::output::{Format, Listing};
use crate::units::{format_size, parse_duration};
use crate::view::workspace::{Pruned, Usage, Workspace};

const AFTER: &str = "\
Workspaces of living agents never go. Without --older-than those go that outlived the retention
of the daemon (`workspaces.retention`), which it removes by itself; so `--older-than 3d
--dry-run` tells what a retention of three days would remove. A terminal asks first.

Examples:
  fusionctl workspace prune --older-than 1d --dry-run
  fusionctl workspace prune --older-than 0s --yes
  sudo fusionctl workspace prune --all-users --older-than 30d";

/// Arguments of `workspace prune`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Those whose agent was terminated so long ago, such as 12h or 7d; 0s: all
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    older_than: Option<Duration>,
    /// Show what would go and how much room it takes, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Those of all users; for administrators
    #[arg(long)]
    all_users: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// Finds, counts, asks, removes.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let whose = if args.all_users { Whose::All } else { Whose::Own };
    let kept = super::fetch_all(&link, Some(WorkspaceState::Kept), whose).await?;
    let now = Timestamp::now();
    let (mut going, staying): (Vec<_>, Vec<_>) =
        kept.into_iter().partition(|workspace| goes(workspace, args.older_than, now));
    for workspace in &mut going {
        // What cannot be counted can be removed all the same.
        workspace.usage = super::measure(&link, &workspace.agent).await.ok().map(Usage::from);
    }
    let bytes = going.iter().filter_map(|workspace| workspace.usage.as_ref()).map(Usage::disk_bytes).sum();
    let summary =
        format!("{} of {} kept workspaces, {}", going.len(), going.len() + staying.len(), format_size(bytes));
    if args.dry_run {
        return list(session, going, &format!("would remove {summary}"));
    }
    if !going.is_empty() && !args.yes && !agreed(&format!("Remove {summary}?"))? {
        return Err(Complaint::new(Exit::Failed, "not_confirmed", "nothing was removed").into());
    }
    let mut exits = Vec::new();
    let mut gone = Vec::new();
    for workspace in going {
        let request = DeleteWorkspaceRequest { agent: workspace.agent.clone() };
        match link.workspaces().delete_workspace(request).await {
            Ok(_) => gone.push(workspace),
            Err(status) => {
                let complaint = Stop::from(status).into_complaint()?.about(&workspace.name);
                exits.push(complaint.exit);
                session.complain(&complaint)?;
            }
        }
    }
    let bytes = gone.iter().filter_map(|workspace| workspace.usage.as_ref()).map(Usage::disk_bytes).sum();
    let summary = format!("removed {} workspaces, {}", gone.len(), format_size(bytes));
    list(session, gone, &summary)?;
    Ok(Exit::of_several(exits))
}

/// Whether the agent of a workspace was terminated long enough ago.
fn goes(workspace: &Workspace, older_than: Option<Duration>, now: Timestamp) -> bool {
    let instant = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    match older_than {
        None => instant(&workspace.expire_time).is_some_and(|at| at <= now),
        Some(span) => instant(&workspace.end_time).is_some_and(|at| {
            let ago = now.as_millisecond().saturating_sub(at.as_millisecond());
            u128::try_from(ago).is_ok_and(|ago| ago >= span.as_millis())
        }),
    }
}

fn list(mut session: Session, found: Vec<Workspace>, summary: &str) -> Result<Exit, Stop> {
    let is_people = session.out.format() == Format::Table && !session.out.is_quiet();
    let mut listing = Listing::new(&mut session.out);
    for workspace in found {
        listing.push(Pruned(workspace))?;
    }
    listing.finish()?;
    if is_people {
        session.out.line(summary)?;
        session.out.flush()?;
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fusion_proto::v1;

    #[test]
    fn workspaces_go_by_the_age_of_the_end_or_by_their_expiry() {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let workspace = |end_time, expire_time| {
            Workspace::from(v1::Workspace { end_time, expire_time, ..v1::Workspace::default() })
        };
        let now = Timestamp::from_second(1000).expect("in range");
        let kept = workspace(at(900), at(1500));
        assert!(!goes(&kept, None, now) && goes(&workspace(at(900), at(1000)), None, now));
        assert!(goes(&kept, Some(Duration::from_secs(100)), now));
        assert!(!goes(&kept, Some(Duration::from_secs(101)), now));
        assert!(goes(&kept, Some(Duration::ZERO), now));
        // One whose agent lives has no end.
        assert!(!goes(&workspace(None, None), Some(Duration::ZERO), now));
    }
}
