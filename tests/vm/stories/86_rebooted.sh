# After the reboot the daemon is up, what waited waits, and what ran is lost by its policy.
eventually 60 systemctl --quiet is-active fusiond.service
for policy in review fail; do
    is "$(as ada fusionctl -o json task show "key:reboot-$policy" | jq -r '.attempts[0].state')" lost "the attempt ($policy)"
done
is "$(as ada fusionctl -o json task show key:reboot-review | jq -r .state)" lost "the task that a person decides"
is "$(as ada fusionctl -o json task show key:reboot-fail | jq -r .state)" failed "the task that was to fail"
is "$(as ada fusionctl -o json task show key:reboot-fail | jq -r '.attempts[0].failure.code')" lost_reboot "its failure"
as ada fusionctl task wait key:reboot-retry || fail "the task that was to be tried again"
is "$(as ada fusionctl -o json task show key:reboot-retry | jq -r '.attempts | length')" 2 "its attempts"
as ada fusionctl agent spawn late --profile shell --capability later
as ada fusionctl task wait key:reboot-queued
is "$(as ada fusionctl task result key:reboot-queued)" "after the reboot" "the result of what waited"

# The user who lingers has everything again without a login.
uid=$(id -u rob)
serves() { [ -S "/run/user/$uid/bus" ] && as rob systemctl --user --quiet is-active fusiond.service; }
eventually 60 serves
eventually 20 ended_as rob rebooted-long lost_reboot
is "$(as rob fusionctl -o json task show key:rebooted-long | jq -r .state)" lost "the task of the user's own daemon"
as rob fusionctl agent spawn late --profile shell --capability later
as rob fusionctl task wait key:reboot-queued

# In order: who was asked to end came to the end of it. What such a task came to is not known all the same.
for user in ada rob; do
    was_polite "$user" reboot-polite
    eventually 20 ended_as "$user" reboot-polite lost_reboot
done
as rob systemctl --user stop fusion.slice
as rob systemctl --user disable fusiond.service
no_linger rob
