# A reload takes over settings without a restart; settings that are wrong change nothing.
member ada
limited() {
    local code=0
    as ada fusionctl agent spawn "reload-$RANDOM" --profile shell >/dev/null || code=$?
    [ "$code" = 8 ]
}
unlimited() { as ada fusionctl agent spawn "reload-$RANDOM" --profile shell; }

pid=$(main_pid)
long=$(long_task ada reloaded)
unlimited
mkdir -p /etc/fusiond/fusiond.toml.d
printf '[users.ada.limits]\nmax_concurrent_agents = 2\n' >/etc/fusiond/fusiond.toml.d/ada.toml
systemctl reload fusiond.service
eventually 10 limited
echo 'max_concurrent_agent = 1' >>/etc/fusiond/fusiond.toml.d/ada.toml
refused 4 fusionctl system reload
since=$(date +%s)
refused 1 systemctl reload fusiond.service
journalctl --sync
refusal=$(journalctl --no-pager -p err -u fusiond.service --since "@$since")
grep 'error: .*max_concurrent_agent' <<<"$refusal" >/dev/null || fail "the journal does not tell what is wrong but: $refusal"
# Whoever sends the signal alone finds it there, too.
systemctl kill --signal=HUP --kill-whom=main fusiond.service
refusal() { journalctl --no-pager -u fusiond.service --since "@$since" | grep 'not reloaded: .*max_concurrent_agent' >/dev/null; }
eventually 10 refusal
limited || fail "wrong settings changed something"
rm -r /etc/fusiond/fusiond.toml.d
systemctl reload fusiond.service
eventually 10 unlimited
is "$(main_pid)" "$pid" "the daemon's process"
lives "$long"
is "$(as ada fusionctl -o json task show key:reloaded-long | jq -r '.attempts | length')" 1 "its attempts"
as ada fusionctl -q agent list | xargs -n1 runuser -u ada -- fusionctl agent terminate
