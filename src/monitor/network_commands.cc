// Commands about the guest's network: links, back ends, what the NICs have done and want to receive.
#include <algorithm>
#include <iterator>

#include "monitor/commands.h"

namespace pagurus::monitor {
namespace {

schema::QueuePairCounters to_schema_counters(const device::PairCounters& pair) {
  return {.rx_packets = pair.rx_packets,
          .rx_bytes = pair.rx_bytes,
          .rx_dropped = pair.rx_dropped,
          .rx_filtered = pair.rx_filtered,
          .tx_packets = pair.tx_packets,
          .tx_bytes = pair.tx_bytes,
          .tx_dropped = pair.tx_dropped,
          .kicks = pair.kicks,
          .interrupts = pair.interrupts};
}

schema::RxState state_of(bool none, bool all) {
  return none ? schema::RxState::kNone : all ? schema::RxState::kAll : schema::RxState::kNormal;
}

std::vector<std::string> texts_of(const std::vector<device::MacAddress>& macs) {
  std::vector<std::string> texts;
  for (const device::MacAddress& mac : macs) texts.push_back(device::to_string(mac));
  return texts;
}

schema::RxFilterInfo to_schema_filter(const std::string& id, const device::RxFilter& filter) {
  schema::RxFilterInfo info{.name = id,
                            .promiscuous = filter.promisc,
                            .multicast = state_of(filter.nomulti, filter.allmulti),
                            .unicast = state_of(filter.nouni, filter.alluni),
                            .vlan = schema::RxState::kAll,
                            .broadcast_allowed = !filter.nobcast,
                            .multicast_overflow = filter.multicast_overflow,
                            .unicast_overflow = filter.unicast_overflow,
                            .main_mac = device::to_string(filter.mac),
                            .unicast_table = texts_of(filter.unicast),
                            .multicast_table = texts_of(filter.multicast)};
  if (!filter.checks_vlans) return info;
  for (unsigned vlan : filter.vlan_list()) info.vlan_table.push_back(vlan);
  info.vlan = state_of(info.vlan_table.empty(), false);
  return info;
}

class NetCommands final : public schema::NetCommands {
 public:
  explicit NetCommands(machine::Machine& machine) : machine_(machine) {}

  Result<void> set_link(qapi::Call&, schema::SetLinkArguments arguments) override {
    return machine_.set_link(arguments.name, arguments.up);
  }
  Result<void> netdev_add(qapi::Call&, schema::Netdev options) override { return machine_.add_netdev(options); }
  Result<void> netdev_del(qapi::Call&, schema::NetdevDelArguments arguments) override {
    return machine_.delete_netdev(arguments.id);
  }
  Result<schema::NetworkOptions> query_network_options(qapi::Call&) override {
    machine::NetworkOptions network = machine_.network_options();
    return schema::NetworkOptions{
        .changed = network.changed, .netdevs = std::move(network.netdevs), .devices = std::move(network.devices)};
  }
  Result<std::vector<schema::NetworkCounters>> query_network_counters(qapi::Call&) override {
    std::vector<schema::NetworkCounters> all;
    for (const machine::NicReport& nic : machine_.nics()) {
      schema::NetworkCounters counters{.name = nic.id, .netdev = nic.netdev, .control_kicks = nic.control_kicks};
      std::ranges::transform(nic.pairs, std::back_inserter(counters.queue_pairs), to_schema_counters);
      all.push_back(std::move(counters));
    }
    return all;
  }
  Result<std::vector<schema::RxFilterInfo>> query_rx_filter(qapi::Call&,
                                                            schema::QueryRxFilterArguments arguments) override {
    std::vector<schema::RxFilterInfo> all;
    for (const auto& [id, filter] : TRY(machine_.rx_filters(arguments.name.value_or("")))) {
      all.push_back(to_schema_filter(id, filter));
    }
    return all;
  }

 private:
  machine::Machine& machine_;
};

}  // namespace

std::unique_ptr<schema::NetCommands> make_net_commands(Services services) {
  return std::make_unique<NetCommands>(services.machine);
}

}  // namespace pagurus::monitor
