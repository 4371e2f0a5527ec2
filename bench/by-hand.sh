# What Patchbay does for a VM with one masquerade interface, by hand: by-hand.sh DIR NETNS SANDBOX-SCRIPT
set -eu
dir=$1
ns=$2
script=$3
uid=$(sed -n 's/^libvirt-qemu:x:\([0-9]*\):.*/\1/p' "$dir/etc/passwd")
install -d -o "$uid" -g "$uid" -m 0700 "$dir/run/guest"
ip netns add "$ns"
ip -n "$ns" link set lo up
setsid nsenter --net="/run/netns/$ns" unshare --mount --propagation private --pid --fork sh "$script" "$dir" "$uid" no >/dev/null 2>&1 &
holder=$!
inside() {
  init=$(cat "/proc/$holder/task/$holder/children" 2>/dev/null) && init=${init% } && [ -n "$init" ] &&
    [ "$(stat -c %i "/proc/$init/root/run")" = "$(stat -c %i "$dir/run")" ] && [ ! -e "/proc/$init/root/old" ]
}
until inside 2>/dev/null; do sleep 0.005; done
LIBVIRT_DRIVER_DIR=/etc/libvirt/drivers setsid nsenter --target "$init" --mount --root --wd --pid --net \
  /usr/sbin/libvirtd --config /etc/libvirt/libvirtd.conf --pid-file /run/libvirtd.pid >/dev/null 2>&1 &
cat > "$dir/net.json" <<N
{"cniVersion":"0.4.0","name":"hand","type":"bridge","bridge":"hand0","isGateway":true,"ipMasq":false,"ipam":{"type":"host-local","ranges":[[{"subnet":"10.245.0.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}],"dataDir":"$dir/ipam"}}
N
CNI_COMMAND=ADD CNI_CONTAINERID=$ns CNI_NETNS=/run/netns/$ns CNI_IFNAME=eth0 CNI_PATH=/usr/lib/cni /usr/lib/cni/bridge < "$dir/net.json" > "$dir/result.json"
ip=$(sed -n 's/.*"address": "\([0-9.]*\)\/.*/\1/p' "$dir/result.json" | head -n 1)
ip -n "$ns" -batch - <<B
link add k6t-eth0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0
addr add 10.0.2.1/24 dev k6t-eth0
tuntap add dev tap0 mode tap user 64055 vnet_hdr
link set tap0 master k6t-eth0
link set tap0 up
link set k6t-eth0 up
B
nsenter --net="/run/netns/$ns" sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward; exec nft -f -' <<N
table ip k6t {
  chain pre { type nat hook prerouting priority dstnat
    iifname "eth0" ip daddr $ip dnat to 10.0.2.2
  }
  chain post { type nat hook postrouting priority srcnat
    oifname "eth0" ip saddr 10.0.2.2 masquerade
  }
}
N
cat > "$dir/dnsmasq.conf" <<C
port=0
interface=k6t-eth0
bind-interfaces
leasefile-ro
no-ping
dhcp-authoritative
user=root
pid-file=$dir/dnsmasq.pid
dhcp-range=10.0.2.2,static,255.255.255.0,infinite
C
ip netns exec "$ns" dnsmasq -C "$dir/dnsmasq.conf"
until [ -S "$dir/run/libvirt/libvirt-sock" ]; do sleep 0.01; done
virsh -q -c "qemu+unix:///system?socket=$dir/run/libvirt/libvirt-sock" create "$dir/domain.xml" >/dev/null
