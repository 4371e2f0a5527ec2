"""Uses an API server as programs with the official client do; each case is one line of JSON on standard output, with what went wrong.

    python peer.py KUBECONFIG
"""

import datetime
import json
import queue
import sys
import threading
import time
import traceback

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.informer.informer import SharedInformer

NAMESPACE = "default"
VMS = {"group": "kubevirt.io", "version": "v1", "namespace": NAMESPACE, "plural": "virtualmachines"}
VMIS = {**VMS, "plural": "virtualmachineinstances"}
NADS = {"group": "k8s.cni.cncf.io", "version": "v1", "namespace": NAMESPACE, "plural": "network-attachment-definitions"}
DEADLINE_SECONDS = 60

cases = {}


def case(name):
    def add(function):
        cases[name] = function
        return function

    return add


def equal(found, wanted):
    if found != wanted:
        raise AssertionError(f"{found!r} is not {wanted!r}")


def eventually(what, look):
    deadline = time.monotonic() + DEADLINE_SECONDS
    found = None
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what}: never; last {found!r}")


def refused(code, reason, call, **arguments):
    try:
        call(**arguments)
    except ApiException as error:
        equal((error.status, json.loads(error.body)["reason"]), (code, reason))
        return json.loads(error.body)
    raise AssertionError("nothing was refused")


def found(call, **arguments):
    """What a call gives; None when there is no such object."""
    try:
        return call(**arguments)
    except ApiException as error:
        if error.status != 404:
            raise
        return None


def vm(name, networks, strategy="Always"):
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": name},
        "spec": {
            "runStrategy": strategy,
            "template": {
                "spec": {
                    "domain": {
                        "memory": {"guest": "128Mi"},
                        "firmware": {"kernelBoot": {"container": {"image": "demo-guest"}}},
                        "devices": {
                            "interfaces": [{"name": "default", "masquerade": {}}]
                            + [{"name": one, "bridge": {}} for one in networks]
                        },
                    },
                    "networks": [{"name": "default", "pod": {}}]
                    + [{"name": one, "multus": {"networkName": one}} for one in networks],
                }
            },
        },
    }


def nad(name):
    network = json.dumps({"cniVersion": "1.0.0", "name": name, "type": "bridge", "bridge": f"br-{name}"})
    return {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": name},
        "spec": {"config": network},
    }


def links(custom, name):
    instance = found(custom.get_namespaced_custom_object, **VMIS, name=name) or {}
    return [(one["name"], one.get("linkState")) for one in instance.get("status", {}).get("interfaces", [])]


@case("lists and reads nodes by the types of the client")
def nodes(api):
    core = client.CoreV1Api(api)
    [node] = core.list_node().items
    equal(core.read_node(node.metadata.name).metadata.uid, node.metadata.uid)
    info = node.status.node_info
    for name in ("machine_id", "system_uuid", "boot_id", "kernel_version", "os_image", "container_runtime_version"):
        if not isinstance(getattr(info, name), str):
            raise AssertionError(f"{name} is {getattr(info, name)!r}")
    [ready] = [one for one in node.status.conditions if one.type == "Ready"]
    equal((ready.status, type(ready.last_heartbeat_time)), ("True", datetime.datetime))


@case("makes, replaces, patches and deletes a ConfigMap")
def config_maps(api):
    core = client.CoreV1Api(api)
    body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="typed", labels={"peer": "python"}), data={"a": "1"})
    made = core.create_namespaced_config_map(NAMESPACE, body)
    refused(409, "AlreadyExists", core.create_namespaced_config_map, namespace=NAMESPACE, body=body)
    made.data = {"a": "2"}
    replaced = core.replace_namespaced_config_map("typed", NAMESPACE, made)
    equal(replaced.data, {"a": "2"})
    refused(409, "Conflict", core.replace_namespaced_config_map, name="typed", namespace=NAMESPACE, body=made)
    equal(core.patch_namespaced_config_map("typed", NAMESPACE, {"data": {"b": "3"}}).data, {"a": "2", "b": "3"})
    steps = [{"op": "remove", "path": "/data/b"}]
    equal(core.patch_namespaced_config_map("typed", NAMESPACE, steps).data, {"a": "2"})
    dry = core.patch_namespaced_config_map("typed", NAMESPACE, {"data": {"c": "4"}}, dry_run="All")
    equal(dry.data, {"a": "2", "c": "4"})
    [listed] = core.list_namespaced_config_map(NAMESPACE, label_selector="peer=python").items
    equal(listed.data, {"a": "2"})
    core.delete_namespaced_config_map("typed", NAMESPACE)
    refused(404, "NotFound", core.read_namespaced_config_map, name="typed", namespace=NAMESPACE)


