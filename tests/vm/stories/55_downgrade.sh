# The version before cannot read what a later one wrote: it is refused by name, the state is left as it is, and agents live on
# meanwhile; the version that can read it brings the daemon back.
member ada
dpkg -i /vm/later/fusiond_*.deb
long=$(long_task ada through-downgrade)
as ada fusionctl agent spawn downgraded --profile shell
work ada downgrade 50
own=$(rootless_task rob through-downgrade)
state() { find /var/lib/fusiond/store -type f ! -name lock -exec sha256sum {} + | sort -k 2; }
systemctl stop fusiond.service
kept=$(state)
since=$(date +%s)
# The package is installed all the same: only its daemon does not start.
dpkg -i /vm/now/fusiond_*.deb
is "$(dpkg-query --show --showformat='${db:Status-Status}' fusiond)" installed "the package"
systemctl start fusiond.service && fail "it started on state of a later version"
gave_up
journalctl --no-pager -u fusiond.service --since "@$since" | grep 'newer than' || fail "the journal does not say why"
is "$(state)" "$kept" "the state"
lives "$long"
# The same of a user's own daemon, once it is restarted.
is "$(as rob systemctl --user is-active fusiond.service)" active "the user's service"
since=$(date +%s)
as rob systemctl --user restart fusiond.service && fail "the user's daemon started on state of a later version"
is "$(as rob systemctl --user show -P ExecMainStatus fusiond.service)" 78 "the exit code of the user's daemon"
is "$(as rob systemctl --user show -P NRestarts fusiond.service)" 0 "the number of restarts"
journalctl --no-pager _UID="$(id -u rob)" --since "@$since" | grep 'newer than' || fail "the user's journal does not say why"
lives "$own"
dpkg -i /vm/later/fusiond_*.deb
is "$(systemctl is-active fusiond.service || true)" active "the service after the upgrade"
lives "$long"
is "$(as ada fusionctl -o json task show key:through-downgrade-long | jq -r '.attempts | length')" 1 "its attempts"
worked ada downgrade 50
as rob systemctl --user start fusiond.service
lives "$own"
is "$(as rob fusionctl -o json task show key:through-downgrade-long | jq -r '.attempts | length')" 1 "its attempts"
as rob systemctl --user stop fusion.slice
no_linger rob
as ada fusionctl agent terminate through-downgrade
as ada fusionctl agent terminate downgraded
