# Stopping the slice ends everything, for good but for agents that somebody wants always; nothing comes back by itself.
member ada
member bob
long_task ada sliced
long_task bob sliced
polite_task ada polite
as ada fusionctl agent spawn always --profile shell --restart always
# Nor does the socket start it again.
systemctl stop fusiond.service
systemctl start fusiond.socket fusiond.service
systemctl stop fusion.slice
was_polite ada polite
is "$(systemctl is-active fusiond.socket || true)" inactive "the socket"
is "$(systemctl is-active fusiond.service || true)" inactive "the service"
eventually 20 no_agents
[ -z "$(systemctl list-units --plain --no-legend --state=active 'fusion*')" ] || fail "units are left: $(systemctl list-units 'fusion*')"
systemctl start fusiond.service
eventually 20 ended_as ada polite agent_terminated
eventually 20 agent_is ada polite terminated
eventually 20 agent_is ada always idle
as ada fusionctl agent terminate always
for user in ada bob; do eventually 20 agent_is "$user" sliced terminated; done
