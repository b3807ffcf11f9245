# Stopping the slice ends everything, and nothing comes back by itself.
member ada
member bob
long_task ada sliced
long_task bob sliced
polite_task ada polite
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
as ada fusionctl agent terminate polite
as ada fusionctl agent terminate sliced
as bob fusionctl agent terminate sliced
