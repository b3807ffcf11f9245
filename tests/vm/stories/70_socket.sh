# With the socket the daemon starts when somebody asks, and those who ask during a restart wait instead of failing.
member ada
long=$(long_task ada socketed)
systemctl stop fusiond.service
systemctl start fusiond.socket
is "$(systemctl is-active fusiond.service || true)" inactive "the service"
as ada fusionctl agent list
is "$(systemctl is-active fusiond.service)" active "the service"
is "$(stat -c '%a %U:%G' /run/fusiond/fusiond.sock)" "660 root:fusion" "the socket"
for n in $(seq 5); do
    systemctl restart --no-block fusiond.service
    as ada fusionctl task submit --key "socket$n" --capability sh true || fail "a client was turned away"
done
lives "$long"
systemctl stop fusiond.service fusiond.socket
systemctl start fusiond.service
as ada fusionctl agent terminate socketed
