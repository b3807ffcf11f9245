# With the socket the daemon starts when somebody asks, and those who ask during a restart wait instead of failing.
member ada
long=$(long_task ada socketed)
systemctl stop fusiond.service
systemctl start fusiond.socket
is "$(systemctl is-active fusiond.service || true)" inactive "the service"
as ada fusionctl agent list
is "$(systemctl is-active fusiond.service)" active "the service"
is "$(stat -c '%a %U:%G' /run/fusiond/fusiond.sock)" "660 root:fusion" "the socket"
# One try, where fusionctl would make another.
knock() { perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "$!\n"' /run/fusiond/fusiond.sock; }
for n in $(seq 5); do
    old=$(main_pid)
    systemctl restart --no-block fusiond.service
    until served_anew "$old"; do
        knock || fail "a client was turned away"
    done
    as ada fusionctl task submit --key "socket$n" --capability sh true
done
lives "$long"

# A start that fails in the same way each time is not repeated for ever because somebody waits; what was mended serves.
mkdir -p /etc/fusiond/fusiond.toml.d
echo 'wrong = 1' >/etc/fusiond/fusiond.toml.d/wrong.toml
systemctl stop fusiond.service
knock
failed_so() { [ "$(systemctl show -P ExecMainStatus fusiond.service)" = 78 ]; }
eventually 20 failed_so
rm -r /etc/fusiond/fusiond.toml.d
mended() { systemctl start fusiond.socket && as ada fusionctl agent list; }
eventually 30 mended
is "$(systemctl is-active fusiond.service)" active "the service that was mended"
lives "$long"
systemctl stop fusiond.service fusiond.socket
systemctl start fusiond.service
as ada fusionctl agent terminate socketed
