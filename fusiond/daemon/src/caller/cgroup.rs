//! From the cgroups of a process to the agent that it belongs to. Not here: making cgroups (the shim's crate).

use fusion_core::AgentId;

/// The agent, and its incarnation, in whose cgroup a process is. `text` is `/proc/PID/cgroup` (cgroups(7)), `base` the
/// name of the folder that this daemon's incarnations are in.
///
/// ```text
/// 0::/…/<base>/<agent>.<n>/agent[/…]              v2; beside it lies shim/, which is no agent
/// 3:freezer:/…/<base>/<agent>.<n>[/…]             v1, any hierarchy
/// 0::/…/fusion-agent-<agent>-<n>.scope/agent[/…]  below systemd
/// ```
#[must_use]
pub fn agent_of_cgroup(text: &str, base: &str) -> Option<(AgentId, u32)> {
    text.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        agent_of_path(path, base, controllers.is_empty())
    })
}

/// The first match from the top decides: an agent that owns its subtree can make folders of any name below it.
fn agent_of_path(path: &str, base: &str, is_v2: bool) -> Option<(AgentId, u32)> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let found = (0..parts.len()).find_map(|at| {
        let scope = parse_scope(parts[at]).map(|agent| (agent, at + 1));
        scope.or_else(|| {
            let below = parts.get(at + 1).filter(|_| parts[at] == base)?;
            Some((parse_incarnation(below)?, at + 2))
        })
    });
    let (agent, next) = found?;
    (!is_v2 || parts.get(next) == Some(&"agent")).then_some(agent)
}

fn parse_incarnation(name: &str) -> Option<(AgentId, u32)> {
    let (agent, incarnation) = name.split_once('.')?;
    Some((AgentId::parse(agent)?, incarnation.parse().ok()?))
}

fn parse_scope(name: &str) -> Option<(AgentId, u32)> {
    let inner = name.strip_prefix("fusion-agent-")?.strip_suffix(".scope")?;
    let (agent, incarnation) = inner.rsplit_once('-')?;
    Some((AgentId::parse(agent)?, incarnation.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: AgentId = AgentId(0x0192_0000_0000_1234_5678_9abc_def0_1234);

    fn of(line: &str) -> Option<(AgentId, u32)> {
        agent_of_cgroup(&line.replace('@', &AGENT.to_string()), "fusion-base")
    }

    #[test]
    fn attempts_are_found_in_every_layout() {
        for line in [
            "0::/fusion-base/@.12/agent",
            "0::/user.slice/fusion-base/@.12/agent/own/deeper",
            "12:cpuset:/\n5:freezer:/docker/abc/fusion-base/@.12\n0::/",
            "9:cpu,cpuacct:/fusion-base/@.12/own",
            "0::/fusion.slice/fusion-u1000.slice/fusion-agent-@-12.scope/agent",
        ] {
            assert_eq!(of(line), Some((AGENT, 12)), "{line}");
        }
    }

    #[test]
    fn shims_strangers_and_nonsense_are_no_agents() {
        for line in [
            "",
            "0::/",
            "0::/fusion-base/@.12/shim",
            "0::/fusion-base/@.12",
            "0::/fusion-base/@/agent",
            "0::/fusion-base/@.-1/agent",
            "0::/fusion-base/@.x/agent",
            "0::/fusion-base/tsk_1.2/agent",
            "0::/other-base/@.12/agent",
            "0::/fusion.slice/fusion-agent-@-12.scope/shim",
            "nonsense",
        ] {
            assert_eq!(of(line), None, "{line}");
        }
    }

    #[test]
    fn an_agent_cannot_dress_up_as_another() {
        let other = AgentId(9);
        let line = format!("0::/fusion-base/@.1/agent/fusion-base/{other}.1/agent");
        assert_eq!(of(&line), Some((AGENT, 1)));
        let line = format!("0::/fusion-base/@.1/agent/fusion-agent-{other}-1.scope/agent");
        assert_eq!(of(&line), Some((AGENT, 1)));
        assert_eq!(of(&format!("0::/fusion-base/@.1/shim/fusion-base/{other}.1/agent")), None);
    }
}
