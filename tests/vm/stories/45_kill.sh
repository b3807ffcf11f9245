# The daemon is killed ten times under load; systemd starts it again, nothing is lost and nothing runs twice.
member ada
member bob
long=$(long_task ada through-kills)
for user in ada bob; do as "$user" fusionctl agent spawn killed --profile shell; done
for n in $(seq 10); do
    for user in ada bob; do work "$user" "kill$n" 20; done
    old=$(main_pid)
    systemctl kill --kill-whom=main --signal=KILL fusiond.service
    eventually 60 served_anew "$old"
    lives "$long"
done
for n in $(seq 10); do
    for user in ada bob; do worked "$user" "kill$n" 20; done
done
is "$(as bob fusionctl -o json task list | jq -r '.[].user' | sort -u)" bob "whose tasks bob sees"
is "$(as ada fusionctl -o json task show key:through-kills-long | jq -r '.attempts | length')" 1 "its attempts"
as ada fusionctl agent terminate through-kills
for user in ada bob; do as "$user" fusionctl agent terminate killed; done
