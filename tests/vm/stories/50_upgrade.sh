# A newer package replaces the daemon under load and keeps agents; settings of the administrator stay.
member ada
long=$(long_task ada through-upgrade)
own=$(rootless_task rob through-upgrade)
as ada fusionctl agent spawn upgraded --profile shell
echo '# mine' >>/etc/fusiond/fusiond.toml
work ada upgrade 100
old=$(main_pid)
dpkg -i /vm/deb2/fusiond_*.deb /vm/deb2/fusionctl_*.deb
served_anew "$old" || fail "the daemon was not restarted"
dpkg-query --show fusiond | grep -q -- '-2$' || fail "the second revision is not installed"
grep -q '^# mine$' /etc/fusiond/fusiond.toml || fail "the administrator's settings are gone"
is "$(readlink "/proc/$(main_pid)/exe")" /usr/bin/fusiond "the program that runs"
worked ada upgrade 100
lives "$long"
# The daemons of users go on in the old version until their users restart them.
lives "$own"
as rob systemctl --user restart fusiond.service
lives "$own"
is "$(as rob fusionctl -o json task show key:through-upgrade-long | jq -r '.attempts | length')" 1 "its attempts"
# One that was stopped by hand is not started by an upgrade.
systemctl stop fusiond.service
dpkg -i /vm/deb2/fusiond_*.deb
is "$(systemctl is-active fusiond.service || true)" inactive "the service that was stopped"
lives "$long"
systemctl start fusiond.service
as rob fusionctl agent terminate through-upgrade
as rob systemctl --user stop fusion.slice
no_linger rob
as ada fusionctl agent terminate through-upgrade
as ada fusionctl agent terminate upgraded
