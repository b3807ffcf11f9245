# The version before cannot read what a later one wrote: it is refused by name, the state is left as it is, and agents live on
# meanwhile; the version that can read it brings the daemon back.
member ada
dpkg -i /vm/later/fusiond_*.deb
long=$(long_task ada through-downgrade)
as ada fusionctl agent spawn downgraded --profile shell
work ada downgrade 50
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
dpkg -i /vm/later/fusiond_*.deb
is "$(systemctl is-active fusiond.service || true)" active "the service after the upgrade"
lives "$long"
is "$(as ada fusionctl -o json task show key:through-downgrade-long | jq -r '.attempts | length')" 1 "its attempts"
worked ada downgrade 50
as ada fusionctl agent terminate through-downgrade
as ada fusionctl agent terminate downgraded
