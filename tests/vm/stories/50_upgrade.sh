# A later version, built from other sources, replaces the daemon under load, brings the state to its own schema and keeps
# agents; settings of the administrator stay.
serves() { is "$("$@" fusionctl -o json system status | jq -r .version)" "$version" "the version that serves"; }
member ada
member bob
version=$(dpkg-query --show --showformat='${source:Upstream-Version}' fusiond)
later=$(dpkg-deb --field /vm/later/fusiond_*.deb Version)
[ "${later%-*}" != "$version" ] || fail "the later version is called $version, as this one"
long=$(long_task ada through-upgrade)
own=$(rootless_task rob through-upgrade)
for user in ada bob; do as "$user" fusionctl agent spawn upgraded --profile shell; done
echo '# mine' >>/etc/fusiond/fusiond.toml
for user in ada bob; do work "$user" upgrade 100; done
old=$(main_pid)
shim=$(parent "${long%%:*}")
serves as ada
begun=$(date +%s)
dpkg -i /vm/later/fusiond_*.deb /vm/later/fusionctl_*.deb
served_anew "$old" || fail "the daemon was not restarted"
version=${later%-*}
serves as ada
is "$(fusionctl --version)" "fusionctl $version" "the client"
is "$(as ada fusionctl -o json system doctor | jq -r '.checks[] | select(.name == "shim").status')" ok "the new shim"
journalctl --no-pager -u fusiond.service --since "@$begun" | grep 'schema' || fail "the journal does not tell of the new schema"
grep -q '^# mine$' /etc/fusiond/fusiond.toml || fail "the administrator's settings are gone"
is "$(readlink "/proc/$(main_pid)/exe")" /usr/bin/fusiond "the program that runs"
for user in ada bob; do worked "$user" upgrade 100; done
lives "$long"
# Its supervisor is still the old one, until the agent is started anew.
is "$(parent "${long%%:*}")" "$shim" "the agent's supervisor"
grep -q ' (deleted)$' <(readlink "/proc/$shim/exe") || fail "the agent's supervisor is no longer the old program"
anew=$(long_task ada since-upgrade)
is "$(readlink "/proc/$(parent "${anew%%:*}")/exe")" /usr/lib/fusiond/fusion-shim "the supervisor of an agent that is new"
# The daemons of users go on in the old version until their users restart them.
lives "$own"
as rob systemctl --user restart fusiond.service
serves as rob
lives "$own"
is "$(as rob fusionctl -o json task show key:through-upgrade-long | jq -r '.attempts | length')" 1 "its attempts"
# One that was stopped by hand is not started by an upgrade.
systemctl stop fusiond.service
dpkg -i /vm/later/fusiond_*.deb
is "$(systemctl is-active fusiond.service || true)" inactive "the service that was stopped"
lives "$long"
systemctl start fusiond.service
as rob fusionctl agent terminate through-upgrade
as rob systemctl --user stop fusion.slice
no_linger rob
as ada fusionctl agent terminate through-upgrade
for user in ada bob; do as "$user" fusionctl agent terminate upgraded; done
as ada fusionctl agent terminate since-upgrade
