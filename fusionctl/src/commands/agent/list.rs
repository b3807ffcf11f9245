//! `agent list`: the caller's agents, oldest first.

use fusion_proto::v1::{AgentState, ListAgentsRequest};

use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::output::Listing;
use crate::view::agent::Agent;
use crate::view::word::words;

const AFTER: &str = "\
Examples:
  fusionctl agent list
  fusionctl agent list --state busy -q";

/// How many agents one answer carries.
const PAGE: i32 = 500;

/// Arguments of `agent list`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Also terminated ones
    #[arg(long, short)]
    all: bool,
    /// Only those in this state
    #[arg(long, value_parser = words::<AgentState>())]
    state: Option<AgentState>,
}

/// Reads all pages.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let mut request = ListAgentsRequest {
        page_size: PAGE,
        show_terminated: args.all || args.state == Some(AgentState::Terminated),
        state: args.state.unwrap_or(AgentState::Unspecified).into(),
        page_token: String::new(),
    };
    let mut listing = Listing::new(&mut session.out);
    loop {
        let page = link.repeat(async || link.agents().list_agents(request.clone()).await).await?;
        for agent in page.agents {
            listing.push(Agent::from(agent))?;
        }
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    listing.finish()?;
    Ok(Exit::Done)
}
