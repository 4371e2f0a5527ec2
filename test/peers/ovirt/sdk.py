"""The scenarios of oVirt's own system tests (facts/ovirt.md, section 8), by oVirt's Python SDK. One line of JSON for each."""

import json
import sys
import time
import traceback

import ovirtsdk4 as sdk
import ovirtsdk4.types as types

url, password, ca_file = sys.argv[1:]
cases = []


def case(name):
    def add(run):
        cases.append((name, run))
        return run

    return add


class World:
    def __init__(self, connection):
        self.connection = connection
        self.system = connection.system_service()
        self.vms = self.system.vms_service()
        self.vm = self.vms.list(search="name=vm1")[0]
        self.nics = self.vms.vm_service(self.vm.id).nics_service()
        self.profiles = {p.name: p.id for p in self.system.vnic_profiles_service().list()}

    def nic(self, name="nic1"):
        found = [nic for nic in self.nics.list() if nic.name == name]
        assert len(found) == 1, found
        return self.nics.nic_service(found[0].id)

    def profile(self, name):
        return types.VnicProfile(id=self.profiles[name])


def until(check, seconds=60):
    end = time.time() + seconds
    while not check():
        assert time.time() < end, "it did not become so"
        time.sleep(0.2)


def refused(call, code, text):
    try:
        call()
    except sdk.Error as error:
        assert error.code == code, error
        assert text in str(error), error
        return
    raise AssertionError("it was not refused")


@case("test_hot_linking_vnic: a link goes down and up while the guest runs")
def _(world):
    service = world.nic()
    for linked in (True, False, True, False, True):
        assert service.update(types.Nic(linked=linked)).linked is linked
        assert service.get().linked is linked


@case("test_hot_update_vm_interface: a card without a network gets one, and loses it")
def _(world):
    nic = world.nics.add(types.Nic(name="empty", interface=types.NicInterface.VIRTIO, vnic_profile=types.VnicProfile()))
    service = world.nics.nic_service(nic.id)
    assert nic.vnic_profile is None
    service.update(types.Nic(vnic_profile=world.profile("red")))
    assert service.get().vnic_profile.id == world.profiles["red"]
    service.update(types.Nic(vnic_profile=types.VnicProfile()))
    assert service.get().vnic_profile is None
    service.deactivate()
    service.remove()


@case("test_hotplug_nic: a card is added to a guest that runs, and removed when it is unplugged")
def _(world):
    nic = world.nics.add(types.Nic(name="hot"))
    service = world.nics.nic_service(nic.id)
    assert nic.plugged and nic.linked and nic.mac.address
    refused(service.remove, 409, "The VM Network Interface is plugged to a running VM.")
    service.deactivate()
    until(lambda: service.get().plugged is False)
    service.remove()
    try:
        service.get()
        raise AssertionError("it is still there")
    except sdk.NotFoundError:
        pass


@case("test_hotplug_multiple_vnics: ten rounds of unplugging and plugging")
def _(world):
    made = [world.nics.add(types.Nic(name=f"round{i}", vnic_profile=world.profile("red"))) for i in range(2)]
    services = [world.nics.nic_service(nic.id) for nic in made]
    for _ in range(10):
        for service in services:
            service.deactivate()
            assert service.get().plugged is False
        for service in services:
            service.activate()
            assert service.get().plugged is True
    for service in services:
        service.deactivate()
        service.remove()


@case("hot_replace_mac_addr: unplugged, changed, plugged")
def _(world):
    nic = world.nics.add(types.Nic(name="mac"))
    service = world.nics.nic_service(nic.id)
    wanted = types.Nic(mac=types.Mac(address="02:00:00:00:4d:43"))
    refused(lambda: service.update(wanted), 409, "Please un-plug the interface")
    service.deactivate()
    service.update(wanted)
    service.activate()
    assert service.get().mac.address == "02:00:00:00:4d:43"
    service.deactivate()
    service.remove()


@case("a whole object is changed and put back")
def _(world):
    service = world.nic()
    nic = service.get()
    nic.linked = False
    assert service.update(nic).linked is False
    nic.linked = True
    assert service.update(nic).linked is True


