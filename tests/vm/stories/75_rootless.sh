# The same without root, for a user who lingers: the user's own manager, scopes and slice.
user_exists rob || useradd --create-home --shell /bin/bash rob
loginctl enable-linger rob
eventually 30 test -S "/run/user/$(id -u rob)/bus"
as rob systemctl --user enable --now fusiond.service
is "$(as rob systemctl --user is-active fusiond.service)" active "the user's service"
as rob fusionctl -o json system status | grep -q '"user"' || fail "the client does not speak to the user's daemon"
long=$(long_task rob rootless)
as rob fusionctl agent spawn worker --profile shell
for n in 1 2 3; do
    work rob "rootless$n" 20
    as rob systemctl --user restart fusiond.service
    lives "$long"
done
for n in 1 2 3; do worked rob "rootless$n" 20; done
scope=$(as rob systemctl --user list-units --plain --no-legend --state=active 'fusion-agent-*.scope' | wc -l)
[ "$scope" -ge 2 ] || fail "the user's agents are no scopes: $(as rob systemctl --user list-units --no-pager 'fusion*')"
as rob systemctl --user stop fusion.slice
[ ! -e "/proc/${long%%:*}" ] || fail "the agent outlived its slice"
is "$(as rob systemctl --user is-active fusiond.service || true)" inactive "the user's service"
as rob systemctl --user disable fusiond.service
loginctl disable-linger rob
eventually 30 bash -c '! pgrep -u rob >/dev/null'
