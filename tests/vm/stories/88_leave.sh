# Removing the package also ends the daemons of users and their agents, which are in managers of their own.
long=$(rootless_task rob leaving)
dpkg -r fusiond
[ ! -e "/proc/${long%%:*}" ] || fail "the user's agent outlived the package"
is "$(as rob systemctl --user is-active fusiond.service || true)" inactive "the user's service"
[ -z "$(pgrep -u rob -f fusion)" ] || fail "processes of the user are left: $(pgrep -u rob -a -f fusion)"
dpkg -i /vm/deb2/fusiond_*.deb
no_linger rob
