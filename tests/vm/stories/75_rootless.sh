# The same without root, for a user who lingers: the user's own manager, scopes and slice.
user_exists rob || useradd --create-home --shell /bin/bash rob
uid=$(id -u rob)
user_pid() { as rob systemctl --user show -P MainPID fusiond.service; }
# Whether another process than OLD serves the user.
user_served_anew() {
    local pid
    pid=$(user_pid)
    [ "$pid" != 0 ] && [ "$pid" != "$1" ] && as rob systemctl --user --quiet is-active fusiond.service
}
lingers() { as rob fusionctl -o json system doctor | jq -r '.checks[] | select(.name == "linger") | "\(.status) \(.remedy // "")"'; }

# A manager as a login has it: doctor tells what the last logout would do, and the command that mends it.
systemctl start "user@$uid.service"
eventually 30 test -S "/run/user/$uid/bus"
as rob systemctl --user enable --now fusiond.service
is "$(as rob systemctl --user is-active fusiond.service)" active "the user's service"
as rob fusionctl -o json system status | grep -q '"user"' || fail "the client does not speak to the user's daemon"
is "$(lingers || true)" "weak loginctl enable-linger rob" "what doctor says"
loginctl enable-linger rob
is "$(lingers)" "ok " "what doctor says then"

# Ten restarts and ten crashes under load, and a reload.
long=$(long_task rob rootless)
as rob fusionctl agent spawn worker --profile shell
for n in $(seq 10); do
    work rob "rootless$n" 20
    as rob systemctl --user restart fusiond.service
    lives "$long"
done
for n in $(seq 11 20); do
    work rob "rootless$n" 20
    old=$(user_pid)
    as rob systemctl --user kill --kill-whom=main --signal=KILL fusiond.service
    eventually 60 user_served_anew "$old"
    lives "$long"
done
for n in $(seq 20); do worked rob "rootless$n" 20; done
old=$(user_pid)
as rob mkdir -p .config/fusiond/fusiond.toml.d
limited() {
    local code=0
    as rob fusionctl agent spawn one-too-many --profile shell >/dev/null || code=$?
    [ "$code" = 8 ]
}
echo '[limits.per_user]
max_concurrent_agents = 2' >/home/rob/.config/fusiond/fusiond.toml.d/few.toml
as rob systemctl --user reload fusiond.service
eventually 10 limited
is "$(user_pid)" "$old" "the daemon's process"
rm /home/rob/.config/fusiond/fusiond.toml.d/few.toml
as rob systemctl --user reload fusiond.service

# One that stands still is ended and started again.
as rob mkdir -p .config/systemd/user/fusiond.service.d
printf '[Service]\nWatchdogSec=5\n' >/home/rob/.config/systemd/user/fusiond.service.d/watchdog.conf
as rob systemctl --user daemon-reload
as rob systemctl --user restart fusiond.service
old=$(user_pid)
kill -STOP "$old"
eventually 60 user_served_anew "$old"
lives "$long"
rm -r /home/rob/.config/systemd/user/fusiond.service.d
as rob systemctl --user daemon-reload

# It starts when somebody asks.
as rob systemctl --user stop fusiond.service
as rob systemctl --user start fusiond.socket
is "$(as rob systemctl --user is-active fusiond.service || true)" inactive "the user's service"
as rob fusionctl task submit --agent worker --key asked --wait true
is "$(as rob systemctl --user is-active fusiond.service)" active "the user's service"
as rob systemctl --user stop fusiond.service fusiond.socket
as rob systemctl --user start fusiond.service
lives "$long"
is "$(as rob fusionctl -o json task show key:rootless-long | jq -r '.attempts | length')" 1 "its attempts"

# The journal tells of the user's own agents, too.
id=$(as rob fusionctl -o json agent show rootless | jq -r .id)
journalctl --sync
told=$(journalctl --no-pager -o cat _UID="$uid" FUSION_AGENT="$id")
grep -q '^agent.spawned rootless' <<<"$told" || fail "the journal does not tell of the user's agent but: $told"

scope=$(as rob systemctl --user list-units --plain --no-legend --state=active 'fusion-agent-*.scope' | wc -l)
[ "$scope" -ge 2 ] || fail "the user's agents are no scopes: $(as rob systemctl --user list-units --no-pager 'fusion*')"
as rob systemctl --user stop fusion.slice
[ ! -e "/proc/${long%%:*}" ] || fail "the agent outlived its slice"
is "$(as rob systemctl --user is-active fusiond.service || true)" inactive "the user's service"
as rob systemctl --user disable fusiond.service

# The end of the manager, which comes with the last session or the end of the machine, leaves agents their time.
as rob systemctl --user start fusiond.service
polite_task rob polite
systemctl stop "user@$uid.service"
was_polite rob polite
no_linger rob
