#!/bin/sh
# Prints figures of this container as lines `name value`: counters of its control group, and what its processes say about
# themselves. What cannot be read is left out.

group=/sys/fs/cgroup
value() { [ -r "$2" ] && read -r found rest <"$2" && echo "$1 $found"; }
field() { [ -r "$3" ] && while read -r name found rest; do [ "$name" = "$2" ] && echo "$1 $found"; done <"$3"; }
if [ -e $group/cgroup.controllers ]; then
  value memory.limit $group/memory.max
  field memory.kills oom_kill $group/memory.events
  field cpu.microseconds usage_usec $group/cpu.stat
  field cpu.periods nr_periods $group/cpu.stat
  field cpu.throttled nr_throttled $group/cpu.stat
else
  value memory.limit $group/memory/memory.limit_in_bytes
  field memory.kills oom_kill $group/memory/memory.oom_control
  for folder in cpu,cpuacct cpuacct cpu; do
    value cpu.nanoseconds "$group/$folder/cpuacct.usage" && break
  done
  for folder in cpu,cpuacct cpu; do
    field cpu.periods nr_periods "$group/$folder/cpu.stat" && field cpu.throttled nr_throttled "$group/$folder/cpu.stat" && break
  done
fi

# Connections that no process has accepted yet: of a socket that listens, the receive queue is their number.
for table in /proc/net/tcp /proc/net/tcp6; do
  [ -r $table ] && while read -r _ local _ state queues rest; do
    [ "$state" = 0A ] && echo "listen.${local##*:} ${queues##*:}"
  done <$table
done

# Titles such as `sidekiq 7.3.9 app [3 of 25 busy]` and `puma: cluster worker 0: 1 [app]`.
for process in /proc/[0-9]*; do
  title=$(tr '\0' ' ' <"$process/cmdline" 2>/dev/null)
  case $title in
    # This program itself, and health checks.
    sh\ * | */sh\ *) ;;
    sidekiq*busy*) echo "title $title" ;;
    'puma: cluster worker'*) echo "title puma" ;;
    *horizon:work*) echo "title horizon" ;;
    postgres:*) ;;
    */postgres\ * | postgres\ *) echo "title postgres" ;;
    */mariadbd\ * | mariadbd\ *) echo "title mariadb" ;;
    *valkey-server\ *) echo "title valkey" ;;
  esac
done
exit 0
