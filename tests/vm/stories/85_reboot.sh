# Work is under way when the machine goes down, of the system's daemon and of that of a user who lingers; 86 looks at what
# became of it.
member ada
as ada fusionctl agent spawn rebooted --profile shell
as ada mkfifo /home/ada/reboot.fifo
for policy in retry review fail; do
    as ada fusionctl agent spawn "reboot-$policy" --profile shell --capability "$policy"
    as ada fusionctl task submit --capability "$policy" --key "reboot-$policy" --on-lost "$policy" \
        'echo "$FUSION_ATTEMPT" >> /home/ada/reboots; echo > /home/ada/reboot.fifo; [ "$(wc -l < /home/ada/reboots)" -ge 4 ] || exec sleep infinity'
    read -r _ </home/ada/reboot.fifo
done
rm /home/ada/reboot.fifo
as ada fusionctl task submit --capability later --key reboot-queued 'echo after the reboot'
polite_task ada reboot-polite
rootless_task rob rebooted
polite_task rob reboot-polite
as rob fusionctl task submit --capability later --key reboot-queued 'echo after the reboot'
as rob systemctl --user enable fusiond.service
exit 75