@case("makes, patches, replaces and deletes a VM and its networks")
def custom_objects(api):
    custom = client.CustomObjectsApi(api)
    for name in ("red", "blue"):
        custom.create_namespaced_custom_object(**NADS, body=nad(name))
    custom.create_namespaced_custom_object(**VMS, body=vm("a", ["red"]))
    eventually("both links are up", lambda: links(custom, "a") == [("default", "up"), ("red", "up")])
    path = "/spec/template/spec/domain/devices/interfaces/1/state"
    custom.patch_namespaced_custom_object(
        **VMS,
        name="a",
        body=[{"op": "add", "path": path, "value": "down"}],
        _content_type="application/json-patch+json",
    )
    eventually("red is down", lambda: links(custom, "a") == [("default", "up"), ("red", "down")])
    now = custom.get_namespaced_custom_object(**VMS, name="a")
    interfaces = now["spec"]["template"]["spec"]["domain"]["devices"]["interfaces"]
    merge = {"spec": {"template": {"spec": {"domain": {"devices": {"interfaces": [{**one, "state": "up"} for one in interfaces]}}}}}}
    custom.patch_namespaced_custom_object(**VMS, name="a", body=merge)
    eventually("red is up", lambda: links(custom, "a") == [("default", "up"), ("red", "up")])

    def replaced():
        now = custom.get_namespaced_custom_object(**VMS, name="a")
        now["spec"]["template"]["spec"]["networks"][1]["multus"]["networkName"] = "blue"
        try:
            return custom.replace_namespaced_custom_object(**VMS, name="a", body=now)
        except ApiException as error:
            # Its status is written while it starts.
            equal(error.status, 409)
            return None

    eventually("replaced", replaced)
    instance = lambda: custom.get_namespaced_custom_object(**VMIS, name="a")
    network = lambda: instance()["spec"]["networks"][1]["multus"]["networkName"]
    eventually("the instance is on blue", lambda: network() == "blue")
    config_of_red = custom.get_namespaced_custom_object(**NADS, name="red")
    config_of_red["metadata"]["labels"] = {"colour": "red"}
    custom.replace_namespaced_custom_object(**NADS, name="red", body=config_of_red)
    labelled = custom.list_namespaced_custom_object(**NADS, label_selector="colour=red")["items"]
    equal([one["metadata"]["name"] for one in labelled], ["red"])
    wrong = vm("wrong", ["red"])
    wrong["spec"]["template"]["spec"]["domain"]["devices"]["interfaces"][1]["state"] = "broken"
    status = refused(422, "Invalid", custom.create_namespaced_custom_object, **VMS, body=wrong)
    causes = [one["field"] for one in status["details"]["causes"]]
    equal(causes, ["spec.template.spec.domain.devices.interfaces[1].state"])
    custom.delete_namespaced_custom_object(**VMS, name="a", propagation_policy="Foreground")
    gone = lambda: not found(custom.get_namespaced_custom_object, **VMS, name="a")
    eventually("the VM is gone", gone)
    for name in ("red", "blue"):
        custom.delete_namespaced_custom_object(**NADS, name=name)


@case("takes absent fields of a manifest as null")
def nulls(api):
    custom = client.CustomObjectsApi(api)
    body = vm("nulls", [], "Halted")
    body["spec"]["running"] = None
    body["spec"]["template"]["spec"]["nodeSelector"] = None
    made = custom.create_namespaced_custom_object(**VMS, body=body)
    equal("running" in made["spec"], False)
    custom.delete_namespaced_custom_object(**VMS, name="nulls")


