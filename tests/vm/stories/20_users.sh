# Two users work at the same time; each sees what is their own, a stranger sees nothing.
member ada
member bob
user_exists eve || useradd --create-home --shell /bin/bash eve

for user in ada bob; do
    as "$user" fusionctl agent spawn worker --profile shell
    as "$user" fusionctl task submit --key who --wait 'id -un; pwd; stat -c "%a %U" .'
done
for user in ada bob; do
    is "$(as "$user" fusionctl task result key:who | head -1)" "$user" "who ran the task"
    as "$user" fusionctl task result key:who | grep -qx "700 $user" || fail "the workspace is not $user's alone"
    is "$(as "$user" fusionctl -o json agent list | jq -r '.[].user' | sort -u)" "$user" "whose agents $user sees"
    is "$(as "$user" fusionctl -o json task list | jq -r '.[].user' | sort -u)" "$user" "whose tasks $user sees"
done
theirs=$(as ada fusionctl -q agent list)
refused 3 as bob fusionctl agent show "$theirs"
refused 3 as bob fusionctl agent terminate "$theirs"
refused 5 as eve fusionctl agent list
is "$(fusionctl -o json agent list | jq -r '.[].user' | sort -u | xargs)" "ada bob" "whose agents root sees"

# Who manages everything is a member of both groups.
usermod -aG fusion-admin eve
refused 5 as eve fusionctl agent list
usermod -aG fusion eve
is "$(as eve fusionctl -o json agent list | jq -r '.[].user' | sort -u | xargs)" "ada bob" "whose agents an administrator sees"
usermod -G '' eve
