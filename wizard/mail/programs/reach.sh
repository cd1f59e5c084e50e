#!/bin/sh
# Arguments: a host and ports. Prints "address ADDRESS" for each address that the host has here, then one line for each port:
# "port PORT CODE ADDRESS CAUSE", with curl's exit code. It only connects: the protocol telnet sends nothing.

for program in curl getent; do command -v "$program" >/dev/null || { echo "no $program" >&2; exit 3; }; done
command -v nc >/dev/null || command -v bash >/dev/null || { echo 'neither nc nor bash' >&2; exit 3; }
host=$1
shift
getent ahosts "$host" 2>/dev/null | while read -r address _; do echo "address $address"; done
case $host in *:*) place="[$host]" ;; *) place=$host ;; esac
for port; do
  (
    said=$(curl --silent --verbose --noproxy '*' --connect-timeout 8 --max-time 10 --output /dev/null \
      --write-out '\nresult %{exitcode} %{remote_ip} %{num_connects}' "telnet://$place:$port" </dev/null 2>&1)
    cause=$(echo "$said" | sed -n 's/^\* .*[fF]ail.*: //p' | head -n 1)
    echo "$said" | sed -n "s/^result \([0-9]*\) \([^ ]*\) \([0-9]*\)$/port $port \1 \2 \3 /p" | sed "s|\$|$cause|"
  ) &
done
wait