@case("records events of both groups")
def events(api):
    core = client.CoreV1Api(api)
    now = datetime.datetime.now(datetime.timezone.utc)
    about = client.V1ObjectReference(api_version="v1", kind="ConfigMap", name="peer", namespace=NAMESPACE)
    core.create_namespaced_event(
        NAMESPACE,
        client.CoreV1Event(
            metadata=client.V1ObjectMeta(name="peer.1"),
            involved_object=about,
            reason="Tested",
            message="by a peer",
            type="Normal",
            first_timestamp=now,
            last_timestamp=now,
            count=1,
        ),
    )
    [event] = core.list_namespaced_event(NAMESPACE, field_selector="involvedObject.name=peer,reason=Tested").items
    equal((event.count, event.last_timestamp), (1, now.replace(microsecond=0)))
    core.patch_namespaced_event("peer.1", NAMESPACE, {"count": 2})
    equal(core.read_namespaced_event("peer.1", NAMESPACE).count, 2)
    newer = client.EventsV1Api(api)
    newer.create_namespaced_event(
        NAMESPACE,
        client.EventsV1Event(
            metadata=client.V1ObjectMeta(name="peer.2"),
            event_time=now,
            action="Testing",
            reason="Tested",
            note="by a peer",
            regarding=about,
            type="Normal",
            reporting_controller="patchbay.dev/peer",
            reporting_instance="peer-1",
        ),
    )
    same = core.read_namespaced_event("peer.2", NAMESPACE)
    equal((same.event_time, same.message, same.involved_object.name), (now, "by a peer", "peer"))
    equal(newer.read_namespaced_event("peer.2", NAMESPACE).event_time, now)
    for name in ("peer.1", "peer.2"):
        core.delete_namespaced_event(name, NAMESPACE)


@case("takes a lease, renews it, and is refused what is no time")
def leases(api):
    coordination = client.CoordinationV1Api(api)
    now = datetime.datetime.now(datetime.timezone.utc)
    spec = client.V1LeaseSpec(holder_identity="peer", lease_duration_seconds=15, acquire_time=now, renew_time=now)
    lease = client.V1Lease(metadata=client.V1ObjectMeta(name="python"), spec=spec)
    made = coordination.create_namespaced_lease(NAMESPACE, lease)
    equal(made.spec.renew_time, now)
    made.spec.renew_time = now + datetime.timedelta(microseconds=1)
    renewed = coordination.replace_namespaced_lease("python", NAMESPACE, made)
    equal(renewed.spec.renew_time, made.spec.renew_time)
    wrong = {"spec": {"renewTime": "yesterday"}}
    try:
        coordination.patch_namespaced_lease("python", NAMESPACE, wrong)
        raise AssertionError("yesterday was taken for a time")
    except ApiException as error:
        if error.status not in (400, 422):
            raise
    equal([one.metadata.name for one in coordination.list_namespaced_lease(NAMESPACE).items], ["python"])
    coordination.delete_namespaced_lease("python", NAMESPACE)


@case("watches until the server ends the watch, and goes on from where it was")
def watches(api):
    core = client.CoreV1Api(api)
    start = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
    named = lambda name: client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name))
    core.create_namespaced_config_map(NAMESPACE, named("w1"))
    core.patch_namespaced_config_map("w1", NAMESPACE, {"data": {"a": "1"}})
    watcher = watch.Watch()
    seen = []
    for event in watcher.stream(core.list_namespaced_config_map, NAMESPACE, resource_version=start, timeout_seconds=1):
        seen.append((event["type"], event["object"].metadata.name))
    core.delete_namespaced_config_map("w1", NAMESPACE)
    for event in watcher.stream(core.list_namespaced_config_map, NAMESPACE, resource_version=watcher.resource_version or start):
        seen.append((event["type"], event["object"].metadata.name))
        if event["type"] == "DELETED":
            break
    equal(seen, [("ADDED", "w1"), ("MODIFIED", "w1"), ("DELETED", "w1")])


