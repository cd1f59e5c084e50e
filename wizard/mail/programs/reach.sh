#!/bin/sh
# Arguments: a host and ports. Prints "address ADDRESS" for each address that the host has here, then one line for each port:
# "port PORT SECONDS ADDRESS CAUSE", with the seconds until it was connected, 0 if it was not. curl greets the server and leaves.

for program in curl getent; do command -v "$program" >/dev/null || { echo "no $program" >&2; exit 3; }; done
command -v nc >/dev/null || command -v bash >/dev/null || { echo 'neither nc nor bash' >&2; exit 3; }
host=$1
shift
getent ahosts "$host" 2>/dev/null | while read -r address _; do echo "address $address"; done
case $host in *:*) place="[$host]" ;; *) place=$host ;; esac
for port; do
  scheme=smtp
  if [ "$port" = 465 ]; then scheme=smtps; fi
  (
    said=$(curl --silent --verbose --noproxy '*' --connect-timeout 8 --max-time 10 --output /dev/null \
      --insecure --request NOOP --write-out '\nresult %{time_connect} %{remote_ip}' "$scheme://$place:$port" 2>&1)
    cause=$(echo "$said" | sed -n 's/^\* .*[fF]ail.*: //p' | head -n 1)
    echo "$said" | sed -n "s/^result \([0-9.]*\) \([^ ]*\)$/port $port \1 \2 /p" | sed "s|\$|$cause|"
  ) &
done
wait
