# A backup is put back as docs/operate.md says: the agents that were stopped for it are there again, whatever their policy; what
# had ended has ended, what ended later is lost, and what came later is gone.
member ada
long_task ada at-backup >/dev/null
gate=$(getent passwd ada | cut -d: -f6)/gate
as ada mkfifo "$gate"
as ada fusionctl agent spawn gated --profile shell
as ada fusionctl task submit --agent gated --key gated "read -r _ < $gate"
as ada fusionctl agent spawn backed --profile shell --restart never
as ada fusionctl task submit --agent backed --key before-backup --wait 'echo before'
fusionctl system backup /root/fusiond.backup
as ada fusionctl task submit --agent backed --key after-backup --wait 'echo after'
echo >"$gate"
as ada fusionctl task wait key:gated

systemctl stop fusiond.socket fusiond.service fusion.slice
eventually 20 no_agents
mv /var/lib/fusiond/store /var/lib/fusiond/store.old
fusiond restore /root/fusiond.backup
systemctl start fusiond.service

eventually 20 agent_is ada backed idle
eventually 20 ended_as ada at-backup-long agent_terminated
eventually 20 agent_is ada gated idle
is "$(as ada fusionctl -o json task show key:gated | jq -r .state)" lost "what ended after the backup"
is "$(as ada fusionctl -o json task show key:before-backup | jq -r .result)" before "what was done before the backup"
refused 3 as ada fusionctl task show key:after-backup
is "$(as ada fusionctl task submit --agent backed --wait -o json 'echo again' | jq -r .result)" again "what it does now"
status=$(fusionctl system status)
[[ $status != *rebuilt* ]] || fail "a restore is told as damage: $status"
as ada fusionctl task resolve key:gated --fail
for name in backed gated at-backup; do as ada fusionctl agent terminate "$name"; done
rm -rf /var/lib/fusiond/store.old /root/fusiond.backup "$gate"
