# The daemon is killed ten times under load; systemd starts it again, nothing is lost and nothing runs twice.
member ada
long=$(long_task ada through-kills)
as ada fusionctl agent spawn killed --profile shell
for n in $(seq 10); do
    work ada "kill$n" 20
    old=$(main_pid)
    systemctl kill --kill-whom=main --signal=KILL fusiond.service
    eventually 60 served_anew "$old"
    lives "$long"
done
for n in $(seq 10); do worked ada "kill$n" 20; done
is "$(as ada fusionctl -o json task show key:through-kills-long | jq -r '.attempts | length')" 1 "its attempts"
as ada fusionctl agent terminate through-kills
as ada fusionctl agent terminate killed
