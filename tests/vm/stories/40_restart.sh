# The daemon is restarted ten times under load: no agent notices, every task runs once.
member ada
member bob
long=$(long_task ada through-restarts)
for user in ada bob; do as "$user" fusionctl agent spawn restarted --profile shell; done
for n in $(seq 10); do
    for user in ada bob; do work "$user" "restart$n" 20; done
    systemctl restart fusiond.service
    lives "$long"
done
for n in $(seq 10); do
    for user in ada bob; do worked "$user" "restart$n" 20; done
done
is "$(as bob fusionctl -o json task list | jq -r '.[].user' | sort -u)" bob "whose tasks bob sees"
is "$(as ada fusionctl -o json task show key:through-restarts-long | jq -r '.attempts | length')" 1 "its attempts"
as ada fusionctl agent terminate through-restarts
for user in ada bob; do as "$user" fusionctl agent terminate restarted; done
