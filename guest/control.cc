// Command execution and reply texts; every key is documented in README.md.

#include "guest/control.h"

#include "guest/acpi.h"
#include "guest/boot_info.h"
#include "guest/clock.h"
#include "guest/cpu.h"
#include "guest/interrupts.h"
#include "guest/serial.h"
#include "guest/smp.h"
#include "guest/virtio_net.h"

namespace pagurus::guest {
namespace {

void put_times(Reply& reply, TextView name, uint64_t tsc) {
  reply.put(name).put("_ns=").dec(clock().to_ns(tsc)).put("\n");
}

uint64_t sum(const volatile uint64_t (&counters)[kQueueVectors]) {
  uint64_t total = 0;
  for (const volatile uint64_t& counter : counters) total += counter;
  return total;
}

// One line: a number of each pair.
template <typename Get>
void put_list(Reply& reply, TextView name, Get&& get) {
  reply.put(name).put("=");
  for (unsigned i = 0; i < net_device().pair_count(); ++i) reply.put(i == 0 ? "" : ",").dec(get(i));
  reply.put("\n");
}

// Class, command and data of a command for the control queue, from hexadecimal digits.
struct Bytes {
  uint32_t size = 0;
  uint8_t data[ControlQueue::kMaxCommand] = {};
};

bool parse_hex(TextView text, Bytes& bytes) {
  if (text.size % 2 != 0 || text.size / 2 > sizeof(bytes.data)) return false;
  for (; text.size != 0; text = text.from(2)) {
    char digits[4] = {'0', 'x', text.data[0], text.data[1]};
    const ParsedNumber byte = parse_number({digits, sizeof(digits)});
    if (!byte.ok) return false;
    bytes.data[bytes.size++] = static_cast<uint8_t>(byte.value);
  }
  return true;
}

bool sets_mac(const uint8_t* command) { return command[0] == 1 && command[1] == 1; }

}  // namespace

uint32_t Control::handle_request(TextView request, char* reply, uint32_t capacity) {
  const uint64_t start = read_tsc();
  Reply text;
  execute(request, text);
  const TextView view = text.view();
  const auto size = static_cast<uint32_t>(view.size < capacity ? view.size : capacity);
  __builtin_memcpy(reply, view.data, size);
  TextView rest = request;
  Text<96> line;
  serial().write(line.put("PROBE CONTROL ").put(take_word(rest)).put("\n").view());
  busy_until_ = read_tsc();
  parts_.gaps.forgive(start, busy_until_);
  return size;
}

void Control::execute(TextView request, Reply& reply) {
  TextView rest = request;
  const TextView command = take_word(rest);
  reply.put("reply=").put(command).put("\n");
  if (command.starts_with("ctrl")) control_queue(command, rest, reply);
  const TextView token = take_word(rest);
  if (token.size != 0) reply.put("token=").put(token).put("\n");
  if (command == "stats") {
    put_stats(reply);
  } else if (command == "net") {
    put_network(reply);
  } else if (command == "gaps") {
    put_gaps(reply);
  } else if (command == "cpus") {
    put_processors(reply);
  } else if (command == "reset-gap") {
    reset_gaps();
    reply.put("ok=1\n");
  } else if (command == "check") {
    put_check(reply);
  } else if (command == "poweroff") {
    action_ = Action::power_off;
    reply.put("ok=1\n");
  } else if (command == "reset") {
    action_ = Action::reset;
    reply.put("ok=1\n");
  } else if (command == "pairs") {
    put_pairs(reply);
  } else if (!command.starts_with("ctrl")) {
    reply.put("error=unknown command; known: stats net pairs gaps cpus reset-gap check ctrl* poweroff reset\n");
  }
}

void Control::reset_gaps() {
  parts_.gaps.request_reset();
  for (unsigned i = 0; i + 1 < online_processors(); ++i) ap_gaps(i).request_reset();
}

void Control::put_stats(Reply& reply) {
  const uint64_t now = read_tsc();
  reply.pair("boot_count", boot_count_).pair("boot_tsc", boot_tsc_);
  reply.pair("tsc", now).pair("tsc_khz", clock().khz());
  put_times(reply, "uptime", now - boot_tsc_);
  reply.pair("kvmclock_ns", clock().kvmclock_ns());
  reply.pair("cpus_online", online_processors());
  const NetCounters net = net_device().counters();
  reply.pair("rx_frames", net.rx_frames).pair("tx_frames", net.tx_frames);
  reply.pair("udp_echoes", parts_.responder.counters().udp_echoes);
  reply.pair("irq_rx", sum(rx_interrupts)).pair("irq_tx", sum(tx_interrupts));
  reply.pair("irq_config", config_interrupts).pair("irq_timer", timer_interrupts);
  put_gap_summary(reply);
  reply.pair("pattern_bytes", parts_.pattern.size()).pair("pattern_passes", parts_.pattern.passes());
  reply.pair("pattern_checked_words", parts_.pattern.words_checked());
  reply.pair("pattern_errors", parts_.pattern.errors());
}

void Control::put_gap_summary(Reply& reply) {
  const GapTracker& gaps = parts_.gaps;
  put_times(reply, "gap_longest", gaps.longest());
  reply.pair("gap_longest_start_tsc", gaps.longest_gap().start).pair("gap_longest_end_tsc", gaps.longest_gap().end);
  put_times(reply, "gap_longest_ever", gaps.longest_ever());
  for (unsigned i = 0; i < GapTracker::kThresholds; ++i) {
    reply.put("gaps_over_").dec(GapTracker::kThresholdUs[i]).put("us=").dec(gaps.over_threshold(i)).put("\n");
  }
  put_times(reply, "gap_window", read_tsc() - gaps.window_start());
  put_times(reply, "gap_forgiven", gaps.forgiven());
  reply.pair("gap_observations", gaps.observations()).pair("tsc_backwards", gaps.backwards());
}

void Control::put_network(Reply& reply) {
  const NetDevice& device = net_device();
  const NetCounters net = device.counters();
  const Virtqueue& rx = device.pair(0).rx();
  const Virtqueue& tx = device.pair(0).tx();
  const ProtocolCounters& p = parts_.responder.counters();
  reply.put("features=").hex(device.features()).put("\ndevice_status=").hex(device.device_status()).put("\n");
  reply.put("offered=").hex(device.offered()).put("\n");
  reply.pair("link_up", device.link_up() ? 1 : 0).pair("link_status", device.link_status());
  reply.pair("pairs", device.pair_count()).pair("max_pairs", device.max_pairs());
  reply.pair("rx_frames", net.rx_frames).pair("rx_bytes", net.rx_bytes);
  reply.pair("tx_frames", net.tx_frames).pair("tx_bytes", net.tx_bytes);
  reply.pair("rx_offload_errors", net.rx_offload_errors).pair("rx_bad_length", net.rx_bad_length);
  reply.pair("tx_full", net.tx_full);
  reply.pair("rx_kicks", rx.kicks()).pair("rx_kicks_saved", rx.kicks_saved());
  reply.pair("tx_kicks", tx.kicks()).pair("tx_kicks_saved", tx.kicks_saved());
  reply.pair("queue_size_rx", rx.size()).pair("queue_size_tx", tx.size());
  reply.pair("arp_replies", p.arp_replies).pair("icmp_replies", p.icmp_replies).pair("udp_echoes", p.udp_echoes);
  reply.pair("control_requests", p.control_requests).pair("ignored", p.ignored).pair("fragments", p.fragments);
  reply.pair("irq_spurious", spurious_interrupts).pair("serial_dropped", serial().dropped());
}

void Control::put_pairs(Reply& reply) {
  const NetDevice& device = net_device();
  reply.pair("pairs", device.pair_count()).pair("max_pairs", device.max_pairs());
  put_list(reply, "rx_frames", [&](unsigned i) { return device.pair(i).counters().rx_frames; });
  put_list(reply, "tx_frames", [&](unsigned i) { return device.pair(i).counters().tx_frames; });
  put_list(reply, "rx_kicks", [&](unsigned i) { return device.pair(i).rx().kicks(); });
  put_list(reply, "tx_kicks", [&](unsigned i) { return device.pair(i).tx().kicks(); });
  put_list(reply, "irq_rx", [](unsigned i) { return rx_interrupts[i]; });
  put_list(reply, "irq_tx", [](unsigned i) { return tx_interrupts[i]; });
}

//   ctrl HEX              posts a command and waits for its end
//   ctrl-post HEX TIMES   posts it that many times, one after the other, and waits for nothing
//   ctrl-hold HEX         posts it without telling the device; ctrl-kick tells it
//   ctrl-result           what became of the last one
void Control::control_queue(TextView command, TextView& rest, Reply& reply) {
  ControlQueue& queue = net_device().control();
  const bool posts = command != "ctrl-result" && command != "ctrl-kick";
  Bytes bytes;
  const bool parsed = posts && parse_hex(take_word(rest), bytes);
  const uint64_t times = command == "ctrl-post" ? parse_number(take_word(rest)).value : 1;
  const auto notify = command == "ctrl-hold" ? ControlQueue::Notify::later : ControlQueue::Notify::now;
  if (!queue.usable()) {
    reply.put("error=there is no control queue\n");
    return;
  }
  if (command == "ctrl-kick") queue.kick();
  if (posts && (!parsed || !queue.post(bytes.data, bytes.size, times, notify))) {
    reply.put("error=no such command, or one is pending\n");
    return;
  }
  if (command == "ctrl") queue.wait();
  queue.poll();
  if (!queue.pending() && queue.completed() != 0 && sets_mac(queue.command())) net_device().read_mac();
  reply.pair("pending", queue.pending() ? 1 : 0).pair("ack", queue.acknowledgement());
  reply.pair("completed", queue.completed()).pair("failed", queue.failed()).pair("irq_control", control_interrupts);
}

void Control::put_gaps(Reply& reply) {
  const GapTracker& gaps = parts_.gaps;
  reply.pair("tsc", read_tsc()).pair("tsc_khz", clock().khz()).pair("remembered", gaps.remembered());
  // Newest first; each line is start and end in TSC ticks, and the length in nanoseconds.
  for (unsigned i = 0; i < GapTracker::kRemembered && i < gaps.remembered(); ++i) {
    const Gap& gap = gaps.recent(i);
    reply.put("gap").dec(i).put("=").dec(gap.start).put(",").dec(gap.end).put(",");
    reply.dec(clock().to_ns(gap.end - gap.start)).put("\n");
  }
}

void Control::put_processors(Reply& reply) {
  reply.pair("cpus_known", acpi().cpu_count).pair("cpus_online", online_processors());
  for (unsigned i = 0; i + 1 < online_processors(); ++i) {
    const GapTracker& gaps = ap_gaps(i);
    reply.put("cpu").dec(i + 1).put("_gap_longest_ns=").dec(clock().to_ns(gaps.longest())).put("\n");
    reply.put("cpu").dec(i + 1).put("_observations=").dec(gaps.observations()).put("\n");
  }
}

void Control::put_check(Reply& reply) {
  const uint64_t start = read_tsc();
  const uint64_t wrong = parts_.pattern.check_all();
  put_times(reply, "check_took", read_tsc() - start);
  reply.pair("wrong_words", wrong).pair("pattern_bytes", parts_.pattern.size());
  reply.pair("pattern_stride", parts_.pattern.stride()).pair("pattern_errors", parts_.pattern.errors());
  reply.put("first_error_address=").hex(parts_.pattern.first_error_address()).put("\n");
}

}  // namespace pagurus::guest
