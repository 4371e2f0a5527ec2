"""What virt-viewer does by libgovirt: it signs in, finds a VM, and starts and stops it. Arguments: host, password, authority."""

import sys
import time

import gi

gi.require_version("GoVirt", "1.0")
from gi.repository import GoVirt  # noqa: E402

host, password, ca_file = sys.argv[1:]
proxy = GoVirt.Proxy.new(host)
proxy.set_property("ssl-ca-file", ca_file)
proxy.set_property("username", "admin@internal")
proxy.set_property("password", password)
api = proxy.fetch_api()
assert api is not None
vms = api.get_vms()
vms.fetch(proxy)
assert vms.lookup_resource("vm1") is not None
found = api.search_vms("name=vm2")
found.fetch(proxy)
vm = found.lookup_resource("vm2")
assert vm is not None
assert vm.start(proxy)


def until(state):
    end = time.time() + 60
    while vm.get_property("state") != state:
        assert time.time() < end, vm.get_property("state")
        time.sleep(0.2)
        vm.refresh(proxy)


until(GoVirt.VmState.UP)
assert vm.get_host() is not None and vm.get_cluster() is not None
assert vm.stop(proxy)
until(GoVirt.VmState.DOWN)
print("all is well")
