# The daemon is restarted ten times under load: no agent notices, every task runs once.
member ada
long=$(long_task ada through-restarts)
as ada fusionctl agent spawn restarted --profile shell
for n in $(seq 10); do
    work ada "restart$n" 20
    systemctl restart fusiond.service
    lives "$long"
done
for n in $(seq 10); do worked ada "restart$n" 20; done
is "$(as ada fusionctl -o json task show key:through-restarts-long | jq -r '.attempts | length')" 1 "its attempts"
as ada fusionctl agent terminate through-restarts
as ada fusionctl agent terminate restarted