@case("links are followed, and lists within what they are of")
def _(world):
    vm = world.vms.list(search="name=vm1", follow="nics,reported_devices")[0]
    assert "nic1" in [nic.name for nic in vm.nics]
    assert world.connection.follow_link(vm.cluster).name == "Default"
    assert world.connection.follow_link(vm.nics[0]).id == vm.nics[0].id
    assert all(device.mac.address for device in vm.reported_devices)


@case("a MAC address of another VM is refused, and so is an unknown profile")
def _(world):
    other = world.vms.list(search="name=vm2")[0]
    mac = world.vms.vm_service(other.id).nics_service().list()[1].mac
    refused(lambda: world.nics.add(types.Nic(name="copy", mac=mac)), 409, "is already in use by VM or snapshot: vm2.")
    unknown = types.VnicProfile(id="00000000-0000-0000-0000-000000000009")
    refused(lambda: world.nic().update(types.Nic(vnic_profile=unknown)), 400, "doesn't exist")


@case("the audit log tells of changes, and jobs are finished")
def _(world):
    world.nic().update(types.Nic(linked=False), query={"correlation_id": "sdk-1"})
    world.nic().update(types.Nic(linked=True))
    events = world.system.events_service().list(search="type=934", max=2)
    assert [event.description.split("Link State is ")[1][:3] for event in events] == ["UP.", "DOW"], events
    assert events[0].vm.id == world.vm.id
    jobs = world.system.jobs_service().list()
    assert jobs[0].status == types.JobStatus.FINISHED, jobs[0].status


@case("a VM is made, changed, started, stopped and removed")
def _(world):
    vm = world.vms.add(
        types.Vm(
            name="made",
            memory=256 * 2**20,
            cluster=types.Cluster(name="Default"),
            template=types.Template(name="Blank"),
        )
    )
    service = world.vms.vm_service(vm.id)
    assert service.get().status == types.VmStatus.DOWN
    topology = types.CpuTopology(cores=2, sockets=1, threads=1)
    service.update(types.Vm(description="by the SDK", cpu=types.Cpu(topology=topology)))
    changed = service.get()
    assert (changed.description, changed.cpu.topology.cores, changed.memory) == ("by the SDK", 2, 256 * 2**20)
    service.remove()
    vm2 = world.vms.vm_service(world.vms.list(search="name=vm2")[0].id)
    vm2.start()
    until(lambda: vm2.get().status == types.VmStatus.UP)
    vm2.shutdown()
    until(lambda: vm2.get().status == types.VmStatus.DOWN)


@case("every other list of the API can be read")
def _(world):
    lists = (
        world.system.data_centers_service,
        world.system.clusters_service,
        world.system.hosts_service,
        world.system.networks_service,
        world.system.templates_service,
        world.system.storage_domains_service,
        world.system.disks_service,
        world.system.vm_pools_service,
        world.system.tags_service,
        world.system.network_filters_service,
        world.system.mac_pools_service,
    )
    for service in lists:
        service().list()
    vm = world.vms.vm_service(world.vm.id)
    for name in ("disk_attachments", "snapshots", "statistics", "tags", "cdroms", "numa_nodes", "watchdogs"):
        getattr(vm, f"{name}_service")().list()


def main():
    connection = sdk.Connection(url=url, username="admin@internal", password=password, ca_file=ca_file)
    assert connection.test(raise_exception=True)
    world = World(connection)
    for name, run in cases:
        try:
            run(world)
            trouble = ""
        except Exception:
            trouble = traceback.format_exc()
        print(json.dumps({"name": name, "trouble": trouble}))
    connection.close()
    wrong = sdk.Connection(url=url, username="admin@internal", password="wrong", ca_file=ca_file)
    try:
        wrong.system_service().get()
        trouble = "a wrong password signed in"
    except sdk.AuthError as error:
        trouble = "" if "The username or password is incorrect" in str(error) else str(error)
    print(json.dumps({"name": "a wrong password is refused", "trouble": trouble}))


main()
