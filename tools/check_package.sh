#!/usr/bin/env bash
# Installs the Debian package of `make package` into a clean Debian 12 folder, starts the server there by the command line
# of its systemd unit, asks a question, and stops it. Needs root, debootstrap and a Debian mirror:
#   tools/check_package.sh FOLDER [MIRROR]
# FOLDER is made if it is not there, and kept.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(realpath -m "$1")
mirror=${2:-http://deb.debian.org/debian}
[ -d "$folder/usr" ] || debootstrap --variant=minbase bookworm "$folder" "$mirror"
cp build/package/gossamer_*.deb "$folder/tmp/"
cp /etc/resolv.conf "$folder/etc/" 2>/dev/null || true
mountpoint -q "$folder/proc" || mount -t proc proc "$folder/proc"
trap 'umount "$folder/proc"' EXIT
chroot "$folder" sh -c 'apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --reinstall \
  --no-install-recommends /tmp/gossamer_*.deb' >/dev/null

# What systemd does with EnvironmentFile and ExecStart: the file's values, split at spaces where a bare $NAME stands.
declare -A environment=()
while IFS='=' read -r name value; do
  case $name in '' | \#*) ;; *) environment[$name]=$value ;; esac
done <"$folder/etc/gossamer/gossamer.conf"
command=()
for word in $(sed -n 's/^ExecStart=//p' "$folder/lib/systemd/system/gossamer.service"); do
  case $word in
    \$*) read -r -a words <<<"${environment[${word#\$}]}" && command+=("${words[@]}") ;;
    *) command+=("$word") ;;
  esac
done
echo "+ ${command[*]}"
chroot "$folder" "${command[@]}" 2>"$folder/tmp/gossamer.log" &
server=$!
for _ in $(seq 100); do
  curl -sf http://127.0.0.1:8000/health/ready >/dev/null && break
  sleep 0.1
done
answer=$(curl -sf http://127.0.0.1:8000/v1/chat/completions -H 'Content-Type: application/json' -d '{
  "model": "demo", "temperature": 0, "messages": [{"role": "user", "content": "What is the capital of France?"}]}')
kill -TERM "$server"
wait "$server"
echo "$answer"
grep -q '"content":"The capital of France is Paris."' <<<"$answer"
echo "package: installed, served and stopped"
