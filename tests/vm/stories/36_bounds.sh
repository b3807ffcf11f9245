# What all agents of a user may use together follows the settings, also those that changed while no daemon ran and no agent
# lived; what an administrator set on a slice stays. Whether the kernel holds it: `limits`.
member ada
slice=fusion-u$(id -u ada).slice
setting=/etc/fusiond/fusiond.toml.d/together.toml
mkdir -p "${setting%/*}"
bound() { printf '[users.ada.limits]\nmemory = "200MiB"\ncpu = 2\npids = 400\n' >"$setting"; }
# held MEMORY CPU TASKS
held() { [ "$(systemctl show -P MemoryMax -P CPUQuotaPerSecUSec -P TasksMax "$slice" | sort | xargs)" = "$(printf '%s\n' "$@" | sort | xargs)" ]; }

systemctl set-property "$slice" CPUWeight=77
as ada fusionctl agent spawn bounded --profile shell
bound
systemctl reload fusiond.service
eventually 20 held 209715200 2s 400

# The daemon forgot them with its end.
systemctl stop fusiond.service
rm "$setting"
systemctl start fusiond.service
held infinity infinity infinity || fail "a start does not lift bounds: $(systemctl show -P MemoryMax -P CPUQuotaPerSecUSec -P TasksMax "$slice" | xargs)"
systemctl stop fusiond.service
bound
systemctl start fusiond.service
held 209715200 2s 400 || fail "a start does not bind those whose agents live"

# Nobody has agents any more.
as ada fusionctl agent terminate bounded
rm "$setting"
systemctl reload fusiond.service
eventually 20 held infinity infinity infinity
is "$(systemctl show -P CPUWeight "$slice")" 77 "what the administrator set"
systemctl revert "$slice" || rm -r "/etc/systemd/system.control/$slice.d"
