/**
 * The tables of oVirt's engine that network linking is seen by, with the columns that mean something here, and its view of
 * interfaces with the engine's columns in the engine's order (facts/ovirt.md §5; the seed's DB column and view).
 */
export const schema = `
create table vm_static (
  vm_guid text primary key, vm_name text not null, description text, entity_type text not null, cluster_id text,
  mem_size_mb integer, num_of_sockets integer, cpu_per_socket integer, threads_per_cpu integer, creation_date text);
create table vm_dynamic (vm_guid text primary key, status text not null, run_on_vds text);
create table network (id text primary key, name text not null, description text, storage_pool_id text);
create table vnic_profiles (
  id text primary key, name text not null, network_id text not null, description text,
  port_mirroring boolean not null default 0, passthrough boolean not null default 0);
create table vm_interface (
  id text primary key, vm_guid text not null, mac_addr text, name text not null, speed integer, type integer,
  linked boolean not null default 1, vnic_profile_id text, synced boolean default 1);
create table vm_device (
  device_id text not null, vm_id text not null, type text not null, device text not null, address text not null default '',
  is_managed boolean not null default 1, is_plugged boolean, alias text, custom_properties text,
  primary key (device_id, vm_id));
create table vm_interface_statistics (
  id text primary key, vm_id text, rx_rate real, tx_rate real, rx_drop real, tx_drop real, rx_total integer, rx_offset integer,
  tx_total integer, tx_offset integer, iface_status integer, sample_time real);
create view vm_interface_view as
  select s.rx_rate, s.tx_rate, s.rx_drop, s.tx_drop, s.rx_total, s.rx_offset, s.tx_total, s.tx_offset, s.iface_status,
    s.sample_time, i.type, i.speed, i.mac_addr, i.synced, n.name as network_name, i.name, i.vnic_profile_id, v.vm_guid, v.vm_name,
    i.id, 0 as boot_protocol, 0 as is_vds, d.is_plugged, d.custom_properties, p.port_mirroring, i.linked, v.cluster_id,
    v.entity_type as vm_entity_type, p.name as vnic_profile_name, null as qos_name, null as failover_vnic_profile_name
  from vm_interface_statistics s
    join vm_interface i on s.id = i.id
    join vm_static v on i.vm_guid = v.vm_guid
    join vm_device d on i.id = d.device_id and v.vm_guid = d.vm_id
    left join vnic_profiles p on i.vnic_profile_id = p.id
    left join network n on p.network_id = n.id
  where v.entity_type = 'VM'
  union all
  select null, null, null, null, null, null, null, null, null,
    null, i.type, i.speed, i.mac_addr, i.synced, n.name, i.name, i.vnic_profile_id, v.vm_guid, v.vm_name,
    i.id, 0, 0, d.is_plugged, d.custom_properties, p.port_mirroring, i.linked, v.cluster_id,
    v.entity_type, p.name, null, null
  from vm_interface i
    join vm_static v on i.vm_guid = v.vm_guid
    join vm_device d on i.id = d.device_id and v.vm_guid = d.vm_id
    left join vnic_profiles p on i.vnic_profile_id = p.id
    left join network n on p.network_id = n.id
  where v.entity_type = 'TEMPLATE';
`