@case("informs of every change, of typed objects and of VMs")
def informers(api):
    core = client.CoreV1Api(api)
    custom = client.CustomObjectsApi(api)
    changes = queue.Queue()
    typed = SharedInformer(core.list_namespaced_config_map, namespace=NAMESPACE, label_selector="peer=informer")
    for kind in ("ADDED", "MODIFIED", "DELETED"):
        typed.add_event_handler(kind, lambda one, kind=kind: changes.put(f"{kind} {one.metadata.name}"))
    labelled = client.V1ObjectMeta(name="seen", labels={"peer": "informer"})
    core.create_namespaced_config_map(NAMESPACE, client.V1ConfigMap(metadata=labelled))
    typed.start()
    next_change = lambda: changes.get(timeout=DEADLINE_SECONDS)
    equal(next_change(), "ADDED seen")
    core.patch_namespaced_config_map("seen", NAMESPACE, {"data": {"a": "1"}})
    equal(next_change(), "MODIFIED seen")
    equal(typed.cache.get_by_key(f"{NAMESPACE}/seen").data, {"a": "1"})
    core.delete_namespaced_config_map("seen", NAMESPACE)
    equal(next_change(), "DELETED seen")
    equal(typed.cache.list_keys(), [])
    strategies = []
    custom.create_namespaced_custom_object(**VMS, body=vm("b", [], "Halted"))

    def follow():
        watcher = watch.Watch()
        for event in watcher.stream(custom.list_namespaced_custom_object, **VMS):
            strategies.append((event["type"], event["object"]["spec"].get("runStrategy")))
            if event["type"] == "DELETED":
                return

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    custom.patch_namespaced_custom_object(**VMS, name="b", body={"spec": {"runStrategy": "Manual"}})
    custom.delete_namespaced_custom_object(**VMS, name="b")
    follower.join(DEADLINE_SECONDS)
    equal(strategies[-1], ("DELETED", "Manual"))
    # Its thread reads a watch that only a change ends.
    core.create_namespaced_config_map(NAMESPACE, client.V1ConfigMap(metadata=client.V1ObjectMeta(name="last", labels={"peer": "informer"})))
    equal(next_change(), "ADDED last")
    stopping = threading.Thread(target=typed.stop)
    stopping.start()
    core.delete_namespaced_config_map("last", NAMESPACE)
    stopping.join(DEADLINE_SECONDS)
    equal(stopping.is_alive(), False)


@case("finds all kinds by discovery, and applies on the server, by its dynamic client")
def dynamic(api):
    resources = DynamicClient(api, cache_file=f"{sys.argv[1]}.discovery")
    vms = resources.resources.get(api_version="kubevirt.io/v1", kind="VirtualMachine")
    nads = resources.resources.get(api_version="k8s.cni.cncf.io/v1", kind="NetworkAttachmentDefinition")
    made = nads.create(body=nad("green"), namespace=NAMESPACE)
    equal(made.metadata.namespace, NAMESPACE)
    equal([one.metadata.name for one in nads.get(namespace=NAMESPACE).items], ["green"])
    applied = vms.server_side_apply(body=vm("c", ["green"], "Halted"), name="c", namespace=NAMESPACE, field_manager="peer")
    again = vms.server_side_apply(body=vm("c", ["green"], "Halted"), name="c", namespace=NAMESPACE, field_manager="peer")
    equal((again.metadata.generation, again.metadata.uid), (1, applied.metadata.uid))
    other = vm("c", ["green"], "Manual")
    try:
        vms.server_side_apply(body=other, name="c", namespace=NAMESPACE, field_manager="other")
        raise AssertionError("a field of another manager was taken")
    except ApiException as error:
        equal((error.status, error.reason), (409, "Conflict"))
    forced = vms.server_side_apply(body=other, name="c", namespace=NAMESPACE, field_manager="other", force_conflicts=True)
    equal(forced.spec.runStrategy, "Manual")
    patched = vms.patch(
        body={"metadata": {"labels": {"x": "y"}}}, name="c", namespace=NAMESPACE, content_type="application/merge-patch+json"
    )
    equal(patched.metadata.labels.x, "y")
    for event in vms.watch(namespace=NAMESPACE, timeout=5):
        equal((event["type"], event["object"].metadata.name), ("ADDED", "c"))
        break
    vms.delete(name="c", namespace=NAMESPACE)
    gone = lambda: not found(vms.get, name="c", namespace=NAMESPACE)
    eventually("the VM is gone", gone)
    nads.delete(name="green", namespace=NAMESPACE)
    kinds = {one.kind for one in resources.resources.search(group="kubevirt.io")}
    equal(kinds >= {"VirtualMachine", "VirtualMachineInstance", "VirtualMachineInstanceMigration"}, True)


@case("writes cluster-scoped objects that say a namespace")
def cluster_scoped(api):
    resources = DynamicClient(api, cache_file=f"{sys.argv[1]}.discovery")
    roles = resources.resources.get(api_version="rbac.authorization.k8s.io/v1", kind="ClusterRole")
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "rules": rules}
    made = roles.create(body={**role, "metadata": {"name": "peer", "namespace": "default"}})
    equal(made.metadata.namespace, None)
    roles.delete(name="peer")


def main():
    api = config.new_client_from_config(sys.argv[1])
    for name, function in cases.items():
        trouble = ""
        try:
            function(api)
        except Exception:  # pylint: disable=broad-except
            trouble = traceback.format_exc()
        print(json.dumps({"name": name, "trouble": trouble}), flush=True)


main()
