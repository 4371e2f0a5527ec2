# What Patchbay does for a card on a network, by hand: card-by-hand.sh VERB NETNS SOCKET DOMAIN BRIDGE
#   plug     CNI's bridge plugin, bridge and tap, virsh attach-device; BRIDGE is that of the network
#   unplug   virsh detach-device-alias; the guest lets go of it in its own time
#   clean    what is left of it in the sandbox, when it has
#   rewire   another network under the card, which stays
set -eu
verb=$1
ns=$2
socket=$3
domain=$4
bridge=$5
mac=02:00:00:00:66:02

v() {
  command=$1
  shift
  virsh -q -c "qemu+unix:///system?socket=$socket" "$command" "$domain" "$@" >/dev/null
}

# cni COMMAND BRIDGE: one link per network, named by its bridge
cni() {
  echo "{\"cniVersion\":\"0.4.0\",\"name\":\"$2\",\"type\":\"bridge\",\"bridge\":\"$2\"}" |
    CNI_COMMAND=$1 CNI_CONTAINERID=hand CNI_NETNS=/run/netns/$ns CNI_IFNAME=h-$2 CNI_PATH=/usr/lib/cni /usr/lib/cni/bridge >/dev/null
}

case $verb in
plug)
  cni ADD "$bridge"
  ip -n "$ns" -batch - <<B
link add k6t-hand type bridge forward_delay 0 stp_state 0 mcast_snooping 0
addr flush dev h-$bridge
link set h-$bridge master k6t-hand
tuntap add dev taphand mode tap user 64055 vnet_hdr
link set taphand master k6t-hand
link set taphand up
link set h-$bridge up
link set k6t-hand up
B
  file=$(mktemp /tmp/pbh-XXXXXX)
  echo "<interface type='ethernet'><mac address='$mac'/><target dev='taphand' managed='no'/><model type='virtio-non-transitional'/><alias name='ua-hand'/><rom enabled='no'/></interface>" > "$file"
  v attach-device "$file"
  rm "$file"
  ;;
unplug)
  v detach-device-alias ua-hand
  ;;
clean)
  ip -n "$ns" link del taphand
  ip -n "$ns" link del k6t-hand
  cni DEL "$bridge"
  ;;
rewire)
  old=$6
  v domif-setlink taphand down
  cni ADD "$bridge"
  ip -n "$ns" -batch - <<B
link set h-$old nomaster
addr flush dev h-$bridge
link set h-$bridge master k6t-hand
link set h-$bridge up
B
  cni DEL "$old"
  v domif-setlink taphand up
  v qemu-monitor-command '{"execute":"announce-self","arguments":{"initial":50,"max":550,"rounds":5,"step":100,"interfaces":["ua-hand"]}}'
  ;;
esac
